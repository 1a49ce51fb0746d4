"""Begin an exercise, or begin it again: what here changes what is on the engine."""

from __future__ import annotations

from labkit import labels
from labkit.checks import catalog
from labkit.checks.exercise import Exercise
from labkit.checks.ledger import Ledger, student
from labkit.checks.pieces import piece_of
from labkit.checks.texts import Note
from labkit.engine import connect
from labkit.lab.lab import newest
from labkit.lab.sweep import sweep_named


def reset(exercise: str) -> Note:
    """Remove what you made for an exercise, and forget your answers, to begin again.

    Where the exercise has a scene, it is set anew. Raises UnknownExerciseError, EngineError.
    """
    found = catalog.find(exercise)
    if found.scene:
        return scene(exercise)
    removed = _clear(found)
    return Note("removed", ", ".join(sorted(removed)) or "there was nothing")


def scene(exercise: str) -> Note:
    """Set up what an exercise begins with, in this notebook's lab; again, to begin again.

    What was made for the exercise before goes. Interrupted, nothing of it stays. Raises
    UnknownExerciseError, NotFoundError without a lab, and what the engine says.
    """
    act, found, lab = catalog.scene_of(exercise), catalog.find(exercise), newest()
    _clear(found)
    try:
        act(lab, found.variant(student()))
    except BaseException:
        _clear(found)
        raise
    there = ", ".join(name for kind, name in found.parts if kind != "answer")
    return Note(f"The scene of {exercise} is set", there)


def trial(exercise: str) -> Note:
    """Run the piece that you wrote for an exercise, in a container made for it, in this lab.

    The container is made anew each time, and stays for you to look into. Interrupted, nothing of
    it stays. Raises UnknownExerciseError, NotFoundError without a lab, and what the engine says.
    """
    act, found, lab = catalog.trial_of(exercise), catalog.find(exercise), newest()
    own = piece_of(found)
    _clear(found)
    if (program := own.read()) is None:
        return Note("Nothing to try", repr(own))
    try:
        said = act(lab, found.variant(student()), program)
    except BaseException:
        _clear(found)
        raise
    return Note(f"Your piece, {found.piece}, was run", said)


def _clear(exercise: Exercise) -> list[str]:
    """Remove what was made for it, and return the names."""
    session = labels.session()
    Ledger().forget_answers(session, exercise.id)
    made = {part for part in exercise.parts if part[0] != "answer"}
    return sweep_named(connect().client, session, made) if made else []
