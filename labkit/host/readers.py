"""Read one thing of the host into a record: the paths, the batch, the pure parser."""

from __future__ import annotations

from collections.abc import Iterable

from labkit.errors import BadValueError, ProcessGoneError
from labkit.host.host import Host, host_error
from labkit.kernel import (
    KINDS,
    CapabilitySets,
    IdMap,
    Mount,
    Namespaces,
    Process,
    parse_capability_sets,
    parse_id_map,
    parse_mountinfo,
    parse_process,
)

_NS_LINKS = tuple(f"ns/{kind}" for kind in KINDS)


def read_namespaces(host: Host, pid: int) -> Namespaces:
    """The namespaces of one process. Shell: `lsns --task PID`. Source: namespaces(7).

    Raises ProcessGoneError, HostPermissionError.
    """
    return read_namespaces_of(host, [pid])[pid]


def read_namespaces_of(host: Host, pids: Iterable[int]) -> dict[int, Namespaces]:
    """The namespaces of some processes, in one request."""
    wanted = list(pids)
    requests = [
        {"op": "link", "path": f"/proc/{pid}/{link}"} for pid in wanted for link in _NS_LINKS
    ]
    answers = host.ask(requests)
    found = {}
    for index, pid in enumerate(wanted):
        mine = answers[index * len(KINDS) : (index + 1) * len(KINDS)]
        links = {kind: a["value"] for kind, a in zip(KINDS, mine, strict=True) if "value" in a}
        if not links:
            raise host_error(requests[index * len(KINDS)], mine[0])
        found[pid] = Namespaces.from_links(links)
    return found


def read_namespace_table(host: Host) -> dict[int, Namespaces]:
    """The namespaces of every process that may be seen. Shell: `lsns`."""
    table = {}
    for pid, seen in host.sweep(link=_NS_LINKS).items():
        links = {name[3:]: link for name, link in seen.items() if link is not None}
        table[pid] = Namespaces.from_links(links)
    return table


def read_process(host: Host, pid: int) -> Process:
    """One process. Shell: `ps -o pid,ppid,state,args -p PID`. Source: proc(5).

    Raises ProcessGoneError.
    """
    names = ("stat", "status", "cmdline")
    texts = host.read_many([f"/proc/{pid}/{name}" for name in names])
    if len(texts) < len(names):
        raise ProcessGoneError(
            f"The process {pid} has ended.",
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


def read_id_maps(host: Host, pid: int) -> tuple[IdMap, IdMap]:
    """The user and the group id map of a process's user namespace.

    Shell: `cat /proc/PID/uid_map /proc/PID/gid_map`. Source: user_namespaces(7).
    """
    uid_map = host.read(f"/proc/{pid}/uid_map")
    gid_map = host.read(f"/proc/{pid}/gid_map")
    return parse_id_map(uid_map), parse_id_map(gid_map)


def read_capabilities(host: Host, pid: int) -> CapabilitySets:
    """The capability sets of a process. Shell: `getpcaps PID`. Source: capabilities(7)."""
    return parse_capability_sets(host.read(f"/proc/{pid}/status"))


def read_mounts(host: Host, pid: int) -> tuple[Mount, ...]:
    """The mounts a process sees. Shell: `findmnt --task PID`. Source: proc_pid_mountinfo(5)."""
    return parse_mountinfo(host.read(f"/proc/{pid}/mountinfo"))
