"""Sockets and addresses of a network namespace, from /proc/PID/net (man 5 proc_pid_net)."""

from __future__ import annotations

import re

from labkit.kernel._text import malformed

LISTEN = "0A"  # the state of a listening socket, include/net/tcp_states.h
# Whoever listens at one of these is reached at 127.0.0.1: itself, and all, of IPv6 too.
LOOPBACK = frozenset({"0100007F", "00000000", "0" * 32, f"{'0' * 16}FFFF00000100007F"})
_SHOWN = re.compile(r"^\d+: ([^\s:@]+)\S*\s+inet (\d+\.\d+\.\d+\.\d+)", re.MULTILINE)
_LOCAL = re.compile(r"\|-- (\d+\.\d+\.\d+\.\d+)\n\s+/32 host LOCAL")


def parse_listening(tcp: str) -> frozenset[int]:
    """The ports on which something listens, from net/tcp or net/tcp6; `ss -tln` shows the same.

    Raises `BadValueError` where a line is malformed.
    """
    return frozenset(parse_listening_sockets(tcp).values())


def parse_listening_sockets(tcp: str, *, loopback: bool = False) -> dict[int, int]:
    """The port of each listening socket by its inode number, as /proc/PID/fd names it.

    With `loopback`, of those alone that are reached at 127.0.0.1.
    Raises `BadValueError` where a line is malformed.
    """
    found: dict[int, int] = {}
    for line in tcp.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 4 or ":" not in fields[1]:
            raise malformed("a line of a /proc/PID/net/tcp", line)
        address, _, port = fields[1].rpartition(":")
        if fields[3] == LISTEN and (address in LOOPBACK or not loopback):
            inode = int(fields[9]) if len(fields) > 9 else -len(found)
            found[inode] = int(port, 16)
    return found


def parse_interface_addresses(shown: str) -> dict[str, frozenset[str]]:
    """The IPv4 addresses of each interface, from what `ip -o -4 address show` prints."""
    found: dict[str, frozenset[str]] = {}
    for name, address in _SHOWN.findall(shown):
        found[name] = found.get(name, frozenset()) | {address}
    return found


def parse_local_addresses(fib_trie: str) -> frozenset[str]:
    """The IPv4 addresses that are local to the namespace, from net/fib_trie; `ip -4 addr`."""
    return frozenset(_LOCAL.findall(fib_trie))
