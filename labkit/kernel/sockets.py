"""Sockets and addresses of a network namespace, from /proc/PID/net (man 5 proc_pid_net)."""

from __future__ import annotations

import re

from labkit.kernel._text import malformed

LISTEN = "0A"  # the state of a listening socket, include/net/tcp_states.h
# 127.0.0.0/8, alone or mapped into IPv6, and ::1: words of 32 bits, each in the machine's order.
_LOOPBACK = re.compile(r"(0{16}FFFF0000)?[0-9A-F]{6}7F|0{24}01000000")
_SHOWN = re.compile(r"^\d+: ([^\s:@]+)\S*\s+inet (\d+\.\d+\.\d+\.\d+)", re.MULTILINE)
_LOCAL = re.compile(r"\|-- (\d+\.\d+\.\d+\.\d+)\n\s+/32 host LOCAL")


def parse_listening(tcp: str, *, loopback: bool = True) -> frozenset[int]:
    """The ports on which something listens, from net/tcp or net/tcp6; `ss -tln` shows the same.

    What listens on loopback alone is left out where `loopback` is False.

    Raises `BadValueError` where a line is malformed.
    """
    found = set()
    for line in tcp.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 4 or ":" not in fields[1]:
            raise malformed("a line of a /proc/PID/net/tcp", line)
        address, _, port = fields[1].rpartition(":")
        if fields[3] == LISTEN and (loopback or not _LOOPBACK.fullmatch(address)):
            found.add(int(port, 16))
    return frozenset(found)


def parse_interface_addresses(shown: str) -> dict[str, frozenset[str]]:
    """The IPv4 addresses of each interface, from what `ip -o -4 address show` prints."""
    found: dict[str, frozenset[str]] = {}
    for name, address in _SHOWN.findall(shown):
        found[name] = found.get(name, frozenset()) | {address}
    return found


def parse_local_addresses(fib_trie: str) -> frozenset[str]:
    """The IPv4 addresses that are local to the namespace, from net/fib_trie; `ip -4 addr`."""
    return frozenset(_LOCAL.findall(fib_trie))
