"""Processes, with the numbers by which the host and a container know them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from labkit.errors import BadValueError, ProcessGoneError
from labkit.host import Host
from labkit.kernel import Process, parse_process
from labkit.table import Table, Tabular

# Running or sleeping changes from look to look; these last. Source: proc_pid_stat(5), state.
STATES = {"T": "stopped", "t": "traced", "Z": "zombie", "X": "dead"}


def read_process(host: Host, pid: int) -> Process:
    """One process. Shell: `ps -o pid,ppid,state,args -p PID`. Source: proc(5).

    Raises ProcessGoneError.
    """
    names = ("stat", "status", "cmdline")
    texts = host.read_many([f"/proc/{pid}/{name}" for name in names])
    if len(texts) < len(names):
        raise ProcessGoneError(
            f"The process {pid} has ended.",
            pid=pid,
            seen=f"/proc/{pid} is gone",
            do="start the container again, and look at its logs if it should have been running",
        )
    return parse_process(*texts.values())


def read_processes(host: Host) -> dict[int, Process]:
    """Every process of the host. Shell: `ps -e`."""
    return {pid: process for pid, process, _ in _swept(host)}


def read_members(host: Host, id: str, *, group: Collection[int]) -> tuple[Process, ...]:
    """The processes in a container's control group and in those made below; `id` names it in full.

    `group` are those that the group itself lists. Shell: `grep -l ID /proc/*/cgroup`.
    """
    # A zombie is in no group's list, and its own record names one all the same.
    members = [
        process
        for pid, process, cgroup in _swept(host, "cgroup")
        if pid in group or (id in (cgroup or "") and process.state != "Z")
    ]
    return tuple(sorted(members, key=lambda one: one.pid))


def _swept(host: Host, *more: str) -> Iterator[tuple[int, Process, str | None]]:
    """Every process, with one more file of it, if one is asked for."""
    for pid, seen in host.sweep(read=("stat", "status", "cmdline", *more)).items():
        stat, status, cmdline = seen["stat"], seen["status"], seen["cmdline"]
        # A process may end between two reads: then it is not there.
        if stat is not None and status is not None and cmdline is not None:
            try:
                process = parse_process(stat, status, cmdline)
            except BadValueError:
                if stat and status:
                    raise
            else:
                yield pid, process, seen[more[0]] if more else None


@dataclass(frozen=True, repr=False)
class ProcessTable(Tabular):
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
