"""Wrong solutions of the exercises of chapter 01, and the criterion that must notice each."""

from labkit import Container, Lab, answer, variant
from labkit.checks.catalog import mistake
from labkit.inspect import read_process
from labkit.kernel import Process


def _crowd(lab: Lab) -> tuple[Container, Process]:
    """The crowd, and the program in it that is asked for."""
    mine = variant("01.1")
    crowd = lab.run("base", mine.command, name="crowd")
    wanted = ("sleep", str(mine.seconds))

    def found() -> Process | None:
        return next((p for p in crowd.processes() if p.cmdline == wanted), None)

    process = crowd.wait_until(found, what="its programs")
    assert process is not None
    return crowd, process


@mistake("01.1", fails="the number of your program on the host")
def its_number_inside(lab: Lab) -> None:
    crowd, process = _crowd(lab)
    parent = read_process(lab.engine.host, crowd.pid).ppid
    answer("01.1", pid=process.inside_pid, parent=parent)


@mistake("01.1", fails="the number of your program on the host")
def the_shell_that_started_it(lab: Lab) -> None:
    crowd, _ = _crowd(lab)
    parent = read_process(lab.engine.host, crowd.pid).ppid
    answer("01.1", pid=crowd.pid, parent=parent)


@mistake("01.1", fails="the number of your program on the host")
def a_command_of_my_own(lab: Lab) -> None:
    crowd = lab.run("base", "sleep 1000", name="crowd")
    parent = read_process(lab.engine.host, crowd.pid).ppid
    answer("01.1", pid=crowd.pid, parent=parent)


@mistake("01.1", fails="the number of the process that crowd hangs on")
def the_parent_within(lab: Lab) -> None:
    _, process = _crowd(lab)
    answer("01.1", pid=process.pid, parent=process.ppid)


@mistake("01.1", fails="the number of the process that crowd hangs on")
def no_parent_as_seen_inside(lab: Lab) -> None:
    _, process = _crowd(lab)
    answer("01.1", pid=process.pid, parent=0)


@mistake("01.1", fails="the number of the process that crowd hangs on")
def of_an_earlier_start(lab: Lab) -> None:
    crowd, process = _crowd(lab)
    parent = read_process(lab.engine.host, crowd.pid).ppid
    crowd.restart(timeout=0)
    answer("01.1", pid=process.pid, parent=parent)


def _python(lab: Lab, statement: str) -> None:
    program = f"import time; {statement}; print('ready', flush=True); time.sleep(1e6)"
    lab.run("toolbox", ["python3", "-c", program], name="heavy").wait_log("ready")


@mistake("01.2", fails="the control group holds your size")
def asked_for_and_never_written_to(lab: Lab) -> None:
    _python(lab, f"import mmap; held = mmap.mmap(-1, {variant('01.2').mebibytes} * 2**20)")


@mistake("01.2", fails="the control group holds your size")
def a_limit_is_not_a_weight(lab: Lab) -> None:
    lab.run("base", name="heavy", memory=f"{variant('01.2').mebibytes}m")


@mistake("01.2", fails="the control group holds your size")
def far_too_much(lab: Lab) -> None:
    _python(lab, f"held = b'x' * ({variant('01.2').mebibytes + 40} * 2**20)")


@mistake("01.2", fails="one process of heavy has it in its own memory")
def in_a_file_in_memory(lab: Lab) -> None:
    size = variant("01.2").mebibytes
    line = f"dd if=/dev/zero of=/held/file bs=1M count={size}; echo ready; sleep 1000000"
    command, tmpfs = ["sh", "-c", line], {"/held": "size=200m"}
    lab.run("base", command, name="heavy", tmpfs=tmpfs).wait_log("ready")


def _shell(lab: Lab, script: str) -> None:
    lab.run("base", ["sh", "-c", script], name="hears").wait_log("ready")


@mistake("01.3", fails="it handles your signal")
def a_child_hears_instead(lab: Lab) -> None:
    traps = f"trap 'echo heard' {variant('01.3').signal}; echo ready; sleep 1000 & wait"
    _shell(lab, f'trap "exit 0" TERM; sh -c "{traps}" & wait')


@mistake("01.3", fails="it handles your signal")
def told_to_ignore(lab: Lab) -> None:
    traps = f"trap '' {variant('01.3').signal}; trap 'exit 0' TERM"
    _shell(lab, f"{traps}; echo ready; sleep 1000000 & wait")


@mistake("01.3", fails="it handles your signal")
def it_becomes_another_program(lab: Lab) -> None:
    traps = f"trap 'echo heard' {variant('01.3').signal}; trap 'exit 0' TERM"
    _shell(lab, f"{traps}; echo ready; exec sleep 1000000")


@mistake("01.3", fails="it handles TERM")
def deaf_to_the_polite_request(lab: Lab) -> None:
    _shell(lab, f"trap 'echo heard' {variant('01.3').signal}; echo ready; sleep 1000000 & wait")


def _asleep(lab: Lab) -> Container:
    script = f"sleep {variant('01.4').seconds} & echo ready; wait"
    asleep = lab.run("base", ["sh", "-c", script], name="asleep")
    asleep.wait_log("ready")
    return asleep


@mistake("01.4", fails="the engine says that asleep is running")
def paused_by_the_engine(lab: Lab) -> None:
    _asleep(lab).pause()


@mistake("01.4", fails="the kernel says that its first process is stopped")
def sent_from_inside(lab: Lab) -> None:
    _asleep(lab).exec("kill -s STOP 1")


@mistake("01.4", fails="the engine says that asleep is running")
def killed(lab: Lab) -> None:
    _asleep(lab).kill()


@mistake("01.4", fails="your second program goes on")
def all_of_them_stopped(lab: Lab) -> None:
    for process in _asleep(lab).processes():
        lab.engine.host.kill(process.pid, signal="STOP")


@mistake("01.4", fails="your second program goes on")
def nobody_beside_it(lab: Lab) -> None:
    asleep = lab.run("base", "sleep 1000", name="asleep")
    lab.engine.host.kill(asleep.pid, signal="STOP")
