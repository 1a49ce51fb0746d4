"""What the kernel has of a container, as tables of relations: true in every run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from labkit.kernel import KINDS, Mount, Namespace, Namespaces, Process
from labkit.table import Shown, Table

# Running or sleeping changes from look to look; these last. Source: proc_pid_stat(5), state.
STATES = {"T": "stopped", "t": "traced", "Z": "zombie", "X": "dead"}


@dataclass(frozen=True, repr=False)
class NamespaceTable(Shown, Mapping[str, Namespace]):
    """A container's namespaces by kind, and with whom it shares each."""

    name: str
    own: Namespaces
    host: Namespaces
    others: Mapping[str, Namespaces]  # the other running containers of the lab, by name

    def __getitem__(self, kind: str) -> Namespace:
        return self.own[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self.own)

    def __len__(self) -> int:
        return len(self.own)

    def relation(self, kind: str) -> str:
        """ "shared with host", "shared with NAME, ..." or "its own"."""
        mine = self.own[kind]
        if self.host.get(kind) == mine:
            return "shared with host"
        sharing = [name for name, other in sorted(self.others.items()) if other.get(kind) == mine]
        return f"shared with {', '.join(sharing)}" if sharing else "its own"

    def table(self) -> Table:
        rows = [(kind, self.relation(kind)) for kind in KINDS if kind in self.own]
        return Table(("namespace", self.name), rows)


@dataclass(frozen=True, repr=False)
class MountTable(Shown):
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


@dataclass(frozen=True, repr=False)
class ProcessTable(Shown):
    """The processes of a container."""

    name: str
    processes: tuple[Process, ...]

    def __iter__(self) -> Iterator[Process]:
        return iter(self.processes)

    def __len__(self) -> int:
        return len(self.processes)

    def table(self) -> Table:
        rows = [
            (p.inside_pid, " ".join(p.cmdline) or f"[{p.comm}]", STATES.get(p.state, "alive"))
            for p in self.processes
        ]
        return Table((f"pid in {self.name}", "command", "state"), rows)
