"""Attempts at the exercises of chapter 06, and what their checks must say."""

from labkit import Lab, answer, variant
from labkit.authoring.attempts import right, wrong

WEIGHT = "a process of heavy has it in memory of its own"
NO_MORE = "and the control group has not much more"


def _python(lab: Lab, statement: str) -> None:
    program = f"import time; {statement}; print('ready', flush=True); time.sleep(1e6)"
    lab.run("toolbox", ["python3", "-c", program], name="heavy").wait_log("ready", timeout=60)


@right("06.1")
def in_shared_memory(lab: Lab) -> None:
    size = variant("06.1").mebibytes
    _python(lab, f"import mmap; m = mmap.mmap(-1, {size} << 20); m.write(b'x' * ({size} << 20))")


@right("06.1")
def in_many_pieces(lab: Lab) -> None:
    _python(
        lab, f"held = [bytes([n % 255 + 1]) * 2**20 for n in range({variant('06.1').mebibytes})]"
    )


@right("06.1")
def beside_files_that_were_read(lab: Lab) -> None:
    """The page cache is no weight of the program's."""
    wrote = "open('/file', 'wb').write(bytes(40 << 20)); open('/file', 'rb').read()"
    _python(lab, f"{wrote}; held = b'x' * ({variant('06.1').mebibytes} * 2**20)")


@wrong("06.1", fails=WEIGHT, hint="2**20")
def megabytes(lab: Lab) -> None:
    _python(lab, f"held = b'x' * ({variant('06.1').mebibytes} * 10**6)")


@wrong("06.1", fails=WEIGHT, hint="written to it")
def asked_for_and_never_written_to(lab: Lab) -> None:
    _python(lab, f"import mmap; held = mmap.mmap(-1, {variant('06.1').mebibytes} * 2**20)")


@wrong("06.1", fails=WEIGHT, hint="written to it")
def a_limit_is_not_a_weight(lab: Lab) -> None:
    lab.run("base", name="heavy", memory=f"{variant('06.1').mebibytes}m")


@wrong("06.1", fails=NO_MORE, hint="more than is asked for")
def far_too_much(lab: Lab) -> None:
    _python(lab, f"held = b'x' * ({variant('06.1').mebibytes + 40} * 2**20)")


@wrong("06.1", fails=WEIGHT, hint="files do not")
def in_a_file_in_memory(lab: Lab) -> None:
    size = variant("06.1").mebibytes
    line = f"dd if=/dev/zero of=/held/file bs=1M count={size}; echo ready; sleep 1000000"
    command, tmpfs = ["sh", "-c", line], {"/held": "size=300m"}
    lab.run("base", command, name="heavy", tmpfs=tmpfs).wait_log("ready", timeout=60)


@wrong("06.1", fails=WEIGHT, hint="files do not")
def mapped_from_a_file(lab: Lab) -> None:
    size = variant("06.1").mebibytes
    wrote = f"f = open('/file', 'w+b'); [f.write(bytes(1 << 20)) for _ in range({size})]; f.flush()"
    mapped = f"m = mmap.mmap(f.fileno(), {size} << 20); sum(m[::4096])"
    _python(lab, f"import mmap; {wrote}; {mapped}")


@wrong("06.1", fails=[WEIGHT, NO_MORE], hint="lasts")
def held_for_a_moment(lab: Lab) -> None:
    hold = f"held = b'x' * ({variant('06.1').mebibytes} * 2**20)"
    program = f"import time; {hold}; print('ready', flush=True); time.sleep(1)"
    lab.run("toolbox", ["python3", "-c", program], name="heavy").wait_log("ready", timeout=60)


PROGRAM = "the one whose program holds it"
SHARED = "the one that has it in shared memory"
FILES = "the one that would give it back"


def _ways(lab: Lab) -> dict[str, str]:
    """Who keeps what, by what the scene told each."""
    places = {"": "program", "/dev/shm/kept": "shared", "/kept": "files"}
    found = {}
    for name in ("red", "green", "blue"):
        told = lab.container(name).inspect()["Config"]["Env"]
        place = next(line.partition("=")[2] for line in told if line.startswith("PLACE="))
        found[places[place]] = name
    return found


@right("06.2")
def from_what_they_were_told(lab: Lab) -> None:
    answer("06.2", **_ways(lab))


@right("06.2")
def by_looking_into_them(lab: Lab) -> None:
    def has(name: str, path: str) -> bool:
        return lab.container(name).exec(["test", "-e", path]).exit_code == 0

    names = ["red", "green", "blue"]
    shared = next(name for name in names if has(name, "/dev/shm/kept"))
    files = next(name for name in names if has(name, "/kept"))
    (program,) = {*names} - {shared, files}
    answer("06.2", program=program, shared=shared, files=files)


@right("06.2")
def after_every_file_was_read(lab: Lab) -> None:
    """Somebody who looks around has files charged to the group in which it is done."""
    for name in ("red", "green", "blue"):
        look = "find / -xdev -type f -exec cat {} + >/dev/null 2>&1"
        lab.container(name).exec(["sh", "-c", look])
    answer("06.2", **_ways(lab))


@wrong("06.2", fails=[PROGRAM, FILES], hint="of its own")
def one_name_for_two(lab: Lab) -> None:
    ways = _ways(lab)
    answer("06.2", program=ways["program"], shared=ways["shared"], files=ways["program"])


@wrong("06.2", fails=[PROGRAM, SHARED], hint="for itself")
def shared_memory_taken_for_the_programs(lab: Lab) -> None:
    ways = _ways(lab)
    answer("06.2", program=ways["shared"], shared=ways["program"], files=ways["files"])


@wrong("06.2", fails=[SHARED, FILES], hint="no file on a disk")
def a_file_is_a_file(lab: Lab) -> None:
    ways = _ways(lab)
    answer("06.2", program=ways["program"], shared=ways["files"], files=ways["shared"])


@wrong("06.2", fails=[PROGRAM, SHARED, FILES], hint="three names")
def numbers_for_names(lab: Lab) -> None:
    answer("06.2", program=1, shared=2, files=3)


@wrong("06.2", fails=[SHARED, FILES])
def one_answer_is_not_all(lab: Lab) -> None:
    answer("06.2", program=_ways(lab)["program"])


RUNS = "greedy runs, and holds at least 20 MiB"
LIMIT = "its limit is as it was"
ITS_PROGRAM = "it runs your program"


def _greedy(lab: Lab, command: list[str], size: int, memory: str | None = None) -> None:
    mine = variant("06.3")
    lab.container("greedy").remove()
    lab.run(
        "toolbox", command, name="greedy", memory=memory or mine.memory,
        environment={mine.setting: str(size)},
    ).wait_log("ready")  # fmt: skip


@right("06.3")
def behind_a_shell(lab: Lab) -> None:
    mine = variant("06.3")
    line = f'export {mine.setting}=21; python3 -c "$0"; true'
    _greedy(lab, ["sh", "-c", line, mine.program], 0)


@right("06.3")
def by_the_program_env(lab: Lab) -> None:
    mine = variant("06.3")
    _greedy(lab, ["env", f"{mine.setting}=30", "python3", "-c", mine.program], 0)


@wrong("06.3", fails=[RUNS, LIMIT, ITS_PROGRAM])
def started_once_more(lab: Lab) -> None:
    greedy = lab.container("greedy")
    greedy.start()
    greedy.wait_exit()


@wrong("06.3", fails=LIMIT, hint="--memory")
def with_more_memory(lab: Lab) -> None:
    _greedy(lab, ["python3", "-c", variant("06.3").program], 90, memory="200m")


@wrong("06.3", fails=RUNS, hint="take more")
def of_no_use(lab: Lab) -> None:
    _greedy(lab, ["python3", "-c", variant("06.3").program], 2)


OTHER = "import time; taken = b'x' * (24 << 20); print('ready', flush=True); time.sleep(1e6)"


@wrong("06.3", fails=ITS_PROGRAM, hint="as it is")
def another_program(lab: Lab) -> None:
    """What is only handed over does not run."""
    _greedy(lab, ["python3", "-c", OTHER, variant("06.3").program], 0)


@wrong("06.3", fails=RUNS, hint="take more")
def another_holds_the_memory(lab: Lab) -> None:
    line = 'python3 -c "$0" & exec python3 -c "$1"'
    _greedy(lab, ["sh", "-c", line, variant("06.3").program, OTHER], 1)
