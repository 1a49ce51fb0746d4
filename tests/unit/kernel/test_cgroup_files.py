"""One name for a setting, and what is written for it into which file."""

from __future__ import annotations

import pytest

from labkit.errors import BadValueError
from labkit.kernel import CGROUP_FILES, to_write

from .conftest import Machine


def test_the_names_are_those_of_the_recorded_machines(machine: Machine) -> None:
    seen = {path.name for path in machine.root.glob("sys/**/*")}
    version = "v2" if machine.name == "v2" else "v1"
    named = {getattr(one, version) for one in CGROUP_FILES} - {None}
    # What was asked for, and not what came of it, is in no recorded tree.
    assert named - seen <= {"cpuset.cpus", "cgroup.freeze"}


@pytest.mark.parametrize(
    ("name", "value", "v1", "v2"),
    [
        ("memory.max", 8192, {"memory.limit_in_bytes": "8192"}, {"memory.max": "8192"}),
        ("memory.max", "max", {"memory.limit_in_bytes": "-1"}, {"memory.max": "max"}),
        ("memory.low", 4096, {"memory.soft_limit_in_bytes": "4096"}, {"memory.low": "4096"}),
        ("pids.max", 20, {"pids.max": "20"}, {"pids.max": "20"}),
        ("pids.max", "max", {"pids.max": "max"}, {"pids.max": "max"}),
        ("cpu.weight", 50, {"cpu.shares": "512"}, {"cpu.weight": "50"}),
        ("cpu.max", "max", {"cpu.cfs_quota_us": "-1"}, {"cpu.max": "max"}),
        (
            "cpu.max",
            "20000 50000",
            {"cpu.cfs_period_us": "50000", "cpu.cfs_quota_us": "20000"},
            {"cpu.max": "20000 50000"},
        ),
        ("cgroup.freeze", 1, {"freezer.state": "FROZEN"}, {"cgroup.freeze": "1"}),
        ("cgroup.freeze", 0, {"freezer.state": "THAWED"}, {"cgroup.freeze": "0"}),
    ],
)
def test_what_is_written(
    name: str, value: int | str, v1: dict[str, str], v2: dict[str, str]
) -> None:
    assert to_write(name, value, v2=False) == v1
    assert to_write(name, value, v2=True) == v2


@pytest.mark.parametrize(
    ("name", "value"),
    [("memory.high", 8192), ("memory.current", 1), ("cpu.shares", 2), ("cpu.weight", "heavy")],
)
def test_what_v1_has_not_or_cannot_be_written(name: str, value: int | str) -> None:
    with pytest.raises(BadValueError):
        to_write(name, value, v2=False)
