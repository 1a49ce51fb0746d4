"""Processes, with the numbers by which the host and a container know them."""

from __future__ import annotations

from collections.abc import Iterator
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
    found = {}
    for pid, seen in host.sweep(read=("stat", "status", "cmdline")).items():
        stat, status, cmdline = seen["stat"], seen["status"], seen["cmdline"]
        # A process may end between two reads: then it is not there.
        if stat is not None and status is not None and cmdline is not None:
            try:
                found[pid] = parse_process(stat, status, cmdline)
            except BadValueError:
                if stat and status:
                    raise
    return found


def read_members(host: Host, id: str) -> set[int]:
    """The processes in a container's control group and in those made below; `id` names it in full.

    Shell: `grep --files-with-matches ID /proc/*/cgroup`.
    """
    seen = host.sweep(read=("cgroup",))
    return {pid for pid, one in seen.items() if id in (one["cgroup"] or "")}


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
