"""Attempts at an exercise, right and wrong: what its check must say of each of them."""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit import course
from labkit.checks import Outcome, Report, catalog, check, scene
from labkit.lab import Lab

Act = Callable[[Lab], None]


@dataclass(frozen=True)
class Attempt:
    """Something a learner may do, and what must come of it."""

    exercise: str
    name: str
    act: Act
    fails: frozenset[str]  # exactly these criteria; none: it is right
    hint: str  # words that the hint of one of them has

    def make(self, lab: Lab) -> None:
        """Make it, where the exercise has a scene in that."""
        if catalog.find(self.exercise).scene:
            scene(self.exercise)
        self.act(lab)

    def verdict(self, report: Report) -> str:
        """What is wrong with a report on it; nothing if it is as it must be."""
        wanted = Outcome.INCORRECT if self.fails else Outcome.PASSED
        if report.outcome is not wanted:
            return f"{report.outcome}, and not {wanted}"
        if (failed := set(report.failed)) != self.fails:
            return f"failed: {', '.join(sorted(failed))}; and not: {', '.join(sorted(self.fails))}"
        hints = [result.finding.hint for result in report.results if not result.finding.passed]
        if not all(hints):
            return "a criterion failed and gave no hint"
        if self.hint and not any(self.hint in hint for hint in hints):
            return f"no hint says {self.hint!r}: {hints}"
        return ""


def wrong(exercise: str, *, fails: str | Sequence[str], hint: str = "") -> Callable[[Act], Act]:
    """Declare a wrong attempt in a chapter's `attempts.py`: a function of the lab.

    `fails` are exactly the criteria that must notice it; `hint` is in what it then says.
    """
    return _declared(exercise, frozenset([fails] if isinstance(fails, str) else fails), hint)


def right(exercise: str) -> Callable[[Act], Act]:
    """Declare an honest attempt of another shape than the solution's: it must pass."""
    return _declared(exercise, frozenset(), "")


def _declared(exercise: str, fails: frozenset[str], hint: str) -> Callable[[Act], Act]:
    def declare(act: Act) -> Act:
        act.__dict__["attempt"] = Attempt(exercise, act.__name__, act, fails, hint)
        return act

    return declare


def attempts_of(chapter: Path) -> list[Attempt]:
    """The attempts of one chapter's folder, the solutions first."""
    setup = course.code_cells(course.read(chapter / "exercises.py"))[0][1]
    solutions = [
        Attempt(text.id, "solution", _solver(setup, text.id, text.code_with_solution),
                frozenset(), "")
        for text in course.exercises_of(chapter)
    ]  # fmt: skip
    members = vars(catalog.load(chapter / "attempts.py")).values()
    return solutions + [one.attempt for one in members if hasattr(one, "attempt")]


def _solver(setup: str, id: str, code: str) -> Act:
    def solve(lab: Lab) -> None:
        """Run the solution as the solved notebook does."""
        names: dict[str, Any] = {}
        exec(setup, names)
        names["lab"] = lab
        exec(compile(code, id, "exec"), names)

    return solve


@contextmanager
def learner() -> Iterator[Lab]:
    """A learner who has not begun: a session, a ledger and a lab of their own."""
    name = f"attempt-{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory() as folder:
        theirs = {"LABKIT_SESSION": name, "LABKIT_STUDENT": name,
                  "LABKIT_PROGRESS": f"{folder}/progress.db", "LABKIT_WORK": folder}  # fmt: skip
        before = {key: os.environ.get(key) for key in theirs}
        os.environ.update(theirs)
        try:
            with Lab() as lab:
                yield lab
        finally:
            for key, value in before.items():
                os.environ.pop(key) if value is None else os.environ.update({key: value})


def docker(lab: Lab, *argv: str) -> None:
    """Do it by the command line, as in a notebook of this lab; it must succeed."""
    environ = {**os.environ, **lab.environ()}
    subprocess.run(["docker", *argv], env=environ, check=True, capture_output=True)


def tried(attempt: Attempt) -> Report:
    """Make an attempt as a learner of its own, and have it judged."""
    with learner() as lab:
        attempt.make(lab)
        return check(attempt.exercise)
