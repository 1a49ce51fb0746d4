"""What the functions of `check` show besides reports."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labkit.checks.exercise import Exercise
from labkit.checks.ledger import Standing
from labkit.checks.outcome import Outcome
from labkit.checks.prediction import Prediction
from labkit.table import Table, Tabular


@dataclass(frozen=True, repr=False)
class Note:
    """A heading and a few words."""

    heading: str
    text: str

    def __repr__(self) -> str:
        return f"{self.heading}: {self.text}"

    def _repr_markdown_(self) -> str:
        return f"**{self.heading}:** {self.text}"


class Variant:
    """A learner's own values for an exercise, as attributes."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            raise AttributeError(f"this exercise has no value {name!r}") from None

    def __repr__(self) -> str:
        return "\n".join(f"{name} = {value!r}" for name, value in self._values.items())


@dataclass(frozen=True, repr=False)
class Code:
    """A heading and a piece of Python."""

    heading: str
    code: str

    def __repr__(self) -> str:
        return f"{self.heading}:\n\n{self.code}"

    def _repr_html_(self) -> str:
        return f"<b>{html.escape(self.heading)}</b><pre>{html.escape(self.code)}</pre>"


@dataclass(frozen=True, repr=False)
class ProgressTable(Tabular):
    """Every exercise of the course, and how far the learner got."""

    exercises: tuple[Exercise, ...]
    standings: Mapping[str, Standing]
    predictions: tuple[Prediction, ...] = ()

    def table(self) -> Table:
        rows, earned, possible = [], 0, 0
        for exercise in self.exercises:
            points = sum(criterion.points for criterion in exercise.criteria)
            standing = self.standings.get(exercise.id)
            got = standing.earned if standing else 0
            how = standing.outcome if standing else Outcome.NOT_ATTEMPTED
            rows.append((exercise.id, exercise.title, how, f"{got} of {points}"))
            earned, possible = earned + got, possible + points
        caption = f"Your progress: {earned} of {possible} points"
        if made := sum(one.said is not None for one in self.predictions):
            true = sum(one.came_true is True for one in self.predictions)
            caption += f"; {made} prediction{'s' * (made > 1)} made, {true} came true"
        return Table(("exercise", "what", "outcome", "points"), rows, caption)
