"""The mounts that a process sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from labkit.host import Host
from labkit.kernel import Mount, parse_mountinfo
from labkit.table import Table, Tabular


def read_mounts(host: Host, pid: int) -> tuple[Mount, ...]:
    """The mounts a process sees. Shell: `findmnt --task PID`. Source: proc_pid_mountinfo(5)."""
    return parse_mountinfo(host.read(f"/proc/{pid}/mountinfo"))


@dataclass(frozen=True, repr=False)
class MountTable(Tabular):
    """What is mounted in a container."""

    name: str
    mounts: tuple[Mount, ...]

    def __iter__(self) -> Iterator[Mount]:
        return iter(self.mounts)

    def __len__(self) -> int:
        return len(self.mounts)

    def at(self, mount_point: str) -> Mount | None:
        """The mount that is seen at this place: the last one mounted there."""
        return next((m for m in reversed(self.mounts) if m.mount_point == mount_point), None)

    def table(self) -> Table:
        rows = [
            (m.mount_point, m.fs_type, "read-only" if "ro" in m.options else "read-write")
            for m in self.mounts
        ]
        return Table(("mounted at", "file system", f"for {self.name}"), rows)
