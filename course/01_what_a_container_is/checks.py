"""How the exercises of chapter 01 are judged."""

from __future__ import annotations

import random
import re
from itertools import permutations
from typing import Any

from labkit.checks import Evidence, Exercise, Finding
from labkit.inspect import (
    ConditionKind,
    Container,
    Process,
    read_blocked,
    read_process,
    read_processes,
    read_signals,
)

SLEEPERS = ("sleep", "busybox", "coreutils")  # the programs that are called sleep
# Linux's numbers (signal(7), x86 and ARM): the learner's own system may have others.
SIGNALS = {"HUP": 1, "INT": 2, "QUIT": 3, "KILL": 9, "USR1": 10, "USR2": 12, "TERM": 15}
KILL = SIGNALS["KILL"]
WORK = "/work"  # where the program of 01.4 saves


def _three_sleeps(draw: random.Random) -> dict[str, Any]:
    """Three programs whose numbers are easily mistaken for each other, and one of them."""
    digits = draw.sample("123456789", 3)
    numbers = draw.sample(["".join(order) for order in permutations(digits)], 3)
    line = "".join(f"sleep 1{number} & " for number in numbers) + "wait"
    return {"command": ["sh", "-c", line], "seconds": int(f"1{draw.choice(numbers)}")}


def _sleeping(container: Container, seconds: int) -> list[Process]:
    """The container's processes that run `sleep SECONDS`, by whatever path it was called."""
    return [
        process
        for process in container.processes()
        # The kernel names it by its file; its words are its own choice.
        if process.comm in SLEEPERS
        and _words(process) in (("sleep", str(seconds)), ("sleep", f"{seconds}s"))
    ]


def _words(process: Process) -> tuple[str, ...]:
    """The command without the path, and without the BusyBox that may stand before it."""
    program, *rest = process.cmdline or ("",)
    names = (program.rpartition("/")[2], *rest)
    return names[1:] if names[0] == "busybox" else names


find_it = Exercise(
    "01.1",
    "Find it from outside",
    containers=["crowd"],
    answers=["pid", "parent"],
    hints=[
        "`crowd.processes()` can be looped over; each process has `.pid`, `.ppid`, `.cmdline`.",
        "`.pid` is the host's number, `.inside_pid` the container's. The parent is that of "
        "`crowd.pid`, the first process: `read_process(lab.engine.host, crowd.pid).ppid`.",
    ],
    vary=_three_sleeps,
)


@find_it.criterion("the number of your program on the host")
def _(see: Evidence) -> Finding:
    crowd, seconds = see.container("crowd"), see.variant["seconds"]
    expected = f"the host's number for `sleep {seconds}` in crowd"
    live = _sleeping(crowd, seconds)
    asked = [int(number) for number in re.findall(r"sleep (\d+)", see.variant["command"][-1])]
    if missing := [number for number in asked if not _sleeping(crowd, number)]:
        running = ", ".join(" ".join(p.cmdline) for p in crowd.processes())
        return Finding(
            passed=False,
            expected=f"{expected}, among the others of your command",
            observed=f"no `sleep {missing[0]}`; what runs is {running}",
            hint='start crowd with `variant("01.1").command`',
        )
    given = see.number("pid")
    other = next((p for p in crowd.processes() if p.pid == given), None)
    if given in {p.inside_pid for p in live}:
        what, try_this = "its number inside", "take `.pid`, not `.inside_pid`"
    elif other is not None:
        program = " ".join(other.cmdline[:2])
        what, try_this = f"that of `{program}`", "look at the command of each process"
    else:
        what, try_this = "of no process in crowd", "ask again: a new start brings new numbers"
    return Finding(
        given in {p.pid for p in live}, expected, f"your answer, {given!r}, is {what}", try_this
    )


@find_it.criterion("the number of the process that crowd hangs on")
def _(see: Evidence) -> Finding:
    given, first = see.number("parent"), see.container("crowd").pid
    if given == first:
        what, try_this = "crowd's first process itself", "whose child is it? Read its `.ppid`"
    elif given == 0:
        what, try_this = "what crowd sees: no parent at all", "read it on the host"
    else:
        what, try_this = "not that", "ask again: a new start brings a new parent"
    return Finding(
        passed=given == read_process(see.host, first).ppid,
        expected="the host's number for the parent of crowd's first process",
        observed=f"your answer, {given!r}, is {what}",
        hint=try_this,
    )


hears = Exercise(
    "01.2",
    "A first process that hears",
    containers=["hears"],
    hints=[
        "In a shell, `trap 'echo heard' USR1` makes a handler; the shell must stay the first "
        "process, and a shell that waits in `wait` hears at once.",
        '`["sh", "-c", "trap \'echo heard\' USR1; trap \'exit 0\' TERM; '
        'while true; do sleep 1000 & wait; done"]`, with your own signal.',
    ],
    vary=lambda draw: {"signal": draw.choice(["HUP", "USR1", "USR2"])},
)


def _handles(see: Evidence, signal: str) -> Finding:
    """Whether the first process of hears has a handler for a signal, and gets it (signal(7))."""
    hears = see.container("hears")
    first, condition = read_process(see.host, hears.pid), hears.condition()
    signals, number = read_signals(see.host, first.pid), SIGNALS[signal]
    program, deaf = " ".join(first.cmdline[:2]), True
    if condition.kind is ConditionKind.PAUSED or first.state in "Tt":
        how, hint = "stands still, and hears nothing", f"let it run on. {condition.advice}".strip()
    elif number in read_blocked(see.host, first.pid):
        how, hint = "blocks it: it is never told", "let it through: a blocked signal waits for ever"
    elif number in signals.ignored:
        how, hint = "ignores it", "an empty handler, `trap ''`, means to ignore: name a command"
    else:
        how, deaf = "has none", number not in signals.caught
        hint = (
            "the first process itself must handle it: no child of it, and no `init` before it. A "
            "program that has only just started may not have come that far: then check again"
        )
    return Finding(
        passed=not deaf,
        expected=f"a handler for {signal} in the first process",
        observed=f"`{program}` {how}",
        hint=hint,
    )


@hears.criterion("it handles your signal", points=2)
def _(see: Evidence) -> Finding:
    return _handles(see, see.variant["signal"])


@hears.criterion("it handles TERM")
def _(see: Evidence) -> Finding:
    return _handles(see, "TERM")


asleep = Exercise(
    "01.3",
    "The engine believes, the kernel knows",
    containers=["asleep"],
    hints=[
        'Start two programs, as `sh -c "sleep 1000 & wait"` does. Which signal stops a process, '
        "and from where must it come to reach a first process?",
        "`lab.engine.host.kill(asleep.pid, signal=...)` reaches the first process alone; and the "
        "kernel's letter for a stopped process is T.",
    ],
    vary=lambda draw: {"seconds": draw.randrange(2000, 9000)},
)


@asleep.criterion("the engine says that asleep is running", guard=True)
def _(see: Evidence) -> Finding:
    condition = see.container("asleep").condition()
    paused = condition.kind is ConditionKind.PAUSED
    return Finding(
        passed=condition.kind is ConditionKind.RUNNING,
        expected="running",
        observed=condition.told,
        hint=f"{condition.advice}; leave the engine out, and tell the process"
        if paused
        else f"it has to live: STOP stops a process, KILL ends it; {condition.advice}",
    )


@asleep.criterion("the kernel says that its first process is stopped", points=2)
def _(see: Evidence) -> Finding:
    state = read_process(see.host, see.container("asleep").pid).state
    return Finding(
        passed=state == "T",
        expected="state T",
        observed=f"state {state}",
        hint="the signal must reach the first process, and come from the host: what is sent from "
        "inside does not stop it",
    )


@asleep.criterion("your second program goes on")
def _(see: Evidence) -> Finding:
    seconds = see.variant["seconds"]
    asleep = see.container("asleep")
    found, paused = _sleeping(asleep, seconds), asleep.condition().kind is ConditionKind.PAUSED
    states = sorted({p.state for p in found})
    return Finding(
        passed=bool({"S", "R"} & set(states)) and not paused,
        expected=f"`sleep {seconds}` in state S, waiting for its time",
        observed=f"state {', '.join(states)}{', and frozen' if paused else ''}"
        if found
        else "no such process",
        hint="only the first process is to be stopped: signal `asleep.pid` alone"
        if found
        else 'start it in the background: `sh -c "sleep ... & wait"`, with your own number',
    )


def _saves(draw: random.Random) -> dict[str, Any]:
    """A program that saves its work when it is told to by a signal, and its exit code."""
    signal, code = draw.choice(["HUP", "USR1", "USR2"]), draw.randrange(20, 60)
    save = f"trap 'echo saved >{WORK}; exit {code}' {signal}"
    line = f"{save}; echo ready; while :; do sleep 1 & wait; done"
    return {"program": line, "_code": code, "_signal": signal}


slow = Exercise(
    "01.4",
    "Ten seconds, each time",
    containers=["slow"],
    hints=[
        "Two things are wrong. Who gets the signal that `docker stop` sends, and which one is it? "
        "`docker top slow` shows the processes, and the program's text what it waits for.",
        "In between stands a shell that was asked to do something afterwards: it stays the first "
        "process, and tells nobody. Let the program be the first process itself.",
        "`docker stop` sends TERM, unless the container was made to be told otherwise: look for "
        "*signal* in `docker run --help`. (In `lab.run` the option has an underscore.)",
        '`lab.run("base", ["sh", "-c", variant("01.4").program], name="slow", stop_signal=...)`, '
        "with the signal that your program has a trap for; then `docker restart slow`.",
    ],
    vary=_saves,
    scene=True,
)
NO_ENDING = (
    "stop it, and start it again: `docker restart {0}`. The engine remembers only the latest "
    "hundreds of things that it did: check soon after"
)


def _quick_end(see: Evidence, name: str) -> Finding:
    """Whether it was last stopped by one signal that it heard, and in less than a second."""
    container = see.container(name)
    _ = container.pid  # it must run
    ending, expected = container.last_ending(), "one signal, and the end within a second"
    if ending is None:
        return Finding(
            passed=False,
            expected=expected,
            observed="this one was not stopped and started again, as far as the engine remembers",
            hint=NO_ENDING.format(name),
        )
    sent = ", then ".join(map(str, ending.signals)) or "none"
    killed = KILL in ending.signals
    plain = _stop_signal(container) or ending.signals[:1]
    if killed:
        hint = (
            "9 is KILL: it is sent when nobody heard the first signal, or in its place. Does the "
            f"first process handle that one? `grep SigCgt /proc/${name}/status` on the host"
        )
    elif ending.signals and ending.signals != plain:
        hint = (
            f"signal {plain[0]} is the one that a plain `docker stop` sends this container, and it "
            "was told by another: make it anew, so that it is sent the one it waits for"
        )
    else:
        hint = f"it must be the engine that asks it to end: `docker restart {name}`"
    return Finding(
        passed=len(ending.signals) == 1
        and ending.signals == plain
        and not killed
        and ending.seconds < 1,
        expected=expected,
        observed=f"the engine sent signal {sent}; it took {ending.seconds:.1f} s",
        hint=hint,
    )


def _stop_signal(container: Container) -> tuple[int, ...]:
    """The signal that a plain stop sends, by its number; nothing if it is none of those above."""
    told = str(container.inspect()["Config"].get("StopSignal") or "TERM").upper()
    name = told.removeprefix("SIG")
    return (int(name),) if name.isdigit() else tuple(SIGNALS[n] for n in SIGNALS if n == name)


@slow.criterion("a stop took under a second, without a KILL", points=2)
def _(see: Evidence) -> Finding:
    return _quick_end(see, "slow")


@slow.criterion("the program saved its work and ended with its own exit code")
def _(see: Evidence) -> Finding:
    slow, code = see.container("slow"), see.variant["_code"]
    _ = slow.pid  # it must run
    expected = f"its work in {WORK}, and exit code {code}, with which your program ends then"
    if (ending := slow.last_ending()) is None:
        return Finding(False, expected, "it has not ended yet", NO_ENDING.format("slow"))
    how = {128 + KILL: ": it was killed", 128 + SIGNALS["TERM"]: ": TERM ended it"}
    saved = bool(see.host.read_many([f"/proc/{slow.pid}/root{WORK}"]))
    return Finding(
        passed=ending.exit_code == code and saved,
        expected=expected,
        observed=f"exit code {ending.exit_code}{how.get(ending.exit_code, '')}"
        + ("" if saved else f"; there is no {WORK} in it"),
        hint="the signal must reach the program, and be the one that it waits for: read its text",
    )


@slow.criterion("your program runs in it", guard=True)
def _(see: Evidence) -> Finding:
    processes, waits_for = see.container("slow").processes(), SIGNALS[see.variant["_signal"]]
    # BusyBox starts a shell from a shell without a new command line: so the handler counts too.
    given = [process for process in processes if see.variant["program"] in process.cmdline]
    return Finding(
        passed=any(waits_for in read_signals(see.host, one.pid).caught for one in given),
        expected="a shell with the text of your program, and a handler for what it waits for",
        observed="; ".join(" ".join(p.cmdline) for p in processes),
        hint='give it to a shell as it is: `["sh", "-c", variant("01.4").program]`',
    )


# A process whose parent ends before it is an orphan; each ends at once, but for one.
LEAVES = """
import os, time

def leave_orphan(seconds):
    if os.fork() == 0:
        if os.fork() == 0:
            os.execvp("sleep", ["sleep", seconds])
        os._exit(0)
    try:
        os.wait()
    except ChildProcessError:
        pass

for _ in range({orphans}):
    leave_orphan("0")
leave_orphan("{seconds}")
while True:
    time.sleep(3)
    leave_orphan("0")
"""
TICKS = 100  # of a process's start time, in a second: `getconf CLK_TCK`
LINGERS = 2.0  # seconds: whoever looks after its children only now and then does look after them
INITS = ("docker-init", "podman-init")  # what an engine mounts for `--init`


def _leaves(draw: random.Random) -> dict[str, Any]:
    own = {"orphans": draw.randrange(8, 20), "seconds": draw.randrange(2000, 9000)}
    return {**own, "command": ["python3", "-c", LEAVES.format(**own).strip()]}


house = Exercise(
    "01.5",
    "A house for orphans",
    containers=["house"],
    hints=[
        "Start your command as it is, and look: `docker exec house ps -eo pid,ppid,stat,comm`. "
        "Whose children are the zombies (Z)? What did that process do to learn how they ended?",
        "Put a program of your own in front, which starts your command as its child, and from then "
        "on waits for whatever child there is. Which program have you met that can `wait`?",
        "A shell's `wait` asks after every child, the adopted ones too. It must stay the first "
        "process, and have a handler for TERM: see `polite` in the chapter.",
        '`["sh", "-c", "trap \'exit 0\' TERM; \\"$@\\" & wait", "first", '
        '*variant("01.5").command]` as the command; then `docker restart house`.',
    ],
    vary=_leaves,
)


@house.criterion("the orphans of your command leave no zombie", points=2)
def _(see: Evidence) -> Finding:
    house, mine = see.container("house"), see.variant
    inside = {process.pid: process for process in house.processes()}
    runs = any(p.cmdline[1:] == tuple(mine["command"][1:]) for p in inside.values())
    expected = f"{mine['orphans']} orphans have ended and are gone, one lives on"
    if not runs or not _sleeping(house, mine["seconds"]):
        return Finding(
            passed=False,
            expected=expected,
            observed=f"your command has not left `sleep {mine['seconds']}` behind yet"
            if runs
            else "your command does not run in it",
            hint="if it has just been started, check again"
            if runs
            else 'let your own program start it as it is: `variant("01.5").command`, in `toolbox`',
        )
    now = float(see.host.read("/proc/uptime").split()[0])
    dead = [p for p in read_processes(see.host).values() if p.state == "Z" and p.ppid in inside]
    oldest = max((now - one.start_time / TICKS for one in dead), default=0.0)
    whose = sorted({" ".join(inside[one.ppid].cmdline[:2]) for one in dead})
    return Finding(
        passed=len(dead) < mine["orphans"] // 2 and oldest < LINGERS,
        expected=expected,
        observed=f"{len(dead)} zombies, the oldest for {oldest:.0f} s, children of "
        f"`{'`, `'.join(whose)}`"
        if dead
        else "none",
        hint="an orphan is handed to process 1, which must ask how it ended, though it never "
        "started it: see `hint`"
        + ("; if yours asks only now and then, check again" if oldest < LINGERS else ""),
    )


@house.criterion("a stop takes it under a second, without a KILL")
def _(see: Evidence) -> Finding:
    return _quick_end(see, "house")


@house.criterion("its first process is process 1, and your own", guard=True)
def _(see: Evidence) -> Finding:
    house = see.container("house")
    others = see.sharing("house", "pid")
    inits = [m for m in house.mounts() if m.mount_point.rpartition("/")[2] in INITS]
    return Finding(
        passed=not others and not inits,
        expected="a list of processes that begins with a program of yours",
        observed=f"it is on the list of {' and '.join(others)}, where another is process 1"
        if others
        else "the engine has put its own `init` in front",
        hint="`reset`, and start it without `pid_mode=`"
        if others
        else "`--init` is what you would use at work; here you write one: start it without",
    )
