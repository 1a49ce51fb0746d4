"""Sockets and addresses of the network namespace that a process is in."""

from __future__ import annotations

from labkit.host import Host
from labkit.kernel import parse_interface_addresses, parse_listening, parse_local_addresses


def read_listening(host: Host, pid: int, *, loopback: bool = True) -> frozenset[int]:
    """The TCP ports on which something listens there, on loopback too or elsewhere alone.

    Shell: `nsenter -t PID -n ss -tln`.
    """
    texts = host.read_many([f"/proc/{pid}/net/{name}" for name in ("tcp", "tcp6")])
    found = (parse_listening(text, loopback=loopback) for text in texts.values())
    return frozenset[int]().union(*found)


def read_interface_addresses(host: Host, pid: int) -> dict[str, frozenset[str]]:
    """The IPv4 addresses of each interface there. Raises ProcessGoneError, MissingToolError.

    Shell: `nsenter -t PID -n ip -o -4 address show`.
    """
    ran = host.run(["ip", "-o", "-4", "address", "show"], pid=pid, namespaces=["net"])
    return parse_interface_addresses(ran.stdout)


def read_local_addresses(host: Host, pid: int) -> frozenset[str]:
    """The IPv4 addresses that are local there, lo's too. Shell: `nsenter -t PID -n ip -4 addr`.

    Raises ProcessGoneError.
    """
    return parse_local_addresses(host.read(f"/proc/{pid}/net/fib_trie"))
