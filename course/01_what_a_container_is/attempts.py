"""Attempts at the exercises of chapter 01, and what their checks must say."""

import os
import re
from typing import Any

from labkit import Container, Lab, answer, variant
from labkit.authoring.attempts import docker, right, wrong
from labkit.inspect import read_process, read_processes
from labkit.kernel import Process

PARENT = "the number of the process that crowd hangs on"


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


@right("01.1")
def another_beside_it(lab: Lab) -> None:
    """Any of several that fit, fits."""
    crowd, process = _crowd(lab)
    crowd.docker.exec_run(list(process.cmdline), detach=True)
    crowd.wait_until(
        lambda: sum(p.cmdline == process.cmdline for p in crowd.processes()) == 2, what="the other"
    )
    other = max(p.pid for p in crowd.processes() if p.cmdline == process.cmdline)
    answer("01.1", pid=other, parent=read_process(lab.engine.host, crowd.pid).ppid)


@right("01.1")
def from_another_image(lab: Lab) -> None:
    mine = variant("01.1")
    crowd = lab.run("toolbox", mine.command, name="crowd")
    wanted = ("sleep", str(mine.seconds))

    def found() -> Process | None:
        return next((p for p in crowd.processes() if p.cmdline == wanted), None)

    process = crowd.wait_until(found, what="its programs")
    assert process is not None
    parent = read_process(lab.engine.host, crowd.pid).ppid
    answer("01.1", pid=str(process.pid), parent=float(parent))


@wrong("01.1", fails=["the number of your program on the host", PARENT], hint="the number itself")
def as_a_text(lab: Lab) -> None:
    _crowd(lab)
    answer("01.1", pid="the second", parent=None)


@wrong("01.1", fails="the number of your program on the host", hint="command`")
def without_the_crowd(lab: Lab) -> None:
    crowd = lab.run("base", ["sleep", str(variant("01.1").seconds)], name="crowd")
    answer("01.1", pid=crowd.pid, parent=read_process(lab.engine.host, crowd.pid).ppid)


@wrong("01.1", fails="the number of your program on the host")
def its_number_inside(lab: Lab) -> None:
    crowd, process = _crowd(lab)
    parent = read_process(lab.engine.host, crowd.pid).ppid
    answer("01.1", pid=process.inside_pid, parent=parent)


@wrong("01.1", fails="the number of your program on the host")
def the_shell_that_started_it(lab: Lab) -> None:
    crowd, _ = _crowd(lab)
    parent = read_process(lab.engine.host, crowd.pid).ppid
    answer("01.1", pid=crowd.pid, parent=parent)


@wrong("01.1", fails="the number of your program on the host")
def a_command_of_my_own(lab: Lab) -> None:
    crowd = lab.run("base", "sleep 1000", name="crowd")
    parent = read_process(lab.engine.host, crowd.pid).ppid
    answer("01.1", pid=crowd.pid, parent=parent)


@wrong("01.1", fails="the number of the process that crowd hangs on")
def the_parent_within(lab: Lab) -> None:
    _, process = _crowd(lab)
    answer("01.1", pid=process.pid, parent=process.ppid)


@wrong("01.1", fails="the number of the process that crowd hangs on")
def no_parent_as_seen_inside(lab: Lab) -> None:
    _, process = _crowd(lab)
    answer("01.1", pid=process.pid, parent=0)


@wrong("01.1", fails=["the number of your program on the host", PARENT])
def of_an_earlier_start(lab: Lab) -> None:
    crowd, process = _crowd(lab)
    parent = read_process(lab.engine.host, crowd.pid).ppid
    crowd.restart(timeout=0)
    answer("01.1", pid=process.pid, parent=parent)


YOURS, TERM = "it handles your signal", "it handles TERM"
PROGRAM = """
import signal, time
for name in ({0!r}, "TERM"):
    signal.signal(getattr(signal, "SIG" + name), lambda *_: None)
{1}
print("ready", flush=True)
while True:
    time.sleep(1000)
"""


@right("01.2")
def in_python(lab: Lab) -> None:
    code = PROGRAM.format(variant("01.2").signal, "")
    lab.run("toolbox", ["python3", "-c", code], name="hears").wait_log("ready", timeout=60)


@right("01.2")
def a_handler_that_does_nothing_much(lab: Lab) -> None:
    _shell(
        lab, f"trap : {variant('01.2').signal} TERM; echo ready; while :; do sleep 99 & wait; done"
    )


@right("01.2")
def heard_by_another_thread(lab: Lab) -> None:
    listen = (
        "import threading\n"
        "threading.Thread(target=lambda: time.sleep(1e6), daemon=True).start()\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))"
    )
    code = PROGRAM.format(variant("01.2").signal, listen)
    lab.run("toolbox", ["python3", "-c", code], name="hears").wait_log("ready", timeout=60)


@wrong("01.2", fails=[YOURS, TERM], hint="run on")
def paused_and_deaf(lab: Lab) -> None:
    in_python(lab)
    lab.container("hears").pause()


@wrong("01.2", fails=[YOURS, TERM], hint="no `init`")
def behind_an_init(lab: Lab) -> None:
    script = f"trap : {variant('01.2').signal} TERM; echo ready; while :; do sleep 99 & wait; done"
    lab.run("base", ["sh", "-c", script], name="hears", init=True).wait_log("ready")


@wrong("01.2", fails=[YOURS, TERM], hint="let it through")
def handled_and_blocked(lab: Lab) -> None:
    block = "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))"
    code = PROGRAM.format(variant("01.2").signal, block)
    lab.run("toolbox", ["python3", "-c", code], name="hears").wait_log("ready", timeout=60)


def _shell(lab: Lab, script: str) -> None:
    lab.run("base", ["sh", "-c", script], name="hears").wait_log("ready")


@wrong("01.2", fails="it handles your signal")
def a_child_hears_instead(lab: Lab) -> None:
    traps = f"trap 'echo heard' {variant('01.2').signal}; echo ready; sleep 1000 & wait"
    _shell(lab, f'trap "exit 0" TERM; sh -c "{traps}" & wait')


@wrong("01.2", fails="it handles your signal")
def told_to_ignore(lab: Lab) -> None:
    traps = f"trap '' {variant('01.2').signal}; trap 'exit 0' TERM"
    _shell(lab, f"{traps}; echo ready; sleep 1000000 & wait")


@wrong("01.2", fails=[YOURS, TERM])
def it_becomes_another_program(lab: Lab) -> None:
    traps = f"trap 'echo heard' {variant('01.2').signal}; trap 'exit 0' TERM"
    _shell(lab, f"{traps}; echo ready; exec sleep 1000000")


@wrong("01.2", fails="it handles TERM")
def deaf_to_the_polite_request(lab: Lab) -> None:
    _shell(lab, f"trap 'echo heard' {variant('01.2').signal}; echo ready; sleep 1000000 & wait")


def _asleep(lab: Lab) -> Container:
    script = f"sleep {variant('01.3').seconds} & echo ready; wait"
    asleep = lab.run("base", ["sh", "-c", script], name="asleep")
    asleep.wait_log("ready")
    return asleep


STOPPED = "the kernel says that its first process is stopped"


@right("01.3")
def by_another_name_and_image(lab: Lab) -> None:
    line = f"busybox sleep {variant('01.3').seconds} & echo ready; wait"
    asleep = lab.run("base", ["sh", "-c", line], name="asleep")
    asleep.wait_log("ready")
    lab.engine.host.kill(asleep.pid, signal="STOP")


@right("01.3")
def the_second_by_exec(lab: Lab) -> None:
    asleep = lab.run("toolbox", "sleep 1000", name="asleep")
    asleep.docker.exec_run(["/bin/sleep", str(variant("01.3").seconds)], detach=True)
    asleep.wait_until(lambda: len(asleep.processes()) == 2, what="the second program")
    lab.engine.host.kill(asleep.pid, signal="STOP")


@right("01.3")
def with_a_unit_and_by_the_engine(lab: Lab) -> None:
    """`docker kill` sends any signal, and sends it from the host."""
    line = f"sleep {variant('01.3').seconds}s & echo ready; wait"
    asleep = lab.run("toolbox", ["sh", "-c", line], name="asleep")
    asleep.wait_log("ready")
    docker(lab, "kill", "--signal", "STOP", "asleep")


@wrong("01.3", fails="your second program goes on", hint="in the background")
def another_program_called_sleep(lab: Lab) -> None:
    code = "import os, sys; os.execv('/bin/sh', ['sleep', sys.argv[1]])"
    busy = f"echo 'while :; do read -t 9 x </dev/zero; done' >/{variant('01.3').seconds}"
    line = f'{busy}; python3 -c "{code}" /{variant("01.3").seconds} & echo ready; wait'
    asleep = lab.run("toolbox", ["sh", "-c", line], name="asleep")
    asleep.wait_log("ready", timeout=60)
    lab.engine.host.kill(asleep.pid, signal="STOP")


@wrong(
    "01.3",
    fails=["the engine says that asleep is running", STOPPED, "your second program goes on"],
    hint="tell the process",
)
def paused_by_the_engine(lab: Lab) -> None:
    _asleep(lab).pause()


@wrong("01.3", fails="the kernel says that its first process is stopped")
def sent_from_inside(lab: Lab) -> None:
    _asleep(lab).exec("kill -s STOP 1")


@wrong(
    "01.3",
    fails=["the engine says that asleep is running", STOPPED, "your second program goes on"],
    hint="KILL ends it",
)
def killed(lab: Lab) -> None:
    _asleep(lab).kill()


@wrong("01.3", fails="your second program goes on")
def all_of_them_stopped(lab: Lab) -> None:
    for process in _asleep(lab).processes():
        lab.engine.host.kill(process.pid, signal="STOP")


@wrong("01.3", fails="your second program goes on")
def nobody_beside_it(lab: Lab) -> None:
    asleep = lab.run("base", "sleep 1000", name="asleep")
    lab.engine.host.kill(asleep.pid, signal="STOP")


QUICK = "a stop took under a second, without a KILL"
OWN_CODE = "the program saved its work and ended with its own exit code"
THE_PROGRAM = "your program runs in it"


def _signal() -> str:
    """The one that the program waits for."""
    return str(re.search(r"' (\w+);", variant("01.4").program)[1])  # type: ignore[index]


def _slow(lab: Lab, command: list[str], **options: Any) -> Container:
    lab.container("slow").remove()
    slow = lab.run("base", command, name="slow", **options)
    slow.wait_log("ready")
    return slow


@right("01.4")
def behind_an_init_that_passes_it_on(lab: Lab) -> None:
    command = ["sh", "-c", variant("01.4").program]
    _slow(lab, command, init=True, stop_signal=f"SIG{_signal()}").restart(timeout=2)


@right("01.4")
def a_shell_that_translates(lab: Lab) -> None:
    script = f"trap 'kill -s {_signal()} $!' TERM; sh -c \"$0\" & wait; wait $!; exit $?"
    slow = _slow(lab, ["sh", "-c", script, variant("01.4").program])
    slow.stop(timeout=2)
    slow.start()


@right("01.4")
def by_the_command_line(lab: Lab) -> None:
    for line in (
        ["rm", "-f", "slow"],
        ["run", "-d", "--name", "slow", "--stop-signal", _signal(), "labkit/base", "sh", "-c",
         variant("01.4").program],
    ):  # fmt: skip
        docker(lab, *line)
    lab.container("slow").wait_log("ready")
    docker(lab, "restart", "slow")


@wrong("01.4", fails=[QUICK, OWN_CODE], hint="docker restart")
def nothing_was_done(lab: Lab) -> None:
    pass


@wrong("01.4", fails=[QUICK, OWN_CODE], hint="9 is KILL")
def stopped_without_patience(lab: Lab) -> None:
    lab.container("slow").restart(timeout=0)


@wrong("01.4", fails=[QUICK, OWN_CODE], hint="9 is KILL")
def told_by_kill(lab: Lab) -> None:
    _slow(lab, ["sh", "-c", variant("01.4").program], stop_signal="KILL").restart(timeout=1)


@wrong("01.4", fails=[QUICK, OWN_CODE], hint="first process")
def the_right_signal_to_the_shell_in_front(lab: Lab) -> None:
    command = ["sh", "-c", 'sh -c "$0"; echo over', variant("01.4").program]
    _slow(lab, command, stop_signal=_signal()).restart(timeout=1)


@wrong("01.4", fails=OWN_CODE, hint="one that it waits for")
def an_init_and_the_usual_signal(lab: Lab) -> None:
    _slow(lab, ["sh", "-c", variant("01.4").program], init=True).restart(timeout=2)


@wrong("01.4", fails=QUICK, hint="the engine that asks")
def told_by_somebody_else(lab: Lab) -> None:
    slow = _slow(lab, ["sh", "-c", variant("01.4").program])
    lab.engine.host.kill(slow.pid, signal=_signal())
    slow.wait_exit()
    slow.start()


@wrong("01.4", fails=[QUICK, OWN_CODE, THE_PROGRAM], hint="docker start")
def left_as_it_was_stopped(lab: Lab) -> None:
    command = ["sh", "-c", variant("01.4").program]
    _slow(lab, command, stop_signal=_signal()).stop(timeout=2)


@wrong("01.4", fails=QUICK, hint="plain")
def told_by_the_engine_once(lab: Lab) -> None:
    """The next `docker stop` will take ten seconds, as ever."""
    _slow(lab, ["sh", "-c", variant("01.4").program])
    docker(lab, "kill", "--signal", _signal(), "slow")
    lab.container("slow").wait_exit()
    docker(lab, "start", "slow")


def _lying(what: str = "") -> str:
    """A shell that ends with the program's code, and has not told it."""
    code = re.search(r"exit (\d+)", variant("01.4").program)[1]  # type: ignore[index]
    return f"trap '{what}exit {code}' TERM; echo ready; "


@wrong("01.4", fails=OWN_CODE, hint="reach the program")
def a_shell_that_answers_for_it(lab: Lab) -> None:
    line = f'{_lying()} sh -c "$0" & wait'
    _slow(lab, ["sh", "-c", line, variant("01.4").program]).restart(timeout=2)


@wrong("01.4", fails=THE_PROGRAM, hint="as it is")
def another_program(lab: Lab) -> None:
    line = f"{_lying('echo saved >/work; ')} sleep 1000 & wait"
    _slow(lab, ["sh", "-c", line, variant("01.4").program]).restart(timeout=2)


LEFT = "the orphans of your command leave no zombie"
STOPS = "a stop takes it under a second, without a KILL"
YOUR_OWN = "its first process is process 1, and your own"
WAITS_FOR_ALL = """
import os, signal, subprocess, sys
program = subprocess.Popen(sys.argv[1:])
signal.signal(signal.SIGTERM, lambda *_: program.terminate())
while os.wait()[0] != program.pid:
    pass
"""
TAKES_SIGNALS_IN_TURN = """
import os, signal, subprocess, sys
signals = {signal.SIGTERM, signal.SIGCHLD}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
free = lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
subprocess.Popen(sys.argv[1:], preexec_fn=free)
while signal.sigwait(signals) != signal.SIGTERM:
    while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG):
        pass
"""
NOW_AND_THEN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
subprocess.Popen(sys.argv[1:])
while True:
    time.sleep(0.2)
    while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG):
        pass
"""


def _house(lab: Lab, *front: str, **options: Any) -> Container:
    """Your command behind another, when it has left its orphans."""
    house = lab.run("toolbox", [*front, *variant("01.5").command], name="house", **options)
    return _wait_for_orphans(house)


def _wait_for_orphans(house: Container) -> Container:
    living = ("sleep", str(variant("01.5").seconds))
    house.wait_until(
        lambda: any(p.cmdline == living for p in house.processes()), what="orphans", timeout=60
    )
    return house


def _again(house: Container) -> Container:
    return _wait_for_orphans(house.restart(timeout=1))


@right("01.5")
def it_waits_for_all(lab: Lab) -> None:
    _again(_house(lab, "python3", "-c", WAITS_FOR_ALL))


@right("01.5")
def it_takes_signals_in_turn(lab: Lab) -> None:
    """No handler, and yet it hears."""
    _again(_house(lab, "python3", "-c", TAKES_SIGNALS_IN_TURN))


@right("01.5")
def it_looks_now_and_then(lab: Lab) -> None:
    house = _again(_house(lab, "python3", "-c", NOW_AND_THEN))

    def no_zombie() -> bool:
        every = read_processes(lab.engine.host).values()
        return not any(one.ppid == house.pid and one.state == "Z" for one in every)

    house.wait_until(no_zombie, what="a look at the dead")


@right("01.5")
def who_ignores_their_end_is_not_asked(lab: Lab) -> None:
    """Source: wait(2), "Linux notes"."""
    code = "import signal as s, subprocess as p, sys; s.signal(s.SIGTERM, lambda *_: sys.exit()); "
    ignore = (
        "s.signal(s.SIGCHLD, s.SIG_IGN); p.Popen(sys.argv[1:]); [s.pause() for _ in iter(int, 1)]"
    )
    _again(_house(lab, "python3", "-c", code + ignore))


@right("01.5")
def a_house_by_the_command_line(lab: Lab) -> None:
    script = """trap 'kill $!; exit' TERM; "$@" & while kill -0 $!; do wait $!; done"""
    docker(lab, "run", "-d", "--name", "house", "--network", "none", "labkit/toolbox", "bash",
            "-c", script, "first", *variant("01.5").command)  # fmt: skip
    _wait_for_orphans(lab.container("house"))
    docker(lab, "restart", "house")
    _wait_for_orphans(lab.container("house"))


@wrong("01.5", fails=[LEFT, STOPS], hint="handed to process 1")
def the_command_alone(lab: Lab) -> None:
    _again(_house(lab))


@wrong("01.5", fails=LEFT, hint="though it never started it")
def it_asks_after_its_own_child_alone(lab: Lab) -> None:
    code = "import signal as s, subprocess as p, sys; s.signal(s.SIGTERM, lambda *_: sys.exit()); "
    _again(_house(lab, "python3", "-c", code + "p.run(sys.argv[1:])"))


@wrong("01.5", fails=STOPS, hint="9 is KILL")
def it_does_not_hear(lab: Lab) -> None:
    _again(_house(lab, "sh", "-c", '"$@" & wait', "first"))


@wrong("01.5", fails=STOPS, hint="docker restart house")
def it_was_never_stopped(lab: Lab) -> None:
    _house(lab, "sh", "-c", """trap 'exit 0' TERM; "$@" & wait""", "first")


@wrong("01.5", fails=YOUR_OWN, hint="what you would use at work")
def the_engines_init(lab: Lab) -> None:
    _again(_house(lab, init=True))


@wrong("01.5", fails=YOUR_OWN, hint="without `pid_mode=`")
def in_another_ones_house(lab: Lab) -> None:
    """As the holder of a pod reaps for its guests."""
    lab.run("toolbox", ["sh", "-c", "sleep 1000 & wait"], name="nurse")
    script = """trap 'exit 0' TERM; "$@" & wait"""
    _again(_house(lab, "sh", "-c", script, "first", pid_mode="container:nurse"))


@wrong("01.5", fails=LEFT, hint="as it is")
def with_the_command_in_its_words_alone(lab: Lab) -> None:
    script = f"trap 'exit 0' TERM; sleep {variant('01.5').seconds} & wait"
    _again(_house(lab, "sh", "-c", script, "first"))
