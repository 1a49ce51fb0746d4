"""The processes of containers among those of the host: which is whose child, and which pid."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from labkit.kernel import Process

LENGTH = 44  # characters of a command line
FIRST = "the host's first process"
UNSEEN = "no parent that can be seen"
# What the engine's processes are for, by the beginning of their names (comm has 15 bytes).
ROLES = {
    "dockerd": "the engine's daemon",
    "podman": "the engine",
    "containerd-shim": "keeps one container",
    "conmon": "keeps one container",
    "containerd": "starts and stops containers",
}
DAEMONS = ("dockerd", "containerd", "podman")
STANDARD = "/run/containerd"  # where the machine's own containerd listens


@dataclass(frozen=True)
class Node:
    """A process in its place in the tree."""

    process: Process
    depth: int  # 0: at the top
    skipped: bool  # whether processes between it and the one above are left out
    container: str  # "" for the host's
    role: str  # what it is for; "" for a container's

    @property
    def command(self) -> str:
        """Its command line, cut short; of the host's processes the program alone."""
        words = self.process.cmdline
        if not words or not words[0]:
            ended = " (zombie)" if self.process.state == "Z" else ""
            return f"[{self.process.comm}]{ended}"
        if not self.container:
            return PurePosixPath(words[0].split(" ")[0].rstrip(":")).name or self.process.comm
        # All whitespace as one space: an argument may be a program of many lines.
        line = " ".join(" ".join(words).split())
        return line if len(line) <= LENGTH else f"{line[: LENGTH - 2]} …"

    @property
    def label(self) -> str:
        """What the tree calls it: the host's first program has another name on every machine."""
        return FIRST if self.role == FIRST else self.command

    @property
    def note(self) -> str:
        """What it is for, if its label does not say so already."""
        return "" if self.role == FIRST else self.role

    @property
    def inside_pid(self) -> str:
        """Its pid in its own PID namespace; ? where the kernel does not tell (before 4.1)."""
        return "?" if self.process.inside_pid is None else str(self.process.inside_pid)


def nodes(
    processes: Mapping[int, Process], *, anchor: int, members: Mapping[str, Collection[int]]
) -> tuple[Node, ...]:
    """The tree, from the top down, of the containers' processes and of those that they hang on.

    Kept of the host's are the top of each chain of parents, the engine's daemons, and the parents
    of the containers' first processes.
    """
    owner = {pid: name for name, pids in members.items() for pid in pids if pid in processes}
    shims = {
        processes[pid].ppid
        for pid, name in owner.items()
        if owner.get(processes[pid].ppid) != name and processes[pid].ppid in processes
    }
    kept = {*owner, *shims, *_daemons(processes, anchor, shims)}
    kept |= {list(_chain(processes, pid))[-1] for pid in list(kept)}
    below: dict[int, list[int]] = {}
    skipped = set()
    for pid in kept:
        parents = list(_chain(processes, pid))[1:]
        parent = next((one for one in parents if one in kept), 0)
        below.setdefault(parent, []).append(pid)
        if parent and parent != parents[0]:
            skipped.add(pid)

    # Containers in the order in which they were named, after the daemons; else the older first.
    order = {name: place for place, name in enumerate(members, start=1)}

    def rank(pid: int) -> tuple[int, int, int]:
        inside = [order[owner[one]] for one in _subtree(below, pid) if one in owner]
        return (min(inside, default=0), processes[pid].start_time, pid)

    def walk(pid: int, depth: int) -> Iterator[Node]:
        process = processes[pid]
        container = owner.get(pid, "")
        role = "" if container else _role(process, top=depth == 0)
        yield Node(process, depth, pid in skipped, container, role)
        for child in sorted(below.get(pid, ()), key=rank):
            yield from walk(child, depth + 1)

    return tuple(node for top in sorted(below.get(0, ()), key=rank) for node in walk(top, 0))


def tree_text(tree: Collection[Node], *, host_pids: bool = False) -> str:
    """The tree as lines, two spaces for each generation."""
    lines = []
    for node in tree:
        notes = [node.note] if node.note else []
        if node.container:
            notes.append(f"pid {node.inside_pid} in {node.container}")
        if host_pids:
            notes.append(f"pid {node.process.pid} on the host")
        dots = "… " if node.skipped else ""
        lines.append(
            "  " * node.depth + dots + node.label + (f"  ({', '.join(notes)})" if notes else "")
        )
    return "\n".join(lines)


def _role(process: Process, *, top: bool) -> str:
    if top and process.pid == 1:
        return FIRST
    found = next((role for name, role in ROLES.items() if process.comm.startswith(name)), "")
    return found or (UNSEEN if top else "")


def _daemons(processes: Mapping[int, Process], anchor: int, shims: Collection[int]) -> set[int]:
    """The engine's daemons, of all engines on the machine: by descent, else by the socket."""
    related = {
        pid for shim in (anchor, *shims) if shim in processes for pid in _chain(processes, shim)
    }
    sockets = {
        str(PurePosixPath(after).parent)
        for shim in shims
        for word, after in zip(processes[shim].cmdline, processes[shim].cmdline[1:], strict=False)
        if word == "-address"
    }
    for pid, process in processes.items():
        words = process.cmdline
        named = any(socket in word for socket in sockets for word in words)
        if named or (STANDARD in sockets and len(words) == 1) or process.ppid == anchor:
            related |= {pid, process.ppid}
    return {pid for pid in related if pid in processes and processes[pid].comm in DAEMONS}


def _chain(processes: Mapping[int, Process], pid: int) -> Iterator[int]:
    """The process and its ancestors, as far as they can be seen."""
    yield pid
    parent = processes[pid].ppid
    # A pid may have been used again while we read: no parent is younger than its child.
    if parent in processes and processes[parent].start_time <= processes[pid].start_time:
        yield from _chain(processes, parent)


def _subtree(below: Mapping[int, Collection[int]], pid: int) -> Iterator[int]:
    yield pid
    for child in below.get(pid, ()):
        yield from _subtree(below, child)
