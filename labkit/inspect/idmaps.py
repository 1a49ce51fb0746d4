"""The id maps of a process's user namespace."""

from __future__ import annotations

from labkit.host import Host
from labkit.kernel import IdMap, parse_id_map


def read_id_maps(host: Host, pid: int) -> tuple[IdMap, IdMap]:
    """The user and the group id map of a process's user namespace.

    Shell: `cat /proc/PID/uid_map /proc/PID/gid_map`. Source: user_namespaces(7).
    """
    uid_map = host.read(f"/proc/{pid}/uid_map")
    gid_map = host.read(f"/proc/{pid}/gid_map")
    return parse_id_map(uid_map), parse_id_map(gid_map)
