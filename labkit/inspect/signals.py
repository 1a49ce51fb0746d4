"""What a process does with signals."""

from __future__ import annotations

from labkit.host import Host
from labkit.kernel import SignalSets, parse_signal_sets


def read_signals(host: Host, pid: int) -> SignalSets:
    """Which signals a process blocks, ignores and handles. Source: signal(7).

    Shell: `grep ^Sig /proc/PID/status`. Raises ProcessGoneError.
    """
    return parse_signal_sets(host.read(f"/proc/{pid}/status"))


def read_blocked(host: Host, pid: int) -> frozenset[int]:
    """The signals that every thread of a process blocks: what is sent to it reaches nobody.

    Shell: `grep SigBlk /proc/PID/task/*/status`. Source: signal(7). Raises ProcessGoneError.
    """
    tasks = host.list(f"/proc/{pid}/task")
    texts = host.read_many([f"/proc/{pid}/task/{task}/status" for task in tasks])
    blocked = [frozenset(parse_signal_sets(text).blocked) for text in texts.values()]
    return frozenset.intersection(*blocked) if blocked else frozenset()
