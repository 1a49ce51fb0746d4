"""How long the tasks of a cgroup waited for something to work with (kernel: accounting/psi.rst)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from labkit.kernel._text import malformed

# Only v2 has them; in its tree they are there without any controller, and so on hybrid machines.
PRESSURE_FILES: tuple[str, ...] = ("cpu.pressure", "memory.pressure", "io.pressure")

_LINE = re.compile(r"(some|full) avg10=(\d+\.\d+) avg60=(\d+\.\d+) avg300=(\d+\.\d+) total=(\d+)")


@dataclass(frozen=True)
class Stall:
    """The share of time in which tasks waited, in percent of the last 10, 60 and 300 seconds."""

    avg10: float
    avg60: float
    avg300: float
    total_us: int  # microseconds since the cgroup was made


@dataclass(frozen=True)
class Pressure:
    """Waiting for one resource; `cat /proc/pressure/cpu` has the machine's."""

    some: Stall  # at least one task waited
    full: Stall | None  # all that could have worked did; None: of the CPU before Linux 5.13


def pressures(files: Mapping[str, str]) -> dict[str, Pressure]:
    """Make those there are of `PRESSURE_FILES`: "cpu", "memory", "io".

    None are there on cgroup v1 alone, or where the kernel was started with `psi=0`. Raises
    `BadValueError` where a text is malformed.
    """
    return {
        name.removesuffix(".pressure"): _pressure(files[name])
        for name in PRESSURE_FILES
        if name in files
    }


def _pressure(text: str) -> Pressure:
    lines = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise malformed("a pressure file", text)
        lines[match[1]] = Stall(
            float(match[2]), float(match[3]), float(match[4]), total_us=int(match[5])
        )
    if "some" not in lines:
        raise malformed("a pressure file", text)
    return Pressure(lines["some"], lines.get("full"))
