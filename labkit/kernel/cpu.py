"""CPU time, quota and weight of a cgroup (kernel: cgroup-v2.rst "CPU", sched-bwc.rst)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labkit.errors import BadValueError
from labkit.kernel._text import flat_keyed, integer, limit, malformed, need

CPU_FILES_V1: tuple[str, ...] = (
    "cpu.cfs_quota_us",
    "cpu.cfs_period_us",
    "cpu.shares",
    "cpu.stat",
    "cpuacct.usage",
)
CPU_FILES_V2: tuple[str, ...] = ("cpu.max", "cpu.weight", "cpu.stat")

_DEFAULT_PERIOD_US = 100_000


@dataclass(frozen=True)
class CpuState:
    """CPU time of a cgroup and all below it, and its limits; `docker stats`, `systemd-cgtop`."""

    usage_ns: int
    quota_us: int | None  # CPU time a period, all CPUs together; None: no limit
    period_us: int  # 100000, the kernel's default, where the cgroup can have no quota (v2's root)
    weight: int | None  # share when CPUs are contended, 1 to 10000, 100 by default
    nr_periods: int  # periods in which the cgroup ran, counted only under a quota
    nr_throttled: int  # of them, those in which the quota ran out
    throttled_ns: int  # CPU time lost so, all CPUs together
    shares: int | None = None  # v1's own weight, 1024 by default; None in v2


def cpu_state(files: Mapping[str, str]) -> CpuState:
    """Make the state from the texts of `CPU_FILES_V1` or `CPU_FILES_V2`, those there are.

    Raises `BadValueError` where a text is malformed or the time used is missing.
    """
    stat = flat_keyed(need(files, "cpu.stat", v1="cpu.stat"), name="cpu.stat")
    if "cpuacct.usage" in files:
        return _state_v1(files, stat)
    if "usage_usec" not in stat:
        raise BadValueError(
            "The time that the cgroup used is missing.",
            value=dict(files),
            seen=f"files: {', '.join(sorted(files))}",
            do="On cgroup v1 read cpuacct.usage too; it is in the directory of cpuacct.",
        )
    quota, period = None, _DEFAULT_PERIOD_US
    if "cpu.max" in files:
        fields = files["cpu.max"].split()
        if len(fields) != 2:
            raise malformed("a cpu.max: QUOTA PERIOD", files["cpu.max"])
        quota = limit(fields[0], name="cpu.max")
        period = integer(fields[1], name="cpu.max")
    return CpuState(
        usage_ns=stat["usage_usec"] * 1000,
        quota_us=quota,
        period_us=period,
        weight=_number(files, "cpu.weight"),
        nr_periods=stat.get("nr_periods", 0),
        nr_throttled=stat.get("nr_throttled", 0),
        throttled_ns=stat.get("throttled_usec", 0) * 1000,
    )


def weight_from_shares(shares: int) -> int:
    """Convert cpu.shares (v1, 2 to 262144) to a cpu.weight (v2, 1 to 10000), as the kernel does.

    sched_weight_to_cgroup(): 1024 shares are weight 100, in proportion. A container runtime that
    is given shares on v2 chooses for itself: runc makes 39 of 1024, since version 1.3.2 100.
    """
    return min(max((shares * 100 + 512) // 1024, 1), 10_000)


def _state_v1(files: Mapping[str, str], stat: Mapping[str, int]) -> CpuState:
    quota = _number(files, "cpu.cfs_quota_us")
    period = _number(files, "cpu.cfs_period_us")
    shares = _number(files, "cpu.shares")
    return CpuState(
        usage_ns=integer(files["cpuacct.usage"], name="cpuacct.usage"),
        quota_us=None if quota is None or quota < 0 else quota,
        period_us=_DEFAULT_PERIOD_US if period is None else period,
        weight=None if shares is None else weight_from_shares(shares),
        nr_periods=stat.get("nr_periods", 0),
        nr_throttled=stat.get("nr_throttled", 0),
        throttled_ns=stat.get("throttled_time", 0),
        shares=shares,
    )


def _number(files: Mapping[str, str], name: str) -> int | None:
    return integer(files[name], name=name) if name in files else None
