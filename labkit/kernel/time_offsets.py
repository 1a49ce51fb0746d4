"""What the clocks of a time namespace are ahead, from /proc/PID/timens_offsets."""

from __future__ import annotations

from dataclasses import dataclass

from labkit.kernel._text import malformed

NANO = 1_000_000_000  # nanoseconds in a second


@dataclass(frozen=True)
class TimeOffsets:
    """How far the two clocks that count from the start of the machine are ahead, in seconds."""

    monotonic: float
    boottime: float  # what /proc/uptime tells


def parse_time_offsets(text: str) -> TimeOffsets:
    """Parse the file, a clock in each line; raise `BadValueError` where it is malformed.

    Source: time_namespaces(7).
    """
    found = {}
    for line in text.splitlines():
        try:
            clock, seconds, nanoseconds = line.split()
            found[clock] = int(seconds) + int(nanoseconds) / NANO
        except ValueError as err:
            raise malformed("a /proc/PID/timens_offsets", text) from err
    try:
        return TimeOffsets(monotonic=found["monotonic"], boottime=found["boottime"])
    except KeyError as err:
        raise malformed("a /proc/PID/timens_offsets", text) from err
