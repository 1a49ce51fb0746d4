"""What is there when an exercise of chapter 03 begins."""

from contextlib import suppress
from typing import Any

from labkit import Container, Lab
from labkit.checks import runs_piece, said, sets_scene, workbench
from labkit.errors import WaitTimeoutError
from labkit.waiting import wait_until

STARTS_THREADS = """
import threading, time
while True:
    try:
        threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()
    except RuntimeError:
        time.sleep(1)
"""
# One process that wants a block of more than it may have, and offers itself to the OOM killer, so
# that the shell lives on.
WANTS_TOO_MUCH = """
while :; do
    (echo 1000 >/proc/self/oom_score_adj; exec dd if=/dev/zero of=/dev/null bs=64M count=1)
    sleep 2
done 2>/dev/null
"""
SPINS = ["sh", "-c", "while :; do :; done"]
TICKS = ["sh", "-c", "while sleep 1; do :; done"]
PATIENCE = 60.0  # seconds


@sets_scene("03.2")
def four_that_are_up(lab: Lab, own: dict[str, Any]) -> None:
    """Each has one trouble, and `docker ps` shows none of them."""
    name = own["_troubles"]
    # In any order but that of the answer.
    for trouble in sorted(name, key=lambda one: str(name[one])):
        TROUBLES[trouble](lab, name[trouble])


def _throttled(lab: Lab, name: str) -> None:
    box = lab.run("base", SPINS, name=name, cpus=0.02)
    _until(box, lambda: box.cgroup().cpu().nr_throttled > 2)


def _frozen(lab: Lab, name: str) -> None:
    box = lab.run("base", TICKS, name=name)
    box.set_limit("cgroup.freeze", 1)
    _until(box, lambda: box.cgroup().freezer().frozen)


def _full(lab: Lab, name: str) -> None:
    box = lab.run("toolbox", ["python3", "-c", STARTS_THREADS], name=name, pids=12)
    _until(box, lambda: bool(box.cgroup().tasks().max_events))


def _killed(lab: Lab, name: str) -> None:
    line = ["sh", "-c", WANTS_TOO_MUCH]
    box = lab.run("base", line, name=name, memory="32m", memswap_limit="32m")
    _until(box, lambda: bool(box.cgroup().memory().oom_kills))


TROUBLES = {"throttled": _throttled, "frozen": _frozen, "full": _full, "killed": _killed}


def _until(box: Container, holds: Any) -> None:
    wait_until(holds, timeout=PATIENCE, what=f"the trouble of {box.name}")


MINES = """
import os, threading, time
open("/dev/shm/found", "w").write(os.environ["FOUND"])
helpers, told = [], 0
while True:
    sum(range(10_000))
    if time.monotonic() < told + 0.5:
        continue
    told = time.monotonic()
    try:
        while len(helpers) < 12:
            helper = threading.Thread(target=time.sleep, args=(1e6,), daemon=True)
            helper.start()
            helpers.append(helper)
    except RuntimeError:
        pass
    print(len(helpers), "of 12 helpers", flush=True)
"""


@sets_scene("03.4")
def must_not_stop(lab: Lab, own: dict[str, Any]) -> None:
    """A program that runs under limits far too narrow for it."""
    told = {"FOUND": own["_found"]}
    miner = lab.run("toolbox", ["python3", "-c", MINES], name="miner", pids=6, environment=told)
    miner.wait_log("of 12", timeout=PATIENCE)
    miner.set_limit("cpu.max", "3000 100000")


BEGIN = """
{ limits "$@" </dev/null >/tmp/said 2>&1; touch /tmp/ended; } >/dev/null 2>&1 &
"""
PROGRAM = ("sleep", "100000")


@runs_piece("03.5")
def a_limited_program(lab: Lab, own: dict[str, Any], program: bytes) -> str:
    """The piece runs a program in a workbench in which it is one itself."""
    bench = workbench(lab, "limits", program)
    bench.exec(["sh", "-c", BEGIN, "sh", own["memory"], str(own["tasks"]), *PROGRAM])

    def became() -> str:
        """What became of it, if anything has."""
        if any(process.cmdline == PROGRAM for process in bench.processes()):
            return "runs"
        return "has ended" if bench.exec("ls /tmp/ended").exit_code == 0 else ""

    with suppress(WaitTimeoutError):
        bench.wait_until(became, what="the program", timeout=10)
    given = f"`limits {own['memory']} {own['tasks']} {' '.join(PROGRAM)}`"
    return f"{given} {became() or 'has not begun your program yet'}{said(bench, '/tmp/said')}"
