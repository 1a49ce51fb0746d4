"""How the exercises of chapter 06 are judged."""

from __future__ import annotations

import random
import re
from typing import Any

from labkit.checks import Evidence, Exercise, Finding, parse_size, show_size
from labkit.inspect import Container, Process

MIB = 1 << 20
OVERHEAD = 16 * MIB  # what an interpreter may take beside the memory that was asked for

heavy = Exercise(
    "06.1",
    "The program's weight",
    containers=["heavy"],
    hints=[
        "Any program that keeps n bytes in a variable will do. The image `toolbox` has `python3`.",
        "One MiB is `2**20` bytes, and in Python `b'x' * n` writes n of them. Let the program say "
        "when it is ready, wait for that with `wait_log`, and let it sleep then.",
    ],
    # Further apart than what is forgiven: one program does not fit two learners. And so large that
    # who takes MB for MiB misses by more than an interpreter weighs.
    vary=lambda draw: {"mebibytes": draw.choice([137, 157, 177, 197])},
    lasts=3.0,
)


@heavy.criterion("a process of heavy has it in memory of its own", points=2)
def _(see: Evidence) -> Finding:
    heavy = see.container("heavy")
    held = max((p.own_bytes or 0 for p in heavy.processes()), default=0)
    charged, wanted = heavy.cgroup().program_memory(), see.variant["mebibytes"] * MIB
    return Finding(
        passed=held >= wanted and charged >= wanted,
        expected=f"a process with at least {show_size(wanted)}",
        observed=f"the largest has {show_size(held)}"
        + (f", of which its group pays for {show_size(charged)}" if charged < held else ""),
        hint="one MiB is 2**20 bytes, and not a million"
        if held >= wanted * 0.95
        else "memory counts when something is written to it, and files do not: let one program "
        "hold the bytes in a variable. Was it not ready yet? Then check again",
    )


@heavy.criterion("and the control group has not much more", guard=True)
def _(see: Evidence) -> Finding:
    held = see.container("heavy").cgroup().program_memory()
    wanted = see.variant["mebibytes"] * MIB
    return Finding(
        passed=held <= wanted + OVERHEAD,
        expected=f"at most {show_size(wanted + OVERHEAD)} of its programs'",
        observed=show_size(held),
        hint=f"that is more than is asked for: {show_size(wanted)}, and files in memory weigh too",
    )


NAMES = ("red", "green", "blue")
MUCH = 30 * MIB  # of the 40 that each keeps; files that others read may be in any of them


def _shuffled(draw: random.Random) -> dict[str, Any]:
    return {"_ways": dict(zip(NAMES, draw.sample(["program", "shared", "files"], 3), strict=True))}


weights = Exercise(
    "06.2",
    "Three of one weight",
    containers=NAMES,
    answers=["program", "shared", "files"],
    hints=[
        "Compare two numbers of each: what its group is charged, and what its programs wrote for "
        "themselves. The chapter looks at both when a file is fetched.",
        "`one.cgroup().memory().current` and `one.cgroup().program_memory()`: with one container "
        "they are far apart. In the other two, look at `own_bytes` of `one.processes()`.",
        "What no process has for itself and is the programs' all the same is in `/dev/shm`: "
        "`docker exec red ls -lh /dev/shm`, and so on for the others.",
    ],
    vary=_shuffled,
    scene=True,
)


def _where(container: Container) -> dict[str, int]:
    """The bytes that a container is charged for, by where they are."""
    group = container.cgroup()
    written = group.program_memory()
    program = max((p.own_bytes or 0 for p in container.processes()), default=0)
    return {
        "program": program,
        "shared": max(written - program, 0),
        "files": max(group.memory().current - written, 0),
    }


def _kept(see: Evidence, way: str, hint: str) -> Finding:
    """Whether the named container keeps its memory in this way."""
    given = str(see.answer(way))
    expected = f"one of {', '.join(NAMES)}, with {show_size(MUCH)} or more of that kind"
    if given not in NAMES:
        return Finding(False, expected, f"your answer, {given!r}", "give one of the three names")
    where = _where(see.container(given))
    if given in [str(see.answers.get(other)) for other in where if other != way]:
        hint = "each of the three keeps it in a way of its own"
        return Finding(False, expected, f"{given} is your answer to two questions", hint)
    return Finding(
        passed=where[way] >= MUCH,
        expected=expected,
        observed=f"{given} has {show_size(where[way])} of it",
        hint=hint if max(where.values()) >= MUCH else '`scene("06.2")` sets them up anew',
    )


@weights.criterion("the one whose program holds it")
def _(see: Evidence) -> Finding:
    return _kept(see, "program", "whose process has most for itself?")


@weights.criterion("the one that has it in shared memory")
def _(see: Evidence) -> Finding:
    return _kept(see, "shared", "no process has it for itself, and yet it is no file on a disk")


@weights.criterion("the one that would give it back")
def _(see: Evidence) -> Finding:
    return _kept(see, "files", "its programs have written little for themselves, and are charged "
                 "for much")  # fmt: skip


USEFUL = 20 * MIB


def _greedy(draw: random.Random) -> dict[str, Any]:
    """A program that takes a quarter of the machine's memory, its setting, and a limit."""
    setting = draw.choice(["HEAP_MIB", "CACHE_MIB", "POOL_MIB"])
    program = f"""
import os, time
total = int(open("/proc/meminfo").readline().split()[1]) // 1024
size = int(os.environ.get("{setting}", total // 4))
print("memory:", total, "MiB; I take", size, "({setting} would be my setting)", flush=True)
taken = b"x" * (size << 20)
print("ready", flush=True)
time.sleep(1e6)
"""
    memory = draw.choice(["56m", "64m", "72m", "80m"])
    return {"program": program, "memory": memory, "setting": setting}


def _given(process: Process) -> str | None:
    """The text that Python was given to run, by the first `-c`: what follows are its arguments."""
    words = iter(process.cmdline)
    return next(words, None) if any(re.fullmatch("-[A-Za-z]*c", one) for one in words) else None


greedy = Exercise(
    "06.3",
    "A quarter of the machine",
    containers=["greedy"],
    hints=[
        "`docker inspect --format '{{json .State}}' greedy` says how it ended, and "
        "`docker logs greedy` how much it wanted. Whose memory did it read?",
        "It cannot see its limit, but it can be told: read the program's text for what it looks "
        "at before it asks the machine.",
        "`docker run -e NAME=24 ...`, or `environment={...}` in `lab.run`, with the name that your "
        "variant has as `setting`; the memory limit stays as it is.",
    ],
    vary=_greedy,
    lasts=1.0,
    scene=True,
)


@greedy.criterion("greedy runs, and holds at least 20 MiB", points=2)
def _(see: Evidence) -> Finding:
    found = see.container("greedy").processes()
    yours = [one for one in found if _given(one) == see.variant["program"]] or found
    held = max((one.own_bytes or 0 for one in yours), default=0)
    return Finding(
        passed=held >= USEFUL,
        expected=f"your program, with at least {show_size(USEFUL)} of its own",
        observed=f"it has {show_size(held)}",
        hint="let it take more, as far as the limit allows; or was it not ready yet?",
    )


@greedy.criterion("its limit is as it was", guard=True)
def _(see: Evidence) -> Finding:
    limit, wanted = see.container("greedy").cgroup().memory_limit(), see.variant["memory"]
    return Finding(
        passed=limit == parse_size(wanted),
        expected=show_size(parse_size(wanted)),
        observed="no limit" if limit is None else show_size(limit),
        hint=f"start it with `memory={wanted!r}`, or `docker run --memory {wanted}`",
    )


@greedy.criterion("it runs your program", guard=True)
def _(see: Evidence) -> Finding:
    found = see.container("greedy").processes()
    return Finding(
        passed=any(_given(process) == see.variant["program"] for process in found),
        expected="python3 with the text of your program",
        observed="; ".join(" ".join(p.cmdline[:2]) for p in found),
        hint='give it as it is: `["python3", "-c", variant("06.3").program]`',
    )
