"""Every exercise of the course, from the `checks.py` of each chapter."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from labkit import course
from labkit.checks.exercise import Exercise
from labkit.errors import UnknownExerciseError

if TYPE_CHECKING:
    from labkit.lab import Lab


def exercises() -> dict[str, Exercise]:
    """All exercises by number, in the course's order. Raises CourseError."""
    return {
        exercise.id: exercise
        for chapter in course.chapters(course.course_dir())
        for exercise in exercises_of(chapter.path)
    }


def exercises_of(chapter: Path) -> list[Exercise]:
    """The exercises of one chapter's folder, in order."""
    module = load(chapter / "checks.py")
    return [value for value in vars(module).values() if isinstance(value, Exercise)]


def find(id: str) -> Exercise:
    """One exercise; only its chapter's checks are loaded. Raises UnknownExerciseError."""
    wanted = str(id)  # a number without quotes is what it is taken for, and no exercise
    chapter = _chapter_of(wanted)
    if chapter is not None:
        found = {exercise.id: exercise for exercise in exercises_of(chapter)}
        if wanted in found and wanted == id:
            return found[wanted]
        known = ", ".join(found)
    else:
        known = "chapters " + ", ".join(c.number for c in course.chapters(course.course_dir()))
    raise UnknownExerciseError(
        f"There is no exercise {id!r}.",
        exercise=wanted,
        seen=f"there are {known}",
        do='write it as in "02.1", in quotes',
    )


Scene = Callable[["Lab", dict[str, Any]], object]  # of the lab, and of the learner's own values


def sets_scene(exercise: str) -> Callable[[Scene], Scene]:
    """Declare a scene in a chapter's `scenes.py`: what is there when the exercise begins."""

    def declare(act: Scene) -> Scene:
        act.__dict__["scene"] = exercise
        return act

    return declare


Trial = Callable[["Lab", dict[str, Any], bytes], str]  # of the piece, too; returns what it said


def runs_piece(exercise: str) -> Callable[[Trial], Trial]:
    """Declare a trial in a chapter's `scenes.py`: the learner's piece, run in a fresh container."""

    def declare(act: Trial) -> Trial:
        act.__dict__["trial"] = exercise
        return act

    return declare


def scene_of(id: str) -> Scene:
    """What sets the scene of an exercise. Raises UnknownExerciseError."""
    found: Scene = _act(id, "scene", there=find(id).scene)
    return found


def trial_of(id: str) -> Trial:
    """What runs the piece of an exercise. Raises UnknownExerciseError."""
    found: Trial = _act(id, "trial", there=bool(find(id).piece))
    return found


def _act(id: str, kind: str, *, there: bool) -> Any:
    chapter = _chapter_of(id) if there else None
    for act in vars(load(chapter / "scenes.py")).values() if chapter else ():
        if getattr(act, kind, None) == id:
            return act
    raise UnknownExerciseError(
        f"The exercise {id} has no {kind}.",
        exercise=id,
        seen="you make all of it yourself",
        do="begin: what is asked for stands above its cell",
    )


def solution_of(id: str) -> str:
    """The solution's code, from the chapter's `exercises.py`. Raises UnknownExerciseError."""
    find(id)
    chapter = _chapter_of(id)
    for exercise in course.exercises_of(chapter) if chapter else ():
        if exercise.id == id:
            return exercise.solution
    raise UnknownExerciseError(
        f"The exercise {id!r} has checks and no text.",
        exercise=id,
        seen="no such cell in exercises.py",
        do="add it to the chapter",
    )


def _chapter_of(id: str) -> Path | None:
    """The folder of the chapter with whose number an exercise's begins."""
    number = id.partition(".")[0]
    chapters = course.chapters(course.course_dir())
    return next((one.path for one in chapters if one.number == number), None)


@functools.cache
def load(path: Path) -> ModuleType:
    """A chapter's Python file as a module; it is loaded once. Raises CourseError."""
    course.read(path)  # says kindly that it is missing
    name = f"labkit_course_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling look there
    spec.loader.exec_module(module)
    return module
