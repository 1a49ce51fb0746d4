"""Sockets and addresses of the network namespace that a process is in."""

from __future__ import annotations

from collections.abc import Iterable

from labkit.host import Host
from labkit.kernel import (
    parse_interface_addresses,
    parse_listening,
    parse_listening_sockets,
    parse_local_addresses,
)


def read_listening(host: Host, pid: int) -> frozenset[int]:
    """The TCP ports on which something listens there. Shell: `nsenter -t PID -n ss -tln`."""
    texts = host.read_many(_tables(pid))
    return frozenset[int]().union(*map(parse_listening, texts.values()))


def read_served(
    host: Host, pids: Iterable[int], *, net: int, loopback: bool = False
) -> frozenset[int]:
    """The TCP ports on which one of these processes itself listens, in the network of `net`.

    With `loopback`, those alone that are reached at 127.0.0.1 there. Shell: `ss -tlnp`. Raises
    ProcessGoneError, HostPermissionError.
    """
    found, ports = set(), dict[str, int]()
    for text in host.read_many(_tables(net)).values():
        known = parse_listening_sockets(text, loopback=loopback)
        ports |= {f"socket:[{inode}]": port for inode, port in known.items()}
    for pid in pids if ports else ():
        names = host.list(f"/proc/{pid}/fd")
        links = host.ask([{"op": "link", "path": f"/proc/{pid}/fd/{name}"} for name in names])
        found |= {ports[link["value"]] for link in links if link.get("value") in ports}
    return frozenset(found)


def _tables(pid: int) -> list[str]:
    return [f"/proc/{pid}/net/{name}" for name in ("tcp", "tcp6")]


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
