"""The same limits and the same load, read on v1, v2 and a hybrid machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from labkit import kernel as k
from labkit.errors import BadValueError
from labkit.kernel.cpu import weight_from_shares

from .conftest import Machine

NAMES = {
    "memory": (k.MEMORY_FILES_V1, k.MEMORY_FILES_V2, k.memory_state),
    "cpu": (k.CPU_FILES_V1, k.CPU_FILES_V2, k.cpu_state),
    "cpuset": (k.CPUSET_FILES_V1, k.CPUSET_FILES_V2, k.cpuset_state),
    "pids": (k.PIDS_FILES_V1, k.PIDS_FILES_V2, k.pids_state),
    "freezer": (k.FREEZER_FILES_V1, k.FREEZER_FILES_V2, k.freezer_state),
    "io": (k.IO_FILES_V1, k.IO_FILES_V2, k.io_state),
}


def files_of(machine: Machine, what: str, *, role: str = "container") -> dict[str, str]:
    """Read as a live reader does: a v1 file is in the directory its name's start says."""
    v1, v2, _ = NAMES[what]
    dirs = k.cgroup_dirs(machine.entries(role), machine.mounts())
    if machine.name == "v2":
        return machine.files([dirs[""]], v2)
    found: dict[str, str] = {}
    for name in v1:
        found |= machine.files([dirs[name.partition(".")[0]]], [name])
    return found


@pytest.mark.parametrize("what", NAMES)
def test_the_lists_of_files_are_complete_and_exact(machine: Machine, what: str) -> None:
    v1, v2, _ = NAMES[what]
    assert set(files_of(machine, what)) == set(v2 if machine.name == "v2" else v1)


def test_memory(machine: Machine) -> None:
    state = k.memory_state(files_of(machine, "memory"))
    assert (state.max, state.low, state.swap_max) == (16 << 20, 4 << 20, 8 << 20)
    assert state.oom_kills == 1
    assert state.max_events is not None
    assert state.max_events > 0
    assert state.peak == 16 << 20
    assert 0 < state.current < 16 << 20


def test_cpu(machine: Machine) -> None:
    state = k.cpu_state(files_of(machine, "cpu"))
    assert (state.quota_us, state.period_us, state.weight) == (20_000, 100_000, 50)
    assert state.shares == (None if machine.name == "v2" else 512)
    assert 0 < state.nr_throttled <= state.nr_periods
    # A busy loop uses up its 20 ms of each period, then waits for the rest of the 100 ms.
    assert 0.3 < state.usage_ns / (state.nr_periods * 20_000_000) < 3
    assert 10_000_000 < state.throttled_ns / state.nr_throttled < 300_000_000


def test_cpuset_pids_freezer(machine: Machine) -> None:
    assert k.cpuset_state(files_of(machine, "cpuset")) == k.CpusetState(
        frozenset({0}), frozenset({0})
    )
    pids = k.pids_state(files_of(machine, "pids"))
    assert (pids.current, pids.max, pids.max_events) == (2, 20, 0)
    assert k.freezer_state(files_of(machine, "freezer")).frozen is True


def test_io(machine: Machine) -> None:
    # 2 x 64 KiB written and 4 x 64 KiB read, past the page cache; the hybrid machine's disk has the
    # programs on it too.
    state = k.io_state(files_of(machine, "io"))
    assert state.bytes_written == 128 << 10
    assert 0 <= state.bytes_read - (256 << 10) <= (256 << 10 if machine.name == "hybrid" else 0)
    (limit,) = state.limits
    assert (limit.read_bps, limit.write_bps) == (1_000_000_000, 1_000_000_000)


def test_what_is_slowed_is_of_v2_alone(machine: Machine) -> None:
    high = k.memory_state(files_of(machine, "memory")).high
    assert high == (12 << 20 if machine.name == "v2" else None)


def test_pressure_is_where_a_v2_tree_is(machine: Machine) -> None:
    dirs = k.cgroup_dirs(machine.entries("container"), machine.mounts())
    found = k.pressures(machine.files([dirs[""]] if "" in dirs else [], k.PRESSURE_FILES))
    if machine.name == "v1":
        assert found == {}
        return
    assert set(found) == {"cpu", "memory", "io"}
    cpu = found["cpu"]  # it was throttled
    assert 0 < cpu.some.avg300 < cpu.some.avg60 < cpu.some.avg10 <= 100
    assert cpu.full is not None
    assert 1_000_000 < cpu.full.total_us <= cpu.some.total_us < 4_000_000


def test_no_limits_in_v1(recorded: Callable[[str], Machine]) -> None:
    names = k.MEMORY_FILES_V1
    state = k.memory_state(recorded("v1").files(["/sys/fs/cgroup/memory"], names))
    assert state.max is None
    assert state.current > 0


def test_root_of_v2(recorded: Callable[[str], Machine]) -> None:
    machine = recorded("v2")
    cpu = k.cpu_state(files_of(machine, "cpu", role="host"))
    assert (cpu.quota_us, cpu.weight, cpu.nr_throttled) == (None, None, 0)
    assert cpu.usage_ns > 0
    assert k.io_state(files_of(machine, "io", role="host")).bytes_read >= 256 << 10
    for what in ("memory", "pids", "freezer"):
        with pytest.raises(BadValueError):
            NAMES[what][2](files_of(machine, what, role="host"))


UNLIMITED_V2 = {
    "memory.current": "0\n",
    "memory.max": "max\n",
    "memory.low": "0\n",
    "memory.swap.max": "max\n",
}


def test_no_limits_in_v2() -> None:
    state = k.memory_state(UNLIMITED_V2)
    assert state == k.MemoryState(0, None, None, None, None, None, None)
    protected = k.memory_state(UNLIMITED_V2 | {"memory.low": "max\n"})
    assert protected.low is not None
    cpu = k.cpu_state({"cpu.max": "max 100000\n", "cpu.stat": "usage_usec 7\n"})
    assert (cpu.quota_us, cpu.usage_ns) == (None, 7000)
    assert k.pids_state({"pids.current": "3\n", "pids.max": "max\n"}).max is None


@pytest.mark.parametrize("page", [4096, 16384, 65536])
def test_no_limit_in_v1_with_any_page_size(page: int) -> None:
    huge = str((2**63 - 1) // page * page)
    state = k.memory_state(
        {
            "memory.usage_in_bytes": "4096",
            "memory.limit_in_bytes": "8192",
            "memory.soft_limit_in_bytes": huge,
            "memory.memsw.limit_in_bytes": huge,
        }
    )
    assert (state.max, state.low, state.swap_max) == (8192, None, None)


def test_no_quota_in_v1() -> None:
    state = k.cpu_state(
        {"cpu.cfs_quota_us": "-1\n", "cpu.stat": "nr_periods 0\n", "cpuacct.usage": "5\n"}
    )
    assert (state.quota_us, state.period_us, state.usage_ns) == (None, 100_000, 5)


@pytest.mark.parametrize(
    ("shares", "weight"),
    [(2, 1), (10, 1), (512, 50), (517, 50), (522, 51), (1024, 100), (262144, 10000)],
)
def test_weight_from_shares(shares: int, weight: int) -> None:
    assert weight_from_shares(shares) == weight


@pytest.mark.parametrize(
    ("text", "expected"),
    [("\n", set()), ("0\n", {0}), ("0-2,5\n", {0, 1, 2, 5}), ("7,9-9", {7, 9})],
)
def test_lists_of_cpus(text: str, expected: set[int]) -> None:
    state = k.cpuset_state({"cpuset.cpus.effective": text, "cpuset.mems.effective": "0"})
    assert state.cpus == expected


@pytest.mark.parametrize(
    ("files", "frozen"),
    [
        ({"freezer.state": "THAWED\n"}, False),
        ({"freezer.state": "FREEZING\n"}, False),
        ({"freezer.state": "FROZEN\n"}, True),
        ({"cgroup.events": "populated 1\nfrozen 0\n"}, False),
    ],
)
def test_frozen(files: dict[str, str], frozen: bool) -> None:
    assert k.freezer_state(files).frozen is frozen


def test_io_of_several_devices() -> None:
    v2 = "7:0 7:1 8:0 rbytes=1 wbytes=2 rios=9\n8:16 rbytes=10 wbytes=20 cost.usage=0\n"
    assert k.io_state({"io.stat": v2}) == k.IoState(11, 22)
    v1 = "8:0 Read 1\n8:0 Write 2\n8:0 Total 3\n8:16 Read 10\n8:16 Write 20\nTotal 33\n"
    assert k.io_state({"blkio.throttle.io_service_bytes": v1}) == k.IoState(11, 22)


@pytest.mark.parametrize(
    ("make", "files"),
    [
        (k.memory_state, {}),
        (k.memory_state, UNLIMITED_V2 | {"memory.max": "much"}),
        (k.memory_state, UNLIMITED_V2 | {"memory.events": "max"}),
        (k.memory_state, {"memory.usage_in_bytes": "1"}),
        (k.memory_state, {"memory.usage_in_bytes": "", "memory.limit_in_bytes": "1"}),
        (k.cpu_state, {"cpu.stat": "nr_periods 0\n"}),
        (k.cpu_state, {"cpu.stat": "usage_usec x\n"}),
        (k.cpu_state, {"cpu.stat": "usage_usec 1\n", "cpu.max": "max"}),
        (k.cpuset_state, {"cpuset.cpus.effective": "3-1", "cpuset.mems.effective": "0"}),
        (k.cpuset_state, {"cpuset.cpus.effective": "a", "cpuset.mems.effective": "0"}),
        (k.cpuset_state, {"cpuset.cpus.effective": "0"}),
        (k.pids_state, {"pids.current": "1"}),
        (k.pids_state, {"pids.current": "max", "pids.max": "max"}),
        (k.freezer_state, {"freezer.state": ""}),
        (k.freezer_state, {"cgroup.events": "populated 1\n"}),
        (k.io_state, {}),
        (k.io_state, {"io.stat": "8:0 rbytes=x"}),
        (k.io_state, {"io.stat": "nonsense"}),
        (k.io_state, {"io.stat": "", "io.max": "8:0 max"}),
        (k.pressures, {"cpu.pressure": ""}),
        (k.pressures, {"cpu.pressure": "some avg10=1 avg60=1 avg300=1 total=1"}),
        (k.pressures, {"io.pressure": "full avg10=0.00 avg60=0.00 avg300=0.00 total=0"}),
        (k.io_state, {"blkio.throttle.io_service_bytes": "8:0 Read 1 2"}),
    ],
)
def test_malformed(make: Callable[[Mapping[str, str]], Any], files: dict[str, str]) -> None:
    with pytest.raises(BadValueError):
        make(files)


def test_memory_of_programs_is_what_no_file_stands_behind() -> None:
    assert k.program_memory("anon 100\nfile 900\nshmem 20\n") == 120
    v1 = "cache 1\nrss 2\nshmem 3\ntotal_cache 900\ntotal_rss 100\ntotal_shmem 20\n"
    assert k.program_memory(v1) == 120


def test_the_limit_that_counts_is_the_lowest() -> None:
    assert k.lowest_limit(["max\n", "41943040\n", "99999999\n"]) == 40 << 20
    assert k.lowest_limit(["max\n"]) is None
    assert k.lowest_limit(["9223372036854771712\n"]) is None
    assert k.lowest_limit([]) is None
