"""An exercise: what it asks for, and the criteria that judge whether it is there."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.checks.evidence import Evidence, MissingError
from labkit.checks.outcome import Finding, Outcome, Report, Result
from labkit.errors import EngineError, LabError

Judge = Callable[[Evidence], Finding]
STEADY = 0.4  # seconds between the two looks at a state that might flap

_HOW = {
    "container": 'make it with `lab.run(..., name="{0}")`',
    "network": 'make it with `lab.network("{0}")`',
    "image": 'make it with `lab.build("{0}", ...)`',
    "volume": 'make it with `lab.volume("{0}")`',
    "answer": 'give it with `answer("{1}", {0}=...)`',
}


@dataclass(frozen=True)
class Criterion:
    """One thing that is judged by itself and has its own points."""

    name: str
    points: int
    judge: Judge
    steady: bool  # judged twice, and passed only if it holds both times


class Exercise:
    """One exercise of a chapter's `checks.py`.

    `containers`, `networks`, `volumes` and `answers` name what the learner makes: while none of
    them exists, the exercise is not attempted. `hints` go from a nudge to nearly the answer.
    `vary` draws the learner's own values from a seeded generator.
    """

    def __init__(
        self,
        id: str,
        title: str,
        *,
        containers: Sequence[str] = (),
        networks: Sequence[str] = (),
        volumes: Sequence[str] = (),
        images: Sequence[str] = (),
        answers: Sequence[str] = (),
        hints: Sequence[str],
        vary: Callable[[random.Random], Mapping[str, Any]] | None = None,
    ) -> None:
        self.id = id
        self.title = title
        self.hints = tuple(hints)
        self.parts = tuple(
            (kind, name)
            for kind, names in (
                ("container", containers),
                ("network", networks),
                ("volume", volumes),
                ("image", images),
                ("answer", answers),
            )
            for name in names
        )
        self.criteria: list[Criterion] = []
        self._vary = vary

    def criterion(
        self, name: str, *, points: int = 1, steady: bool = False
    ) -> Callable[[Judge], Judge]:
        """Declare a criterion; the function below judges it from the evidence."""

        def declare(judge: Judge) -> Judge:
            self.criteria.append(Criterion(name, points, judge, steady))
            return judge

        return declare

    def variant(self, student: str) -> dict[str, Any]:
        """This student's own values, the same each time."""
        return dict(self._vary(random.Random(f"{student}/{self.id}"))) if self._vary else {}

    def judge(self, evidence: Evidence) -> Report:
        """Judge all criteria. Raises EngineError when the engine does not answer."""
        if not any(evidence.has(kind, name) for kind, name in self.parts):
            kind, name = self.parts[0]
            results = tuple(
                Result(c.name, c.points, Finding(False, "", "nothing yet")) for c in self.criteria
            )
            advice = f"There is no {kind} {name!r} yet: {_HOW[kind].format(name, self.id)}."
            return Report(self.id, self.title, Outcome.NOT_ATTEMPTED, results, advice)
        results = tuple(self._judge(criterion, evidence) for criterion in self.criteria)
        if any(c.steady and r.finding.passed for c, r in zip(self.criteria, results, strict=True)):
            time.sleep(STEADY)
            results = tuple(
                self._judge(criterion, evidence)
                if criterion.steady and result.finding.passed
                else result
                for criterion, result in zip(self.criteria, results, strict=True)
            )
        passed = all(result.finding.passed for result in results)
        return Report(self.id, self.title, Outcome.PASSED if passed else Outcome.INCORRECT, results)

    def _judge(self, criterion: Criterion, evidence: Evidence) -> Result:
        try:
            finding = criterion.judge(evidence)
        except MissingError as err:
            how = _HOW[err.kind].format(err.name, self.id)
            article = "an" if err.kind[0] in "ai" else "a"
            expected = f"{article} {err.kind} {err.name!r}"
            finding = Finding(False, expected, "there is none", how)
        except EngineError:
            raise  # not the learner's mistake
        except LabError as err:
            seen = err.seen.splitlines()[0] if err.seen else ""
            finding = Finding(False, criterion.name, f"{err.what} {seen}".strip(), err.do)
        return Result(criterion.name, criterion.points, finding)
