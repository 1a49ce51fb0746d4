"""What a process does with signals, from /proc/PID/status (man 7 signal, man 5 proc_pid_status)."""

from __future__ import annotations

from dataclasses import dataclass

from labkit.kernel._text import malformed


@dataclass(frozen=True)
class SignalSets:
    """Signals by number, 1 to 64; `ps -o blocked,ignored,caught -p PID` prints the masks."""

    blocked: frozenset[int]
    ignored: frozenset[int]
    caught: frozenset[int]  # those for which the process has a handler


def parse_signal_sets(status: str) -> SignalSets:
    """Parse the masks out of the text of /proc/PID/status; `BadValueError` where one is missing."""
    known = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    try:
        return SignalSets(*(_signals(known[name]) for name in ("SigBlk", "SigIgn", "SigCgt")))
    except (KeyError, ValueError) as err:
        raise malformed("a /proc/PID/status with SigBlk, SigIgn and SigCgt", status) from err


def _signals(mask: str) -> frozenset[int]:
    bits = int(mask, 16)
    return frozenset(number for number in range(1, 65) if bits >> (number - 1) & 1)
