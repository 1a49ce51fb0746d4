"""The checkers are checked: untouched, solved, and with every planted mistake."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from labkit import Lab, check, course
from labkit.checks import Exercise, Outcome, catalog, progress, reset

CHAPTERS = course.chapters(course.course_dir())
EXERCISES = list(catalog.exercises().values())
MISTAKES: list[Any] = [
    mistake for chapter in CHAPTERS for mistake in catalog.mistakes_of(chapter.path)
]
SETUP = {
    chapter.number: course.code_cells(course.read(chapter.path / "exercises.py"))[0][1]
    for chapter in CHAPTERS
}
TEXTS = {text.id: text for chapter in CHAPTERS for text in course.exercises_of(chapter.path)}

every_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda one: one.id)


def solve(exercise: Exercise, lab: Lab) -> None:
    """Run the solution as the solved notebook does."""
    names: dict[str, Any] = {}
    exec(SETUP[exercise.id[:2]], names)
    names["lab"] = lab
    exec(compile(TEXTS[exercise.id].code_with_solution, exercise.id, "exec"), names)


@every_exercise
def test_untouched_is_not_attempted(exercise: Exercise, lab: Lab) -> None:
    report = check(exercise.id)
    assert report.outcome is Outcome.NOT_ATTEMPTED
    assert report.earned == 0 < report.possible


@every_exercise
def test_the_solution_passes_and_reset_takes_it_back(exercise: Exercise, lab: Lab) -> None:
    solve(exercise, lab)
    report = check(exercise.id)
    assert report.outcome is Outcome.PASSED, report
    assert report.earned == report.possible
    assert f"{report.earned} of {report.possible}" in repr(progress())
    reset(exercise.id)
    assert check(exercise.id).outcome is Outcome.NOT_ATTEMPTED


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda one: f"{one.exercise}-{one.__name__}")
def test_a_planted_mistake_is_noticed(mistake: Any, lab: Lab) -> None:
    mistake(lab)
    report = check(mistake.exercise)
    assert report.outcome is Outcome.INCORRECT, report
    assert mistake.fails in report.failed, report
    assert report.earned < report.possible
    finding = next(r.finding for r in report.results if r.criterion == mistake.fails)
    assert finding.expected and finding.observed and finding.hint, report


def test_every_exercise_has_a_text_hints_and_two_planted_mistakes() -> None:
    planted = Counter(mistake.exercise for mistake in MISTAKES)
    for exercise in EXERCISES:
        assert exercise.id in TEXTS
        assert exercise.hints
        assert planted[exercise.id] >= 2, exercise.id
    assert set(planted) == set(TEXTS) == {exercise.id for exercise in EXERCISES}


def test_every_mistake_names_a_criterion_that_exists() -> None:
    criteria = {(e.id, criterion.name) for e in EXERCISES for criterion in e.criteria}
    for mistake in MISTAKES:
        assert (mistake.exercise, mistake.fails) in criteria, mistake.__name__
