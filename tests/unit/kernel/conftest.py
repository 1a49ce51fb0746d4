"""The recorded machines, tests/data/record.py, as fixtures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from labkit.kernel import CgroupEntry, Mount, parse_mountinfo, parse_proc_cgroup

RECORDED = Path(__file__).parents[2] / "data/recorded"


@dataclass(frozen=True)
class Machine:
    """One recorded tree; roles are host, confined, container and kthread."""

    name: str

    @property
    def root(self) -> Path:
        return RECORDED / self.name

    def pid(self, role: str) -> int:
        roles: dict[str, int] = json.loads((self.root / "roles.json").read_text())
        return roles[role]

    def proc(self, role: str, file: str) -> str:
        return (self.root / "proc" / str(self.pid(role)) / file).read_text()

    def inside(self, file: str) -> str:
        """What the container reads of itself."""
        return (self.root / "inside/proc/self" / file).read_text()

    def links(self, role: str) -> dict[str, str]:
        directory = self.root / "proc" / str(self.pid(role)) / "ns"
        return {link.name: str(link.readlink()) for link in directory.iterdir()}

    def mounts(self, role: str = "host") -> tuple[Mount, ...]:
        return parse_mountinfo(self.proc(role, "mountinfo"))

    def entries(self, role: str) -> tuple[CgroupEntry, ...]:
        return parse_proc_cgroup(self.proc(role, "cgroup"))

    def files(self, directories: Iterable[str], names: Iterable[str]) -> dict[str, str]:
        """The texts of those files that there are in the directories."""
        paths = [self.root / d.lstrip("/") / name for d in directories for name in names]
        return {path.name: path.read_text() for path in paths if path.exists()}


@pytest.fixture(params=["v1", "v2", "hybrid"])
def machine(request: pytest.FixtureRequest) -> Machine:
    return Machine(request.param)


@pytest.fixture
def recorded() -> Callable[[str], Machine]:
    return Machine
