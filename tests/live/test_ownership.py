"""Whose an object is, what keeps it, and in which order it goes."""

from __future__ import annotations

import gc
import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker.errors
import pytest
from other import OtherEngine
from owners import environ_of, fill_swarm, remains, start_owner

from labkit import labels
from labkit.checks.evidence import Evidence
from labkit.checks.look import Look, Memory
from labkit.engine import Engine
from labkit.errors import ContainerExitedError
from labkit.lab import Lab
from labkit.lab.sweep import sweep_dead, sweep_named
from labkit.waiting import wait_until

PATIENCE = 15.0 if os.environ.get("LABKIT_ENGINE") != "vm" else 60.0


def gone(engine: Engine, lab: str) -> None:
    wait_until(
        lambda: not remains(engine, [lab]),
        timeout=PATIENCE,
        what=f"the end of {lab}",
        saw=lambda: remains(engine, [lab]),
    )


# --- what keeps a lab ----------------------------------------------------------------------------


# What others have left unclosed is collected here as well.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("what", ["run", "network", "volume", "build"])
def test_an_object_keeps_its_lab(engine: Engine, what: str) -> None:
    make: dict[str, Callable[[Lab], Any]] = {
        "run": lambda lab: lab.run("base", name="held"),
        "network": lambda lab: lab.network("held"),
        "volume": lambda lab: lab.volume("held"),
        "build": lambda lab: lab.build("held", "FROM labkit/base\nENV HELD=1\n"),
    }
    held = make[what](Lab(engine=engine))
    name = held.lab.id
    gc.collect()
    # The reaper removes a lab in well under this.
    time.sleep(2)
    assert "held" in [one.split()[1] for one in remains(engine, [name])]
    del held
    gc.collect()
    gone(engine, name)


FORK = """
import gc, os, sys
from labkit import Lab
with Lab() as lab:
    box = lab.run("base", name="box")
    if (child := os.fork()) == 0:
        worker = lab.run("base", name="worker")  # for its parent's lab
        own = Lab()
        own.run("base", name="own")
        print(own.id, flush=True)
        del box, worker
        raise SystemExit  # through the `with`
    os.waitpid(child, 0)
    print(lab.id, flush=True)
    input()
    print(box.status, lab.container("worker").status, flush=True)
    input()
"""


def test_a_fork_leaves_its_parents_lab_alone(engine: Engine) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", FORK],
        env=environ_of(engine.endpoint),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdin is not None and owner.stdout is not None
    own, lab = (owner.stdout.readline().strip() for _ in range(2))
    gone(engine, own)
    sweep_dead(engine.client)  # as a neighbour's start does
    owner.stdin.write("\n")
    owner.stdin.flush()
    assert owner.stdout.readline() == "running running\n"
    owner.kill()
    owner.communicate()
    gone(engine, lab)


FORK_AND_DIE = """
import os, sys, time
from labkit import Lab
lab = Lab()
lab.run("base", name="box")
if os.fork() == 0:
    time.sleep(60)
    os._exit(0)
print(lab.id, flush=True)
time.sleep(60)
"""


def test_a_fork_that_lives_on_keeps_nothing_of_its_parents(engine: Engine) -> None:
    owner = start_owner(FORK_AND_DIE, environ_of(engine.endpoint))
    assert owner.stdout is not None
    lab = owner.stdout.readline().strip()
    children = Path(f"/proc/{owner.pid}/task/{owner.pid}/children").read_text().split()
    forks = [one for one in children if Path(f"/proc/{one}/cmdline").read_bytes().count(b"fork()")]
    owner.kill()
    owner.wait()
    gone(engine, lab)
    assert len(forks) == 1
    os.kill(int(forks[0]), signal.SIGKILL)
    owner.communicate()


def test_a_reaper_that_was_killed_is_replaced_with_the_next_lab(engine: Engine) -> None:
    code = """
import os, signal, time
from labkit import Lab
from labkit.waiting import wait_until
first = Lab()
first.run("base", name="box")
reaper = first.reaper
os.kill(reaper.pid, signal.SIGKILL)
os.waitpid(reaper.pid, 0)
second = Lab()
second.run("base", name="box")
print(first.id, second.id, flush=True)
time.sleep(60)
"""
    owner = start_owner(code, environ_of(engine.endpoint))
    assert owner.stdout is not None
    labs = owner.stdout.readline().split()
    owner.kill()
    owner.communicate()
    assert len(labs) == 2
    for lab in labs:
        gone(engine, lab)


# --- whose lab it is -----------------------------------------------------------------------------

HELD = """
import sys
from labkit import Lab
lab = Lab()
lab.run("base", name="box", network="none")
print(lab.id, lab.reaper.pid, flush=True)
sys.stdin.read()
"""
SPACES = ("unshare", "--pid", "--fork", "--mount-proc", "--uts", "--kill-child")


@contextmanager
def pod(engine: Engine, home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """An owner with pids of its own, the same host name, and a home; its reaper dies with it."""
    process = subprocess.Popen(
        [*SPACES, sys.executable, "-c", HELD],
        env={**environ_of(engine.endpoint), "LABKIT_HOME": str(home), "LABKIT_ENGINE": "docker"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().split()[0]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.root
def test_a_pods_labs_live_with_it_and_go_with_the_next(engine: Engine, tmp_path: Path) -> None:
    mine, another = tmp_path / "mine", tmp_path / "another"
    with pod(engine, mine) as (first, lab):
        for home in (another, mine):  # a neighbour; a second one with the same home
            with pod(engine, home) as (_, neighbours):
                sweep_dead(engine.client)
                assert remains(engine, [lab]) == ["container box"]
            engine.client.api.remove_container(f"labkit-{neighbours}-box", force=True)
        first.kill()  # the pid namespace ends, and the reaper in it
        first.wait()
        time.sleep(1)
        assert remains(engine, [lab]) == ["container box"]
        with pod(engine, another) as (_, neighbours):  # who cannot know, and leaves it alone
            assert remains(engine, [lab]) == ["container box"]
        engine.client.api.remove_container(f"labkit-{neighbours}-box", force=True)
        with pod(engine, mine) as (_, respawned):
            gone(engine, lab)
        engine.client.api.remove_container(f"labkit-{respawned}-box", force=True)


# --- images on images ----------------------------------------------------------------------------


def classic(lab: Lab, name: str, *, base: str, key: str) -> str:
    """The id of an image that the engine's classic builder makes: one of BuildKit has no parent."""
    image, _ = lab.engine.client.images.build(
        fileobj=io.BytesIO(f"FROM {base}\nENV {key}=1\n".encode()),
        tag=labels.image_name(lab.id, name),
        labels=lab.labels(name),
        rm=True,
    )
    return str(image.id)


def assert_stands_on(engine: Engine, below: str) -> None:
    """The engine itself does not let go of what another image stands on."""
    with pytest.raises(docker.errors.APIError, match="dependent child images") as raised:
        engine.client.api.remove_image(below)
    assert raised.value.status_code == 409


def test_an_image_built_on_an_image_of_the_same_lab(engine: Engine) -> None:
    with Lab(engine=engine) as lab:
        below = classic(lab, "below", base="labkit/base", key="A")
        middle = classic(lab, "middle", base=labels.image_name(lab.id, "below"), key="B")
        classic(lab, "above", base=labels.image_name(lab.id, "middle"), key="C")
        assert_stands_on(engine, below)
        assert_stands_on(engine, middle)
        assert len(remains(engine, [lab.id])) >= 3
    assert remains(engine, [lab.id]) == []


def test_an_image_on_which_another_labs_image_stands_goes_with_that_one(engine: Engine) -> None:
    with Lab(engine=engine) as first, Lab(engine=engine) as second:
        name = labels.image_name(first.id, "below")
        below = classic(first, "below", base="labkit/base", key="A")
        above = classic(second, "above", base=name, key="B")
        assert_stands_on(engine, below)
        first.close()
        assert name not in tags(engine)
        assert "image below" in remains(engine, [first.id])
        said = engine.client.containers.run(above, "env", remove=True, labels=second.labels("env"))
        assert b"A=1" in said and b"B=1" in said
        second.close()
        assert remains(engine, [first.id, second.id]) == []


def test_an_image_from_which_a_stranger_runs_loses_its_name_and_no_more(engine: Engine) -> None:
    with Lab(engine=engine) as lab:
        image = lab.build("img", "FROM labkit/base\nENV A=1\n")
        # A container inherits its image's labels: these say that it is nobody's.
        nobodys = dict.fromkeys([labels.LAB, labels.OWNER, labels.SESSION, labels.NAME], "")
        stranger = engine.client.containers.run(image.id, "sleep 1000", detach=True, labels=nobodys)
        try:
            lab.close()
            stranger.reload()
            assert stranger.status == "running"
            assert not [tag for tag in image.docker.tags if tag in tags(engine)]
        finally:
            stranger.remove(force=True)
            engine.client.images.remove(image.id)


def tags(engine: Engine) -> set[str]:
    return {tag for image in engine.client.api.images() for tag in image["RepoTags"] or ()}


# --- reset ---------------------------------------------------------------------------------------


def test_reset_takes_the_kind_into_account(engine: Engine) -> None:
    with Lab(engine=engine) as lab:
        net = lab.network("app")
        lab.volume("app")
        box = lab.run("base", name="app", network="app")
        removed = sweep_named(engine.client, labels.session(), {("container", "app")})
        assert removed == ["app"]
        assert sorted(remains(engine, [lab.id])) == ["network app", "volume app"]
        assert net.subnet
        box = lab.run("base", name="app", network="none")
        removed = sweep_named(engine.client, labels.session(), {("network", "app")})
        assert sorted(remains(engine, [lab.id])) == ["container app", "volume app"]
        assert box.status == "running"


# --- while others come and go --------------------------------------------------------------------


@pytest.mark.timeout(200)
def test_looking_while_containers_vanish(engine: Engine) -> None:
    """As after a first cell that is run again: the reaper removes while the notebook lists."""
    done = threading.Event()
    failures: list[BaseException] = []
    counted = [0, 0]

    with Lab(engine=engine) as lab:
        stays = lab.run("base", name="stays", network="none")

        def churn(number: int) -> None:
            try:
                while not done.is_set():
                    counted[0] += 1
                    passing = lab.run("base", name=f"p{number}", network="none", init=True)
                    passing.remove()
                    dropped = Lab(engine=engine)
                    dropped.run("base", name=f"d{number}", network="none", init=True)
                    del dropped
            except BaseException as err:
                failures.append(err)

        threads = [threading.Thread(target=churn, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 12

        def enough() -> bool:
            return time.monotonic() > end and counted[0] > 10 and counted[1] > 20

        try:
            while not enough() and not failures:
                counted[1] += 1
                look = Look(engine, Memory())  # it remembers: a new one asks anew
                see = Evidence(look, session=labels.session(), answers={}, variant={})
                assert stays.namespaces().relation("pid") == "its own"
                assert "stays" in [one.name for one in lab.containers()]
                assert stays.id in [one.id for one in see.containers()]
                lab.networks()
                assert see.has("container", "stays")
        finally:
            done.set()
            for thread in threads:
                thread.join()
    assert not failures
    print(f"{counted[0]} rounds of removal, {counted[1]} of looks")


# --- the pid -------------------------------------------------------------------------------------


def test_the_pid_is_that_of_now(engine: Engine, lab: Lab) -> None:
    box = lab.run("base", "sleep 1000", name="box", restart_policy={"Name": "always"})

    def pid_from_ps() -> int:
        """By a second instrument, `docker top`."""
        return int(engine.client.api.top(box.id)["Processes"][0][1])

    seen = [box.pid]
    engine.host.kill(box.pid, signal="KILL")  # it ends by itself, and its policy starts it again
    wait_until(lambda: box.inspect()["RestartCount"] == 1, timeout=20, what="the restart")
    box.wait_running()
    assert box.pid == pid_from_ps() and box.pid not in seen
    seen.append(box.pid)
    engine.client.containers.get(box.id).restart(timeout=0)  # by the SDK, behind its back
    assert box.pid == pid_from_ps() and box.pid not in seen
    seen.append(box.pid)
    box.kill()
    wait_until(lambda: box.status != "running", timeout=20, what="the end")  # no policy undoes it
    with pytest.raises(ContainerExitedError):
        _ = box.pid
    box.start()
    assert box.pid == pid_from_ps() and box.pid not in seen
    assert [one.pid for one in box.processes()] == [box.pid]


# --- a swarm -------------------------------------------------------------------------------------

SWARM = f"""
import sys, time
sys.path.append({str(Path(__file__).parent)!r})
from owners import fill_swarm
from labkit import Lab
lab = Lab()
fill_swarm(lab)
print(lab.id, flush=True)
time.sleep(1000)
"""


def of_swarm(engine: Engine) -> dict[str, list[str]]:
    """What the swarm has, whoever made it."""
    api: Any = engine.client.api
    return {
        "services": sorted(one["ID"] for one in api.services()),
        "tasks": sorted(one["ID"] for one in api.tasks()),
        "containers": sorted(one["Id"] for one in api.containers(all=True)),
        "networks": sorted(one["Id"] for one in api.networks()),
        "configs": sorted(one["ID"] for one in api.configs()),
        "secrets": sorted(one["ID"] for one in api.secrets()),
    }


@pytest.mark.timeout(250)
def test_a_swarms_services_go_with_the_lab_and_foreign_ones_stay(
    other_engine: OtherEngine,
) -> None:
    engine = other_engine.engine
    api: Any = engine.client  # the stubs lack a swarm's types
    api.swarm.init(advertise_addr="127.0.0.1", listen_addr="127.0.0.1:2377")
    overlay = api.networks.create("foreign", driver="overlay")
    api.services.create("labkit/base", ["sleep", "1000"], name="foreign", networks=[overlay.id])

    def running() -> int:
        states = [task["Status"]["State"] for task in api.api.tasks()]
        return states.count("running")

    wait_until(lambda: running() == 1, timeout=60, what="the foreign task")
    before = of_swarm(engine)

    with Lab(engine=engine) as lab:
        fill_swarm(lab)
        wait_until(lambda: running() == 5, timeout=60, what="four tasks more")
        during = of_swarm(engine)
        assert all(len(during[kind]) > len(before[kind]) for kind in before)
        started = time.monotonic()
    print(f"a swarm of four tasks went in {time.monotonic() - started:.1f} s")
    assert remains(engine, [lab.id]) == []
    assert of_swarm(engine) == before

    owner = other_engine.popen(SWARM)
    assert owner.stdout is not None
    assert owner.stdout.readline().strip()
    owner.kill()  # while the tasks are being made
    owner.communicate()
    wait_until(
        lambda: of_swarm(engine) == before,
        timeout=30,
        what="the end of the killed owner's swarm objects",
        saw=lambda: of_swarm(engine),
    )
    wait_until(lambda: running() == 1, timeout=1, what="the foreign task, alone")
