"""Two ways to do the same thing, timed in turn, and the ratio of their times with its target.

Both sides run in one process, one after the other, many times over: what else the machine does
then slows both. The ratio is the median of the ratios of neighbours, so one bad moment is one
bad pair and no more.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Side = Callable[[], float]  # does its work once, and returns the seconds that it took


def timed(action: Callable[[], object], *, times: int = 1) -> Side:
    """A side that calls `action` `times` times, and returns the mean of their seconds."""

    def side() -> float:
        began = time.perf_counter()
        for _ in range(times):
            action()
        return (time.perf_counter() - began) / times

    return side


@dataclass(frozen=True)
class Pair:
    """What was measured of labkit ("ours") and of what it is compared with ("theirs")."""

    name: str
    ours: tuple[float, ...]  # seconds, one for each round
    theirs: tuple[float, ...]
    at_most: float | None  # ours / theirs
    at_least: float | None  # theirs / ours: how many times faster we are

    @property
    def ratios(self) -> list[float]:
        """One ratio for each round, in the direction of the target."""
        rounds = zip(self.ours, self.theirs, strict=True)
        return [b / a if self.at_least is not None else a / b for a, b in rounds]

    @property
    def met(self) -> bool:
        """Whether the median ratio is within the target; a pair without one is only for scale."""
        ratio = statistics.median(self.ratios)
        return (self.at_most is None or ratio <= self.at_most) and (
            self.at_least is None or ratio >= self.at_least
        )

    def cells(self) -> tuple[str, ...]:
        """The pair as a row of the table."""
        sign, target = "", "-"
        if self.at_most is not None:
            target = f"at most {self.at_most:g}"
        elif self.at_least is not None:
            sign, target = " times faster", f"at least {self.at_least:g}"
        low, middle, high = (f(self.ratios) for f in (min, statistics.median, max))
        return (
            self.name,
            _show(statistics.median(self.ours)),
            _show(statistics.median(self.theirs)),
            f"{middle:.3g}{sign}" if middle < 1000 else f"{middle:.0f}{sign}",
            f"{low:.3g} to {high:.3g}" if high < 1000 else f"{low:.0f} to {high:.0f}",
            target,
            "-" if target == "-" else "yes" if self.met else "NO",
        )


def compare(
    name: str,
    ours: Side,
    theirs: Side,
    *,
    rounds: int,
    at_most: float | None = None,
    at_least: float | None = None,
) -> Pair:
    """Run the sides in turn, once to warm up and then `rounds` times."""
    ours(), theirs()
    measured = [(ours(), theirs()) for _ in range(rounds)]
    return Pair(
        name, tuple(a for a, _ in measured), tuple(b for _, b in measured), at_most, at_least
    )


def report(pairs: Sequence[Pair]) -> int:
    """Print the pairs as a table; return the exit code, 1 if a target is missed."""
    header = ("", "labkit", "the other", "ratio", "min to max", "target", "met")
    rows = [header, *(pair.cells() for pair in pairs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    load = "/".join(f"{one:.1f}" for one in os.getloadavg())
    print(
        f"{os.cpu_count()} CPUs, load {load}, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, median of {len(pairs[0].ours)} pairs"
    )
    for row in rows:
        cells = zip(row, widths, strict=True)
        print("  ".join(f"{text:{width}}" for text, width in cells).rstrip())
    return 0 if all(pair.met for pair in pairs) else 1


def _show(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"
