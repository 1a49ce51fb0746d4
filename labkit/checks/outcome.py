"""What a check found: criteria with points, each with what was expected and what was observed."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import InitVar, dataclass
from enum import StrEnum

from labkit import palette
from labkit.errors import LabError


class Outcome(StrEnum):
    """How an exercise stands."""

    NOT_ATTEMPTED = "not attempted"
    NOT_JUDGED = "could not be judged"  # no fault of the learner's, and no points lost
    INCORRECT = "incorrect"
    PASSED = "passed"


@dataclass(frozen=True)
class Finding:
    """What one criterion found on the engine and its host."""

    passed: bool
    expected: str
    observed: str
    hint: str = ""  # what to try, given what was observed
    diagnose: InitVar[Callable[[], str] | None] = None  # makes the hint, and only after a failure

    def __post_init__(self, diagnose: Callable[[], str] | None) -> None:
        if diagnose is not None and not self.passed:
            object.__setattr__(self, "hint", _told(diagnose))
        # A learner's program chooses what it is called, and need not choose text.
        for name in ("expected", "observed", "hint"):
            text: str = getattr(self, name)
            object.__setattr__(self, name, text.encode(errors="backslashreplace").decode())


@dataclass(frozen=True)
class Result:
    """One criterion of an exercise, judged."""

    criterion: str
    points: int
    finding: Finding
    counts: bool = True  # a guard counts only together with the main thing it guards

    @property
    def earned(self) -> int:
        """All of its points, or none."""
        return self.points if self.finding.passed and self.counts else 0


@dataclass(frozen=True, repr=False)
class Report:
    """An exercise, judged; shows itself in a terminal and in a notebook."""

    exercise: str
    title: str
    outcome: Outcome
    results: tuple[Result, ...]
    advice: str = ""  # what to do where nothing was judged

    @property
    def earned(self) -> int:
        """Points of the criteria that passed; none where nothing was judged."""
        return sum(result.earned for result in self.results) if self._judged else 0

    @property
    def possible(self) -> int:
        """Points of all criteria."""
        return sum(result.points for result in self.results)

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the criteria that did not pass."""
        return tuple(result.criterion for result in self.results if not result.finding.passed)

    @property
    def _judged(self) -> bool:
        return self.outcome in (Outcome.INCORRECT, Outcome.PASSED)

    @property
    def _headline(self) -> str:
        points = f", {self.earned} of {self.possible} points" if self._judged else ""
        return f"{self.exercise} {self.title}: {self.outcome}{points}"

    def __repr__(self) -> str:
        lines = [self._headline]
        if not self._judged:
            return "\n".join([*lines, f"  {self.advice}"])
        for result in self.results:
            lines.append(f"  {_mark(result)} {result.criterion}{_proviso(result)}")
            lines += [f"      {name + ':':<9} {text}" for name, text in _rows(result)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        colour = {
            Outcome.PASSED: palette.PASSED,
            Outcome.INCORRECT: palette.FAILED,
            Outcome.NOT_ATTEMPTED: palette.UNDECIDED,
            Outcome.NOT_JUDGED: palette.UNDECIDED,
        }[self.outcome]
        parts = [f"<b>{html.escape(self._headline)}</b>"]
        if not self._judged:
            parts.append(f"<div>{_prose(self.advice)}</div>")
        else:
            parts += [_result_html(result) for result in self.results]
        style = f"border-left:4px solid {colour};padding:0.4em 1em;text-align:left"
        return f'<div style="{style}">{"".join(parts)}</div>'


def _told(diagnose: Callable[[], str]) -> str:
    """A diagnosis that cannot be made spoils no judgement."""
    try:
        return diagnose()
    except (LabError, LookupError):
        return "check again"


def _mark(result: Result) -> str:
    if not result.finding.passed:
        return "✗"
    return "✓" if result.counts else "–"


def _proviso(result: Result) -> str:
    return "" if result.counts or not result.finding.passed else " (counts once the rest is there)"


def _rows(result: Result) -> list[tuple[str, str]]:
    """What is said of a criterion that failed."""
    finding = result.finding
    if finding.passed:
        return []
    rows = [("expected", finding.expected), ("observed", finding.observed)]
    return rows + ([("hint", finding.hint)] if finding.hint else [])


def _prose(text: str) -> str:
    """Words as HTML, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _result_html(result: Result) -> str:
    rows = "".join(
        f'<div style="margin-left:1.5em"><i>{name}:</i> {_prose(text)}</div>'
        for name, text in _rows(result)
    )
    return f"<div>{_mark(result)} {_prose(result.criterion + _proviso(result))}{rows}</div>"
