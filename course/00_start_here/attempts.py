"""Attempts at the exercises of chapter 00, and what their checks must say."""

import subprocess

from labkit import Lab, answer, variant
from labkit.authoring.attempts import right, wrong
from labkit.labels import labels_of

# --- 00.1 ------------------------------------------------------------------------------------

RUNS, BASE = "first is running, and stays", "it was started from the image base"


@right("00.1")
def an_image_by_its_id(lab: Lab) -> None:
    image = lab.engine.client.images.get("labkit/base").id
    lab.run(str(image), "/bin/sleep 1000", name="first")


@right("00.1")
def by_the_command_line(lab: Lab) -> None:
    labels = [f"--label={key}={value}" for key, value in labels_of(lab.id, "first").items()]
    subprocess.run(
        ["docker", "run", "-d", *labels, "labkit/base", "busybox", "sleep", "1000"],
        env=lab.engine.environ(), check=True, capture_output=True,
    )  # fmt: skip


@right("00.1")
def others_around_it(lab: Lab) -> None:
    lab.run("base", "true", name="other").wait_exit()
    lab.run("base", "sleep 1000", name="first", restart_policy={"Name": "always"})
    lab.run("toolbox", name="more")


@wrong("00.1", fails=RUNS, hint="one that lasts")
def ends_at_once(lab: Lab) -> None:
    lab.run("base", "true", name="first").wait_exit()


@wrong("00.1", fails=RUNS, hint="start it")
def never_started(lab: Lab) -> None:
    lab.run("base", "sleep 1000", name="first", start=False)


@wrong("00.1", fails=RUNS, hint="docker unpause")
def paused(lab: Lab) -> None:
    lab.run("base", "sleep 1000", name="first").pause()


@wrong("00.1", fails=RUNS, hint="start it again")
def stopped(lab: Lab) -> None:
    lab.run("base", "sleep 1000", name="first").stop(timeout=0)


@wrong("00.1", fails=RUNS, hint="correct its command")
def restarts_all_the_time(lab: Lab) -> None:
    first = lab.run("base", "sleep 0.3", name="first", restart_policy={"Name": "always"})
    first.wait_until(lambda: first.inspect()["RestartCount"] > 0, what="its restart")


@wrong("00.1", fails=RUNS, hint="correct its command")
def no_log_to_look_at(lab: Lab) -> None:
    lab.run("base", "false", name="first", log_config={"Type": "none"}).wait_exit()


@wrong("00.1", fails=BASE, hint="the image is the first argument")
def another_image(lab: Lab) -> None:
    lab.run("toolbox", "sleep 1000", name="first")


# --- 00.2 ------------------------------------------------------------------------------------

OUTSIDE, INSIDE = "the number on the host", "the number inside"


@right("00.2")
def numbers_as_texts(lab: Lab) -> None:
    pid = lab.run("base", "sleep 1000", name="counted").pid
    answer("00.2", outside=str(pid), inside=1.0)


@right("00.2")
def one_house_for_all(lab: Lab) -> None:
    pid = lab.run("base", "sleep 1000", name="counted", pid_mode="host").pid
    answer("00.2", outside=pid, inside=pid)


@wrong("00.2", fails=OUTSIDE, hint="ask again")
def both_from_inside(lab: Lab) -> None:
    lab.run("base", "sleep 1000", name="counted")
    answer("00.2", outside=1, inside=1)


@wrong("00.2", fails=INSIDE, hint="which line")
def both_from_outside(lab: Lab) -> None:
    pid = lab.run("base", "sleep 1000", name="counted").pid
    answer("00.2", outside=pid, inside=pid)


@wrong("00.2", fails=INSIDE, hint="the number itself")
def true_is_not_one(lab: Lab) -> None:
    pid = lab.run("base", "sleep 1000", name="counted").pid
    answer("00.2", outside=pid, inside=True)


@wrong("00.2", fails=OUTSIDE, hint="ask again")
def of_an_earlier_start(lab: Lab) -> None:
    counted = lab.run("base", "sleep 1000", name="counted")
    pid = counted.pid
    counted.restart(timeout=0)
    answer("00.2", outside=pid, inside=1)


@wrong("00.2", fails=[OUTSIDE, INSIDE], hint="the number itself")
def words_for_numbers(lab: Lab) -> None:
    lab.run("base", "sleep 1000", name="counted")
    answer("00.2", outside="the one in ps", inside=[1])


# --- 00.3 ------------------------------------------------------------------------------------

LIMIT = "the kernel limits small to your size"


@right("00.3")
def limited_afterwards(lab: Lab) -> None:
    own = variant("00.3").memory
    lab.run("base", name="small").docker.update(mem_limit=own, memswap_limit=own)


@right("00.3")
def in_bytes(lab: Lab) -> None:
    size = int(variant("00.3").memory.rstrip("m")) << 20
    lab.run("toolbox", "sleep 1000", name="small", mem_limit=size)


@wrong("00.3", fails=LIMIT, hint="`memory=`")
def no_limit(lab: Lab) -> None:
    lab.run("base", name="small")


@wrong("00.3", fails=LIMIT, hint="not yours")
def another_limit(lab: Lab) -> None:
    lab.run("base", name="small", memory="33m")


@wrong("00.3", fails=LIMIT, hint="not yours")
def raised_afterwards(lab: Lab) -> None:
    lab.run("base", name="small", memory=variant("00.3").memory).update(
        mem_limit="128m", memswap_limit="128m"
    )


@wrong("00.3", fails=LIMIT, hint="one that lasts")
def limited_and_over(lab: Lab) -> None:
    lab.run("base", "true", name="small", memory=variant("00.3").memory).wait_exit()
