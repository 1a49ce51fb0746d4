"""The checkers are checked: untouched, solved, and with every attempt, right and wrong."""

from __future__ import annotations

from collections import Counter

import pytest

from labkit import Lab, check, course, labels
from labkit.authoring.attempts import Attempt, attempts_of, tried
from labkit.checks import (
    Evidence,
    Exercise,
    Look,
    Memory,
    Outcome,
    Report,
    catalog,
    progress,
    reset,
)
from labkit.checks.ledger import Ledger, student

CHAPTERS = course.chapters(course.course_dir())
EXERCISES = list(catalog.exercises().values())
ATTEMPTS = [attempt for chapter in CHAPTERS for attempt in attempts_of(chapter.path)]
SOLUTIONS = {attempt.exercise: attempt for attempt in ATTEMPTS if attempt.name == "solution"}
OTHERS = [attempt for attempt in ATTEMPTS if attempt.name != "solution"]

every_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda one: one.id)


def test_untouched_is_not_attempted(lab: Lab) -> None:
    for exercise in EXERCISES:
        report = check(exercise.id)
        assert report.outcome is Outcome.NOT_ATTEMPTED, report
        assert report.earned == 0 < report.possible


@every_exercise
def test_the_solution_passes_and_reset_takes_it_back(exercise: Exercise, lab: Lab) -> None:
    """And what was seen of it is judged the same without an engine. (Once: solving takes time.)"""
    SOLUTIONS[exercise.id].make(lab)
    report = check(exercise.id)
    assert report.outcome is Outcome.PASSED, report
    assert report.earned == report.possible
    assert f"{report.earned} of {report.possible}" in repr(progress())
    judge_again(exercise, lab)
    reset(exercise.id)
    again = Outcome.INCORRECT if exercise.scene else Outcome.NOT_ATTEMPTED
    assert check(exercise.id).outcome is again


def judge_again(exercise: Exercise, lab: Lab) -> None:
    memory, session = Memory(), labels.session()
    answers, own = Ledger().answers(session, exercise.id), exercise.variant(student())

    def seen(look: Look) -> Report:
        evidence = Evidence(look, session=session, answers=answers, variant=own)
        return exercise.judge(evidence, again=lambda one: one)  # the same moment

    live = seen(Look(lab.engine, memory))
    again = seen(Look(None, Memory.load(memory.dump())))
    assert live.outcome is again.outcome is Outcome.PASSED, live
    assert live.results == again.results
    # The container's engine answers otherwise, and the judgement follows: it is made of the look.
    changed = Memory.load(memory.dump())
    for answer in changed.engine.values():
        if isinstance(answer, dict) and "State" in answer:
            answer["State"] |= {"Status": "exited", "Pid": 0}
    assert seen(Look(None, changed)).outcome is Outcome.INCORRECT


@pytest.mark.parametrize("attempt", OTHERS, ids=lambda one: f"{one.exercise}-{one.name}")
def test_an_attempt_is_judged_as_it_must_be(attempt: Attempt) -> None:
    report = tried(attempt)
    assert not attempt.verdict(report), report
    assert (report.earned == report.possible) is not bool(attempt.fails)
    for result in report.results:
        finding = result.finding
        assert finding.passed or (finding.expected and finding.observed and finding.hint), report


def test_every_exercise_has_a_text_hints_and_attempts_of_both_kinds() -> None:
    wrong = Counter(attempt.exercise for attempt in OTHERS if attempt.fails)
    right = Counter(attempt.exercise for attempt in OTHERS if not attempt.fails)
    for exercise in EXERCISES:
        assert exercise.hints
        assert wrong[exercise.id] >= 2, exercise.id
        assert right[exercise.id] >= 2, exercise.id
    ids = {exercise.id for exercise in EXERCISES}
    assert set(wrong) == set(right) == set(SOLUTIONS) == ids


def test_every_criterion_is_missed_by_some_attempt_and_every_miss_has_a_name() -> None:
    criteria = {(e.id, criterion.name) for e in EXERCISES for criterion in e.criteria}
    missed = {(attempt.exercise, name) for attempt in OTHERS for name in attempt.fails}
    assert missed == criteria
