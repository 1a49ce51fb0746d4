"""Begin an exercise again: the one thing here that changes what is on the engine."""

from __future__ import annotations

from labkit import labels
from labkit.checks import catalog
from labkit.checks.ledger import Ledger
from labkit.checks.texts import Note
from labkit.engine import connect
from labkit.lab.sweep import sweep_named


def reset(exercise: str) -> Note:
    """Remove what you made for an exercise, and forget your answers, to begin again."""
    found, session = catalog.find(exercise), labels.session()
    Ledger().forget_answers(session, exercise)
    engine = connect()
    made = {part for part in found.parts if part[0] != "answer"}
    removed = sweep_named(engine.client, session, made) if made else []
    return Note("removed", ", ".join(sorted(removed)) or "there was nothing")
