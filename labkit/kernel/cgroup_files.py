"""The files of a cgroup by the names that they have in v1 and in v2: one vocabulary for both.

Sources: cgroups(7); the kernel's admin-guide/cgroup-v1 and cgroup-v2.rst.
"""

from __future__ import annotations

from dataclasses import dataclass

from labkit.errors import BadValueError
from labkit.kernel._text import integer


@dataclass(frozen=True)
class CgroupFile:
    """One thing that a cgroup limits or counts, and the file that says it."""

    what: str
    v1: str | None  # begins with the controller whose directory it is in; None: v1 has no such file
    v2: str
    option: str = ""  # of `docker run`, and most of `docker update`
    written: bool = True  # a limit; else a counter


CGROUP_FILES: tuple[CgroupFile, ...] = (
    CgroupFile("memory, at most", "memory.limit_in_bytes", "memory.max", "--memory"),
    # v1 has one limit for memory and swap together, v2 one for swap alone.
    CgroupFile("swap", "memory.memsw.limit_in_bytes", "memory.swap.max", "--memory-swap"),
    CgroupFile("memory, soft", "memory.soft_limit_in_bytes", "memory.low", "--memory-reservation"),
    CgroupFile("memory, slowed above", None, "memory.high"),
    CgroupFile("CPU time a period", "cpu.cfs_quota_us", "cpu.max", "--cpus, --cpu-quota"),
    CgroupFile("CPU weight", "cpu.shares", "cpu.weight", "--cpu-shares"),
    CgroupFile("which CPUs", "cpuset.cpus", "cpuset.cpus", "--cpuset-cpus"),
    CgroupFile("tasks, at most", "pids.max", "pids.max", "--pids-limit"),
    CgroupFile(
        "bytes a second to a disk",
        "blkio.throttle.write_bps_device",
        "io.max",
        "--device-write-bps",
    ),
    CgroupFile("frozen", "freezer.state", "cgroup.freeze", "docker pause"),
    CgroupFile("memory in use", "memory.usage_in_bytes", "memory.current", written=False),
    CgroupFile("killed for memory", "memory.oom_control", "memory.events", written=False),
    CgroupFile("CPU time used", "cpuacct.usage", "cpu.stat", written=False),
    CgroupFile("periods, throttled", "cpu.stat", "cpu.stat", written=False),
    CgroupFile("tasks now", "pids.current", "pids.current", written=False),
    CgroupFile("forks refused", "pids.events", "pids.events", written=False),
    CgroupFile(
        "bytes of disks",
        "blkio.throttle.io_service_bytes_recursive",
        "io.stat",
        written=False,
    ),
    CgroupFile("waits for a CPU", None, "cpu.pressure", written=False),
)
_BY_NAME = {one.v2: one for one in CGROUP_FILES if one.written}


def to_write(name: str, value: int | str, *, v2: bool) -> dict[str, str]:
    """What to write into which files for a setting by its v2 name, as `("memory.max", 4096)`.

    Where v1 has another unit it is converted: a `cpu.weight` into shares, a `cpu.max` into quota
    and period, `cgroup.freeze` into a state. `memory.swap.max` there limits memory and swap
    together. Raises `BadValueError` where there is no such setting.
    """
    found = _BY_NAME.get(name)
    if found is None or not (v2 or found.v1):
        raise BadValueError(
            f"cgroup {'v2' if v2 else 'v1'} has no setting {name!r}.",
            value=name,
            seen=", ".join(one for one, file in _BY_NAME.items() if v2 or file.v1),
            do="name one of these",
        )
    text = str(value)
    if v2:
        return {name: text}
    assert found.v1 is not None
    return _V1.get(name, _as_it_is)(found.v1, text)


def _as_it_is(file: str, text: str) -> dict[str, str]:
    return {file: "-1" if text == "max" and file.startswith("memory.") else text}


def _quota(file: str, text: str) -> dict[str, str]:
    quota, _, period = text.partition(" ")
    texts = {"cpu.cfs_period_us": period} if period else {}
    return texts | {file: "-1" if quota == "max" else quota}


def _shares(file: str, text: str) -> dict[str, str]:
    return {file: str(max(integer(text, name="cpu.weight") * 1024 // 100, 2))}


def _state(file: str, text: str) -> dict[str, str]:
    return {file: "FROZEN" if text == "1" else "THAWED"}


_V1 = {"cpu.max": _quota, "cpu.weight": _shares, "cgroup.freeze": _state}
