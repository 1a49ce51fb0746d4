"""Exercises and their outcomes: what a notebook calls."""

from __future__ import annotations

import time
from typing import Any

from labkit import labels
from labkit.checks import catalog
from labkit.checks.begin_again import reset, scene, trial
from labkit.checks.catalog import runs_piece, sets_scene
from labkit.checks.evidence import HOST, Evidence
from labkit.checks.exercise import Exercise
from labkit.checks.findings import made_from
from labkit.checks.ledger import Ledger, student
from labkit.checks.look import DEADLINE, Look, Memory
from labkit.checks.outcome import Finding, Outcome, Report
from labkit.checks.pieces import Piece, piece_of
from labkit.checks.predicting import predict, reveal
from labkit.checks.prediction import Prediction
from labkit.checks.texts import Code, Note, ProgressTable, Variant
from labkit.checks.workbench import RIGHTS, said, workbench
from labkit.engine import connect
from labkit.errors import BadValueError
from labkit.sizes import parse_size, show_size

__all__ = [
    "HOST",
    "RIGHTS",
    "Evidence",
    "Exercise",
    "Finding",
    "Look",
    "Memory",
    "Outcome",
    "Piece",
    "Prediction",
    "Report",
    "answer",
    "check",
    "hint",
    "made_from",
    "parse_size",
    "piece",
    "predict",
    "progress",
    "reset",
    "reveal",
    "runs_piece",
    "said",
    "scene",
    "sets_scene",
    "show_size",
    "solution",
    "trial",
    "variant",
    "workbench",
]


def check(exercise: str) -> Report:
    """Judge an exercise by what is on the engine now, and remember the best outcome.

    Raises UnknownExerciseError, NoEngineError.
    """
    found, ledger, session = catalog.find(exercise), Ledger(), labels.session()
    answers, own = ledger.answers(session, exercise), found.variant(student())
    engine, until = connect(), time.monotonic() + DEADLINE + found.lasts

    def look() -> Look:
        return Look(engine, Memory(), until=until)

    report = found.judge(
        Evidence(look(), session=session, answers=answers, variant=own),
        again=lambda before: before.again(look()),
        on_wait=print,
    )
    ledger.record(report)
    return report


def answer(exercise: str, **values: Any) -> Note:
    """Give the answer to a question whose answer is a value; `check` compares it with the live one.

    Raises UnknownExerciseError, BadValueError.
    """
    wanted = catalog.find(exercise).answers
    if unknown := sorted(values.keys() - set(wanted)):
        raise BadValueError(
            f"The exercise {exercise} has no answer {', '.join(unknown)}.",
            value=values,
            seen=", ".join(values),
            do=f"it asks for: {', '.join(wanted) or 'no answer'}",
        )
    Ledger().record_answers(labels.session(), exercise, values)
    return Note(f"Your answer to {exercise} is noted", ", ".join(values))


def hint(exercise: str) -> Note:
    """The next hint; each call gives one more, until there are no more."""
    found = catalog.find(exercise)
    number = Ledger().next_hint(exercise, of=len(found.hints))
    return Note(f"Hint {number + 1} of {len(found.hints)}", found.hints[number])


def solution(exercise: str) -> Code:
    """One way to solve an exercise."""
    return Code(f"One solution of {exercise}", catalog.solution_of(exercise))


def variant(exercise: str) -> Variant:
    """Your own values for an exercise: the same each time, and other than your neighbour's."""
    own = catalog.find(exercise).variant(student())
    # What a scene has drawn for itself is for the learner to find out.
    return Variant({name: value for name, value in own.items() if not name.startswith("_")})


def piece(exercise: str) -> Piece:
    """The file in which you keep what you write for an exercise; later chapters build on it.

    Raises UnknownExerciseError.
    """
    return piece_of(catalog.find(exercise))


def progress() -> ProgressTable:
    """Where you stand in the course; it is remembered across restarts."""
    ledger = Ledger()
    exercises = tuple(catalog.exercises().values())
    return ProgressTable(exercises, ledger.standings(), tuple(ledger.predictions()))
