"""The capability sets of a process."""

from __future__ import annotations

from labkit.host import Host
from labkit.kernel import CapabilitySets, parse_capability_sets


def read_capabilities(host: Host, pid: int) -> CapabilitySets:
    """The capability sets of a process. Shell: `getpcaps PID`. Source: capabilities(7)."""
    return parse_capability_sets(host.read(f"/proc/{pid}/status"))
