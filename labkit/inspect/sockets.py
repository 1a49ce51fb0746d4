"""Sockets and addresses of the network namespace that a process is in."""

from __future__ import annotations

from labkit.host import Host
from labkit.kernel import parse_listening, parse_local_addresses


def read_listening(host: Host, pid: int) -> frozenset[int]:
    """The TCP ports on which something listens there. Shell: `nsenter -t PID -n ss -tln`."""
    texts = host.read_many([f"/proc/{pid}/net/{name}" for name in ("tcp", "tcp6")])
    return frozenset[int]().union(*map(parse_listening, texts.values()))


def read_local_addresses(host: Host, pid: int) -> frozenset[str]:
    """The IPv4 addresses that are local there, lo's too. Shell: `nsenter -t PID -n ip -4 addr`.

    Raises ProcessGoneError.
    """
    return parse_local_addresses(host.read(f"/proc/{pid}/net/fib_trie"))
