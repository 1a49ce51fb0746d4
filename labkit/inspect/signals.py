"""What a process does with signals."""

from __future__ import annotations

from labkit.host import Host
from labkit.kernel import SignalSets, parse_signal_sets


def read_signals(host: Host, pid: int) -> SignalSets:
    """Which signals a process blocks, ignores and handles. Source: signal(7).

    Shell: `grep ^Sig /proc/PID/status`. Raises ProcessGoneError.
    """
    return parse_signal_sets(host.read(f"/proc/{pid}/status"))
