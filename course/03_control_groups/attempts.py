"""Attempts at the exercises of chapter 03, and what their checks must say."""

from typing import Any

from labkit import Container, Lab, answer, piece, trial, variant
from labkit.authoring.attempts import docker, right, wrong
from labkit.shell.cells import on_host
from labkit.waiting import wait_until

SPIN = ["sh", "-c", "while :; do :; done"]


# --- 03.1 ------------------------------------------------------------------------------------

MEMORY = "the kernel limits its memory to yours"
QUOTA = "of each period of yours it may run your quota"
TASKS = "it may have your number of tasks"


def _tight(lab: Lab, **other: Any) -> Container:
    mine = variant("03.1")
    options = {"memory": mine.memory, "pids": mine.tasks}
    options |= {"cpu_period": mine.period, "cpu_quota": mine.quota} | other
    return lab.run("base", name="tight", **{k: v for k, v in options.items() if v is not None})


@right("03.1")
def typed_and_updated(lab: Lab) -> None:
    mine = variant("03.1")
    docker(lab, "run", "-d", "--name", "tight", "--memory", mine.memory, "labkit/toolbox")
    docker(lab, "update", "--cpu-period", str(mine.period), "--cpu-quota", str(mine.quota),
           "--pids-limit", str(mine.tasks), "tight")  # fmt: skip


@right("03.1")
def by_the_files(lab: Lab) -> None:
    mine = variant("03.1")
    tight = lab.run("base", name="tight")
    tight.set_limit("memory.max", mine.memory).set_limit("pids.max", mine.tasks)
    tight.set_limit("cpu.max", f"{mine.quota} {mine.period}")


@wrong("03.1", fails=QUOTA, hint="say the period too")
def the_same_share(lab: Lab) -> None:
    mine = variant("03.1")
    _tight(lab, cpu_period=None, cpu_quota=None, cpus=mine.quota / mine.period)


@wrong("03.1", fails=MEMORY, hint="2**20")
def megabytes(lab: Lab) -> None:
    _tight(lab, memory=int(variant("03.1").memory.rstrip("m")) * 10**6)


@wrong("03.1", fails=TASKS, hint="pids")
def any_number_of_tasks(lab: Lab) -> None:
    _tight(lab, pids=None)


# --- 03.2 ------------------------------------------------------------------------------------

KINDS = ("throttled", "frozen", "full", "killed")


def _troubles(lab: Lab) -> dict[str, str]:
    """Who has which, by what the scene told the engine of each."""
    found = {}
    for name in ("red", "green", "blue", "amber"):
        told = lab.container(name).inspect()["HostConfig"]
        if told.get("NanoCpus"):
            found["throttled"] = name
        elif told.get("PidsLimit"):
            found["full"] = name
        else:
            found["killed" if told.get("Memory") else "frozen"] = name
    return found


@right("03.2")
def from_what_they_were_told(lab: Lab) -> None:
    answer("03.2", **_troubles(lab))


@right("03.2")
def by_the_files_of_each(lab: Lab) -> None:
    found = {}
    for name in ("red", "green", "blue", "amber"):
        each = lab.container(name).cgroup().files()
        kills = (each["memory.events"] or "").splitlines()
        if (each["pids.events"] or "max 0").strip() != "max 0":
            found["full"] = name
        elif any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in kills):
            found["killed"] = name
        elif (each["cgroup.freeze"] or "").strip() in ("FROZEN", "1"):
            found["frozen"] = name
        else:
            found["throttled"] = name
    answer("03.2", **found)


@wrong("03.2", fails=["the one that is frozen", "the one that is throttled"], hint="look at all")
def slow_taken_for_frozen(lab: Lab) -> None:
    found = _troubles(lab)
    swapped = {"throttled": found["frozen"], "frozen": found["throttled"]}
    answer("03.2", **(found | swapped))


@wrong("03.2", fails=["the one that is full", "the one that is killed"], hint="look at all")
def memory_taken_for_tasks(lab: Lab) -> None:
    found = _troubles(lab)
    answer("03.2", **(found | {"full": found["killed"], "killed": found["full"]}))


@wrong("03.2", fails=[f"the one that is {kind}" for kind in KINDS], hint="four names")
def numbers_for_names(lab: Lab) -> None:
    answer("03.2", throttled=1, frozen=2, full=3, killed=4)


@wrong("03.2", fails="the one that is frozen", hint="anew")
def thawed_before_it_was_looked_at(lab: Lab) -> None:
    found = _troubles(lab)
    lab.container(found["frozen"]).set_limit("cgroup.freeze", 0)
    answer("03.2", **found)


# --- 03.3 ------------------------------------------------------------------------------------

WEIGHTS = "their weights divide it by your percentages"
FREE = "nobody is held back while the others rest"
COMPETE = "all three want to run, on one and the same processor"


@right("03.3")
def by_weights_of_v2(lab: Lab) -> None:
    for name, part in variant("03.3").per_cent.items():
        one = lab.run("base", SPIN, name=name, cpuset_cpus="0")
        one.set_limit("cpu.weight", 10 * part)


@right("03.3")
def typed_and_divided_later(lab: Lab) -> None:
    for name, part in variant("03.3").per_cent.items():
        docker(lab, "run", "-d", "--name", name, "--cpuset-cpus", "0", "labkit/toolbox",
               "python3", "-c", "while True: pass")  # fmt: skip
        docker(lab, "update", "--cpu-shares", str(1000 * part), name)


@wrong("03.3", fails=[WEIGHTS, FREE], hint="quota away")
def quotas_for_weights(lab: Lab) -> None:
    for name, part in variant("03.3").per_cent.items():
        lab.run("base", SPIN, name=name, cpuset_cpus="0", cpus=part / 100)


@wrong("03.3", fails=WEIGHTS, hint="proportion")
def all_the_same(lab: Lab) -> None:
    for name in variant("03.3").per_cent:
        lab.run("base", SPIN, name=name, cpuset_cpus="0", cpu_shares=1000)


@wrong("03.3", fails=COMPETE, hint="for ever")
def nobody_wants_it(lab: Lab) -> None:
    for name, part in variant("03.3").per_cent.items():
        lab.run("base", name=name, cpuset_cpus="0", cpu_shares=100 * part)


@wrong("03.3", fails=FREE, hint="weight alone")
def a_quota_besides(lab: Lab) -> None:
    for name, part in variant("03.3").per_cent.items():
        lab.run("base", SPIN, name=name, cpuset_cpus="0", cpu_shares=100 * part, cpus=0.9)


# --- 03.4 ------------------------------------------------------------------------------------

SHARE = "it may have so much of a processor as your variant says"
HELPED = "it has its twelve helpers"
BOUNDED = "no more than 40 tasks are allowed"
NEVER = "it was never stopped"


def _update(lab: Lab, *, cpus: float | None = None, tasks: int = 32) -> None:
    mine = variant("03.4")
    cpus = mine.least if cpus is None else cpus
    docker(lab, "update", "--cpus", f"{cpus:g}", "--pids-limit", str(tasks), "miner")
    if tasks == -1 or tasks > 12:
        miner = lab.container("miner")
        wait_until(lambda: miner.cgroup().tasks().current > 12, timeout=60, what="its helpers")


@right("03.4")
def by_docker_update(lab: Lab) -> None:
    _update(lab)


@right("03.4")
def in_a_host_cell(lab: Lab) -> None:
    quota = int(variant("03.4").least * 100_000)
    on_host(
        "",
        f"""
        top=/proc/$engine/root/sys/fs/cgroup path=$(tail -n 1 /proc/$miner/cgroup | cut -d: -f3)
        if [ -e $top/pids$path ]; then
            echo 20 >$top/pids$path/pids.max; echo {quota} >$top/cpu$path/cpu.cfs_quota_us
        else
            echo 20 >$top$path/pids.max; echo {quota} >$top$path/cpu.max
        fi
    """,
    )
    lab.container("miner").wait_log("12 of 12", timeout=60)


@wrong("03.4", fails=HELPED, hint="pids-limit")
def only_the_processor(lab: Lab) -> None:
    docker(lab, "update", "--cpus", f"{variant('03.4').least:g}", "miner")


@wrong("03.4", fails=SHARE, hint="--cpus")
def only_the_tasks(lab: Lab) -> None:
    lab.container("miner").set_limit("pids.max", 32).wait_log("12 of 12", timeout=90)


@wrong("03.4", fails=[SHARE, BOUNDED], hint="a limit there must be")
def no_limits_at_all(lab: Lab) -> None:
    lab.container("miner").set_limit("cpu.max", "max").set_limit("pids.max", "max").wait_log(
        "12 of 12", timeout=60
    )


@wrong("03.4", fails=NEVER, hint="anew")
def started_again(lab: Lab) -> None:
    lab.container("miner").restart(timeout=0)
    _update(lab)


@wrong("03.4", fails=NEVER, hint="anew")
def made_anew(lab: Lab) -> None:
    miner, least = lab.container("miner"), variant("03.4").least
    command = miner.inspect()["Config"]["Cmd"]
    miner.remove()
    told = {"FOUND": "nothing yet"}
    lab.run("toolbox", command, name="miner", pids=32, cpus=least, environment=told).wait_log(
        "12 of 12", timeout=90
    )


# --- 03.5 ------------------------------------------------------------------------------------

OWN_MEMORY = "it runs in a group of your making, with your memory limit"
OWN_TASKS = "and with your limit of tasks"
UNLIMITED = "the workbench itself may have more"
WRITABLE = """
cd /sys/fs/cgroup
if [ -e cgroup.controllers ]; then
    mount -o remount,bind,rw .
    mkdir -p rest
    for pid in $(cat cgroup.procs); do echo $pid >rest/cgroup.procs 2>/dev/null || true; done
    echo '+memory +pids' >cgroup.subtree_control
    memory=. pids=. limit=memory.max
else
    mount -o remount,bind,rw memory; mount -o remount,bind,rw pids
    memory=memory pids=pids limit=memory.limit_in_bytes
fi
mkdir -p $memory/mine $pids/mine
"""
MOVE = "for each in $memory $pids; do echo $$ >$each/mine/cgroup.procs; done"
SET = "echo $bytes >$memory/mine/$limit; echo $tasks >$pids/mine/pids.max"


def _tried(*lines: str, mine: str = "bytes=$1 tasks=$2; shift 2") -> None:
    piece("03.5").write("\n".join(["#!/bin/sh -e", mine, WRITABLE, *lines, ""]))
    trial("03.5")


@right("03.5")
def step_by_step(lab: Lab) -> None:
    _tried(SET, MOVE, 'exec "$@"')


@right("03.5")
def moved_in_later(lab: Lab) -> None:
    _tried('"$@" &', SET, "for each in $memory $pids; do echo $! >$each/mine/cgroup.procs; done",
           "wait")  # fmt: skip


@right("03.5")
def in_another_language(lab: Lab) -> None:
    piece("03.5").write("""
#!/usr/bin/env python3
import os, subprocess, sys
from pathlib import Path
memory, tasks, *program = sys.argv[1:]
top = Path("/sys/fs/cgroup")
if (top / "cgroup.controllers").exists():
    subprocess.run(["mount", "-o", "remount,bind,rw", top], check=True)
    (top / "rest").mkdir(exist_ok=True)
    for pid in (top / "cgroup.procs").read_text().split():
        try:
            (top / "rest/cgroup.procs").write_text(pid)
        except OSError:
            pass  # it has ended
    (top / "cgroup.subtree_control").write_text("+memory +pids")
    places = {top / "py/memory.max": memory, top / "py/pids.max": tasks}
else:
    places = {top / "memory/py/memory.limit_in_bytes": memory, top / "pids/py/pids.max": tasks}
    for each in ("memory", "pids"):
        subprocess.run(["mount", "-o", "remount,bind,rw", top / each], check=True)
for file, value in places.items():
    file.parent.mkdir(exist_ok=True)
    file.write_text(value)
    (file.parent / "cgroup.procs").write_text(str(os.getpid()))
os.execvp(program[0], program)
""")
    trial("03.5")


@wrong("03.5", fails=[OWN_MEMORY, OWN_TASKS], hint="mkdir")
def made_and_nobody_in_it(lab: Lab) -> None:
    own = variant("03.5")
    piece("03.5").write('#!/bin/sh\nshift 2\nexec "$@"\n')
    trial("03.5")
    bench = lab.container("bench")
    lines = f"bytes={own.memory} tasks={own.tasks}\n{WRITABLE}\n{SET}"
    if not bench.cgroup().is_v2("memory"):  # in v2 they would have had to move
        assert bench.exec(["sh", "-ec", lines]).exit_code == 0


@wrong("03.5", fails=[OWN_MEMORY, OWN_TASKS, UNLIMITED], hint="without limits")
def by_the_engine(lab: Lab) -> None:
    own = variant("03.5")
    lab.run("toolbox", "sleep 100000", name="bench", memory=own.memory, pids=own.tasks)


@wrong("03.5", fails=OWN_TASKS, hint="write the limit")
def no_limit_of_tasks(lab: Lab) -> None:
    _tried("echo $bytes >$memory/mine/$limit", MOVE, 'exec "$@"')


@wrong("03.5", fails=OWN_MEMORY, hint="write the limit")
def another_size(lab: Lab) -> None:
    _tried(SET, MOVE, 'exec "$@"', mine="bytes=33M tasks=$2; shift 2")


@wrong("03.5", fails=[OWN_MEMORY, OWN_TASKS], hint="becomes")
def nothing_runs_in_it(lab: Lab) -> None:
    _tried(SET)
