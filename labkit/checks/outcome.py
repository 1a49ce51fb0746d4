"""What a check found: criteria with points, each with what was expected and what was observed."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from enum import StrEnum

from labkit import palette


class Outcome(StrEnum):
    """How an exercise stands."""

    NOT_ATTEMPTED = "not attempted"
    INCORRECT = "incorrect"
    PASSED = "passed"


@dataclass(frozen=True)
class Finding:
    """What one criterion found on the engine and its host."""

    passed: bool
    expected: str
    observed: str
    hint: str = ""  # what to try, given what was observed


@dataclass(frozen=True)
class Result:
    """One criterion of an exercise, judged."""

    criterion: str
    points: int
    finding: Finding

    @property
    def earned(self) -> int:
        """All of its points, or none."""
        return self.points if self.finding.passed else 0


@dataclass(frozen=True, repr=False)
class Report:
    """An exercise, judged; shows itself in a terminal and in a notebook."""

    exercise: str
    title: str
    outcome: Outcome
    results: tuple[Result, ...]
    advice: str = ""  # what to do where nothing was attempted

    @property
    def earned(self) -> int:
        """Points of the criteria that passed; none where nothing was attempted."""
        return sum(result.earned for result in self.results) if self._attempted else 0

    @property
    def possible(self) -> int:
        """Points of all criteria."""
        return sum(result.points for result in self.results)

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the criteria that did not pass."""
        return tuple(result.criterion for result in self.results if not result.finding.passed)

    @property
    def _attempted(self) -> bool:
        return self.outcome is not Outcome.NOT_ATTEMPTED

    @property
    def _headline(self) -> str:
        points = f", {self.earned} of {self.possible} points" if self._attempted else ""
        return f"{self.exercise} {self.title}: {self.outcome}{points}"

    def __repr__(self) -> str:
        lines = [self._headline]
        if not self._attempted:
            return "\n".join([*lines, f"  {self.advice}"])
        for result in self.results:
            finding = result.finding
            lines.append(f"  {'✓' if finding.passed else '✗'} {result.criterion}")
            if not finding.passed:
                lines.append(f"      expected: {finding.expected}")
                lines.append(f"      observed: {finding.observed}")
                if finding.hint:
                    lines.append(f"      hint:     {finding.hint}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        colour = {
            Outcome.PASSED: palette.PASSED,
            Outcome.INCORRECT: palette.FAILED,
            Outcome.NOT_ATTEMPTED: palette.UNDECIDED,
        }[self.outcome]
        parts = [f"<b>{html.escape(self._headline)}</b>"]
        if not self._attempted:
            parts.append(f"<div>{_prose(self.advice)}</div>")
        else:
            parts += [_result_html(result) for result in self.results]
        style = f"border-left:4px solid {colour};padding:0.4em 1em;text-align:left"
        return f'<div style="{style}">{"".join(parts)}</div>'


def _prose(text: str) -> str:
    """Words as HTML, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _result_html(result: Result) -> str:
    finding = result.finding
    mark = "✓" if finding.passed else "✗"
    line = f"<div>{mark} {_prose(result.criterion)}"
    if not finding.passed:
        rows = [("expected", finding.expected), ("observed", finding.observed)]
        if finding.hint:
            rows.append(("hint", finding.hint))
        line += "".join(
            f'<div style="margin-left:1.5em"><i>{name}:</i> {_prose(text)}</div>'
            for name, text in rows
        )
    return line + "</div>"
