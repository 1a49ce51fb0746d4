"""How the exercises of chapter 01 are judged."""

from __future__ import annotations

import random
from itertools import permutations
from typing import Any

from labkit.checks import Evidence, Exercise, Finding, show_size
from labkit.inspect import Container, Process, read_process, read_signals

MIB = 1 << 20
OVERHEAD = 24 * MIB  # what an interpreter may take beside the memory that was asked for
# Linux's numbers (signal(7), x86 and ARM): the learner's own system may have others.
SIGNALS = {"HUP": 1, "USR1": 10, "USR2": 12, "TERM": 15}


def _three_sleeps(draw: random.Random) -> dict[str, Any]:
    """Three programs whose numbers are easily mistaken for each other, and one of them."""
    digits = draw.sample("123456789", 3)
    numbers = draw.sample(["".join(order) for order in permutations(digits)], 3)
    line = "".join(f"sleep 1{number} & " for number in numbers) + "wait"
    return {"command": ["sh", "-c", line], "seconds": int(f"1{draw.choice(numbers)}")}


def _sleeping(container: Container, seconds: int) -> Process | None:
    """The container's process that runs `sleep SECONDS`."""
    wanted = ("sleep", str(seconds))
    return next((p for p in container.processes() if p.cmdline == wanted), None)


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
    if live is None:
        running = ", ".join(" ".join(p.cmdline) for p in crowd.processes())
        return Finding(False, expected, running, 'start crowd with `variant("01.1").command`')
    given = see.answer("pid")
    other = next((p for p in crowd.processes() if p.pid == given), None)
    if given == live.inside_pid:
        what, try_this = "its number inside", "take `.pid`, not `.inside_pid`"
    elif other is not None:
        program = " ".join(other.cmdline[:2])
        what, try_this = f"that of `{program}`", "look at the command of each process"
    else:
        what, try_this = "of no process in crowd", "ask again: a new start brings new numbers"
    return Finding(given == live.pid, expected, f"your answer, {given!r}, is {what}", try_this)


@find_it.criterion("the number of the process that crowd hangs on")
def _(see: Evidence) -> Finding:
    given, first = see.answer("parent"), see.container("crowd").pid
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


heavy = Exercise(
    "01.2",
    "The program's weight",
    containers=["heavy"],
    hints=[
        "The chapter has a program of 40 MB, in the section on what a container costs.",
        '`"x" * n` writes n bytes. The image `toolbox` has `python3`; one MiB is `2**20` bytes. '
        "Let the program say when it is ready, and wait for that with `wait_log`.",
    ],
    # Further apart than what is forgiven: one program does not fit two learners.
    vary=lambda draw: {"mebibytes": draw.choice([17, 43, 68, 93, 119])},
)


@heavy.criterion("the control group holds your size", points=2, steady=True)
def _(see: Evidence) -> Finding:
    held, wanted = see.container("heavy").cgroup().memory().current, see.variant["mebibytes"] * MIB
    if held < wanted:
        try_this = (
            "memory counts when something is written to it: was it only asked for? "
            "Or was the program not ready yet? Then check again"
        )
    else:
        try_this = f"that is more than the program needs: ask for {show_size(wanted)} and no more"
    return Finding(
        passed=wanted <= held <= wanted + OVERHEAD,
        expected=f"at least {show_size(wanted)}, at most {show_size(wanted + OVERHEAD)}",
        observed=show_size(held),
        hint=try_this,
    )


@heavy.criterion("one process of heavy has it in its own memory")
def _(see: Evidence) -> Finding:
    held = max((p.rss_bytes or 0 for p in see.container("heavy").processes()), default=0)
    wanted = see.variant["mebibytes"] * MIB
    return Finding(
        passed=held >= wanted,
        expected=f"a process with at least {show_size(wanted)} resident",
        observed=f"the largest has {show_size(held)}",
        hint="files kept in memory count for the group, but belong to no process: "
        "let a program hold the bytes in a variable",
    )


hears = Exercise(
    "01.3",
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
    """Whether the first process of hears has a handler for a signal (signal(7))."""
    pid = see.container("hears").pid
    signals, number = read_signals(see.host, pid), SIGNALS[signal]
    caught, ignored = number in signals.caught, number in signals.ignored
    program = " ".join(read_process(see.host, pid).cmdline[:2])
    return Finding(
        passed=caught,
        expected=f"a handler for {signal} in the first process",
        observed=f"`{program}` " + ("ignores it" if ignored else "has none"),
        hint="an empty handler, `trap ''`, means to ignore: let it do something"
        if ignored
        else "it must be the first process that handles it, not a child of it; and a program "
        "that has only just started may not have come that far: check again",
    )


@hears.criterion("it handles your signal", points=2, steady=True)
def _(see: Evidence) -> Finding:
    return _handles(see, see.variant["signal"])


@hears.criterion("it handles TERM", steady=True)
def _(see: Evidence) -> Finding:
    return _handles(see, "TERM")


asleep = Exercise(
    "01.4",
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


@asleep.criterion("the engine says that asleep is running", steady=True)
def _(see: Evidence) -> Finding:
    status = see.container("asleep").status
    return Finding(
        passed=status == "running",
        expected="running",
        observed=status,
        hint="`pause` tells the engine; leave the engine out, and tell the process"
        if status == "paused"
        else "it has to live: STOP stops a process, KILL ends it",
    )


@asleep.criterion("the kernel says that its first process is stopped", points=2, steady=True)
def _(see: Evidence) -> Finding:
    state = read_process(see.host, see.container("asleep").pid).state
    return Finding(
        passed=state == "T",
        expected="state T",
        observed=f"state {state}",
        hint="the signal must reach the first process, and come from the host: what is sent from "
        "inside does not stop it",
    )


@asleep.criterion("your second program goes on", steady=True)
def _(see: Evidence) -> Finding:
    seconds = see.variant["seconds"]
    found = _sleeping(see.container("asleep"), seconds)
    return Finding(
        passed=found is not None and found.state in "SR",
        expected=f"`sleep {seconds}` in state S, waiting for its time",
        observed="no such process" if found is None else f"state {found.state}",
        hint='start it in the background: `sh -c "sleep ... & wait"`, with your own number'
        if found is None
        else "only the first process is to be stopped: signal `asleep.pid` alone",
    )
