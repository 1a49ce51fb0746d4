"""How far the clocks of a process are ahead of the machine's."""

from __future__ import annotations

from labkit.host import Host
from labkit.kernel import TimeOffsets, parse_time_offsets


def read_time_offsets(host: Host, pid: int) -> TimeOffsets:
    """The offsets of the time namespace in which a process's children are born, in seconds.

    That is its own, unless it has made one and stayed outside. Shell:
    `cat /proc/PID/timens_offsets`. Source: time_namespaces(7). Raises ProcessGoneError, HostError
    where the kernel has no time namespaces.
    """
    return parse_time_offsets(host.read(f"/proc/{pid}/timens_offsets"))
