"""Limits changed while a container runs, its group gone between two looks, many at once."""

from __future__ import annotations

import pytest
from through import does

from labkit.errors import BadValueError, EngineRefusedError, ProcessGoneError
from labkit.inspect import Cgroup, Cgroups
from labkit.lab import Lab
from labkit.waiting import wait_until

HOLDS = "import time; held = b'x' * (40 << 20); print('ready', flush=True); time.sleep(1e6)"
BUSY = ["sh", "-c", "while :; do :; done"]


def test_a_limit_is_changed_by_the_file_and_by_the_engine(lab: Lab) -> None:
    box = lab.run("base", name="box", memory="64m", cpus=0.5, pids=20)
    box.set_limit("memory.max", "48m").set_limit("cpu.max", "20000 50000")
    box.set_limit("cpu.weight", 50).set_limit("pids.max", 10).set_limit("cpuset.cpus", "0")
    group = box.cgroup()
    memory, tasks, cpus = group.memory().max, group.tasks().max, group.cpuset().cpus
    assert (memory, tasks, set(cpus)) == (48 << 20, 10, {0})
    cpu = group.cpu()
    assert (cpu.quota_us, cpu.period_us, cpu.weight) == (20_000, 50_000, 50)
    assert box.inspect()["HostConfig"]["Memory"] == 64 << 20  # the engine was not asked
    does(lab, "update", "--memory", "56m", "--memory-swap", "56m", "--pids-limit", "12", "box")
    assert (group.memory().max, group.tasks().max) == (56 << 20, 12)
    box.set_limit("cgroup.freeze", 1)
    wait_until(lambda: group.freezer().frozen, timeout=20, what="the freezer")
    assert box.status == "running"  # it knows nothing of that either
    box.set_limit("cgroup.freeze", 0)
    assert box.exec("true").exit_code == 0


def test_what_cannot_be_written_says_why(lab: Lab) -> None:
    box = lab.run("base", name="box", memory="64m")
    with pytest.raises(BadValueError, match="Invalid argument") as raised:
        box.set_limit("pids.max", "many")
    assert raised.value.value == "many"
    with pytest.raises(BadValueError, match="has no setting"):
        box.set_limit("memory.current", 1)
    with pytest.raises(BadValueError, match="not a size"):
        box.set_limit("memory.max", "much")
    if box.cgroup().is_v2("memory"):
        assert box.set_limit("memory.high", "32m").cgroup().memory().high == 32 << 20
    else:
        with pytest.raises(BadValueError, match="cgroup v1 has no setting"):
            box.set_limit("memory.high", "32m")


def test_a_memory_limit_below_what_is_in_use(lab: Lab) -> None:
    """v1 refuses it, by either way; v2 takes it, and kills."""
    box = lab.run("toolbox", ["python3", "-c", HOLDS], name="box", memory="96m")
    box.wait_log("ready", timeout=60)
    if box.cgroup().is_v2("memory"):
        box.set_limit("memory.max", "24m")
        assert box.wait_exit(timeout=60) == 137
        return
    with pytest.raises(BadValueError, match="busy"):
        box.set_limit("memory.max", "24m")
    with pytest.raises(EngineRefusedError, match="memory"):
        box.update(mem_limit=24 << 20, memswap_limit=24 << 20)
    assert box.cgroup().memory().max == 96 << 20


def test_a_memory_limit_under_which_it_cannot_start(lab: Lab) -> None:
    """The engine refuses it, and nothing is left."""
    with pytest.raises(EngineRefusedError, match=r"(?i)memory"):
        lab.run("base", name="tiny", memory="1m")
    assert lab.containers() == []


def test_a_group_that_goes_between_two_looks(lab: Lab) -> None:
    box = lab.run("base", name="box")
    group, pid = box.cgroup(), box.pid
    with group.samples(interval=0.05) as samples:
        next(samples)
        box.remove()
        with pytest.raises(ProcessGoneError):
            for _ in samples:
                pass
    for look in (
        group.memory, group.memory_limit, group.memory_stat, group.program_memory, group.cpu,
        group.usage, group.tasks, group.cpuset, group.freezer, group.io, group.pids, group.files,
    ):  # fmt: skip
        with pytest.raises(ProcessGoneError, match="gone"):
            look()
    if group.directories.get(""):
        with pytest.raises(ProcessGoneError):
            group.pressure()
    with pytest.raises(ProcessGoneError, match="has ended"):
        Cgroup(lab.engine.host, pid)


def test_many_at_once_leave_out_who_has_ended(lab: Lab) -> None:
    made = lab.run_many("base", count=4, memory="64m", network="none")
    pids = [one.pid for one in made]
    groups = Cgroups(lab.engine.host, [*pids, 2**22])
    assert set(groups.by_pid) == set(pids)
    assert {usage.memory.max for usage in groups.usage().values()} == {64 << 20}
    made[0].remove()
    assert set(groups.usage()) == set(pids[1:])
    assert set(Cgroups(lab.engine.host, pids).by_pid) == set(pids[1:])
    assert Cgroups(lab.engine.host, []).usage() == {}


def test_memory_and_tasks_are_what_docker_stats_prints(lab: Lab) -> None:
    box = lab.run("base", name="box", memory="64m")
    columns = "{{.PIDs}} {{.MemUsage}}"
    told = does(lab, "stats", "--no-stream", "--format", columns, "box").split()
    group = box.cgroup()
    assert int(told[0]) == group.tasks().current == 1
    assert told[-1] == "64MiB"
    stat = group.memory_stat()
    kept = stat["inactive_file"] if group.is_v2("memory") else stat["total_inactive_file"]
    shown = float(told[1].rstrip("KMiB")) * (1 << 20 if "MiB" in told[1] else 1 << 10)
    assert abs(shown - (group.memory().current - kept)) < 256 << 10


def test_who_is_in_a_group_below_is_in_the_container(lab: Lab) -> None:
    """And `docker top` says the same."""
    filters = ["seccomp=unconfined", "apparmor=unconfined"]
    box = lab.run("toolbox", name="box", cap_add=["SYS_ADMIN"], security_opt=filters)
    below = """
        cd /sys/fs/cgroup; test -e cgroup.controllers || cd pids
        mount -o remount,bind,rw . && mkdir below && echo $$ >below/cgroup.procs
        exec sleep 998 >/dev/null 2>&1
    """
    box.exec(["sh", "-c", 'sh -c "$0" &', below])
    box.wait_until(lambda: ("sleep", "998") in {p.cmdline for p in box.processes()}, what="it")
    (there,) = (p.pid for p in box.processes() if p.cmdline == ("sleep", "998"))
    assert there not in box.cgroup().pids()
    pids = [line.split()[1] for line in does(lab, "top", "box").splitlines()[1:]]
    assert sorted(map(int, pids)) == [p.pid for p in box.processes()]


def test_throttling_and_pressure_are_counted(lab: Lab) -> None:
    box = lab.run("base", BUSY, name="box", cpus=0.1)
    group = box.cgroup()
    wait_until(lambda: group.cpu().nr_throttled > 5, timeout=60, what="throttled periods")
    cpu = group.cpu()
    assert 0 < cpu.nr_throttled <= cpu.nr_periods
    if found := group.pressure():
        assert found["cpu"].some.total_us > 0


def test_forks_that_the_limit_refuses_are_counted(lab: Lab) -> None:
    box = lab.run("base", name="box", pids=4)
    group = box.cgroup()
    assert group.tasks().max_events == 0
    done = box.exec(["sh", "-c", "for i in 1 2 3 4 5 6; do sleep 1 & done"])
    assert done.exit_code != 0
    assert (group.tasks().max_events or 0) > 0
