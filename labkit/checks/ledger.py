"""What is remembered of a learner, across restarts: answers, outcomes, hints; in SQLite."""

from __future__ import annotations

import getpass
import json
import operator
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit import paths
from labkit.checks.outcome import Outcome, Report
from labkit.checks.prediction import Prediction, Value
from labkit.errors import BadValueError, LabError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    session TEXT, exercise TEXT, name TEXT, value TEXT,
    PRIMARY KEY (session, exercise, name));
CREATE TABLE IF NOT EXISTS outcomes (
    exercise TEXT PRIMARY KEY, outcome TEXT, earned INTEGER, possible INTEGER);
CREATE TABLE IF NOT EXISTS hints (exercise TEXT PRIMARY KEY, shown INTEGER);
CREATE TABLE IF NOT EXISTS predictions (
    prediction TEXT PRIMARY KEY, question TEXT, choices TEXT, said TEXT, truth TEXT);
"""
_BUSY = 10.0  # seconds to wait for another notebook's write


@dataclass(frozen=True)
class Standing:
    """The best a learner has reached in one exercise."""

    outcome: Outcome
    earned: int
    possible: int


class Ledger:
    """One file, which several notebooks may use at once: `$LABKIT_PROGRESS`, else in labkit's home.

    Raises LabError where the file cannot be used.
    """

    def __init__(self, path: Path | None = None) -> None:
        chosen = os.environ.get("LABKIT_PROGRESS")
        self.path = path or (Path(chosen) if chosen else paths.home() / "progress.db")

    def record_answers(self, session: str, exercise: str, answers: dict[str, Any]) -> None:
        """Remember what was answered. Raises BadValueError for what is not a plain value."""
        try:
            rows = [
                (session, exercise, name, json.dumps(v, default=_plain))
                for name, v in answers.items()
            ]
        except (TypeError, ValueError, RecursionError) as err:
            raise BadValueError(
                "An answer must be a plain value: a number, a text, or a list of them.",
                value=answers,
                seen=str(err),
                do="give the value itself, as `pid=4242`",
            ) from err
        with self._open() as db:
            db.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", rows)

    def answers(self, session: str, exercise: str) -> dict[str, Any]:
        """What was answered in this session."""
        query = "SELECT name, value FROM answers WHERE session = ? AND exercise = ?"
        with self._open() as db:
            return {name: json.loads(text) for name, text in db.execute(query, (session, exercise))}

    def forget_answers(self, session: str, exercise: str) -> None:
        """Forget what was answered in this session."""
        with self._open() as db:
            db.execute(
                "DELETE FROM answers WHERE session = ? AND exercise = ?", (session, exercise)
            )

    def record(self, report: Report) -> None:
        """Remember an outcome, if it is better than the one before."""
        if report.outcome in (Outcome.NOT_ATTEMPTED, Outcome.NOT_JUDGED):
            return
        with self._open() as db:
            db.execute(
                "INSERT INTO outcomes VALUES (?, ?, ?, ?) ON CONFLICT (exercise) DO UPDATE SET"
                " outcome = excluded.outcome, earned = excluded.earned,"
                " possible = excluded.possible"
                " WHERE excluded.earned * possible >= earned * excluded.possible",
                (report.exercise, report.outcome, report.earned, report.possible),
            )

    def standings(self) -> dict[str, Standing]:
        """The best of every exercise that was attempted."""
        with self._open() as db:
            rows = db.execute("SELECT exercise, outcome, earned, possible FROM outcomes")
            return {id: Standing(Outcome(how), earned, of) for id, how, earned, of in rows}

    def next_hint(self, exercise: str, *, of: int) -> int:
        """The number of the hint to show now, from 0; the last one stays."""
        with self._open() as db:
            row = db.execute("SELECT shown FROM hints WHERE exercise = ?", (exercise,)).fetchone()
            shown = min((row[0] if row else 0) + 1, of)
            db.execute("INSERT OR REPLACE INTO hints VALUES (?, ?)", (exercise, shown))
        return shown - 1

    def ask(self, id: str, question: str, choices: Sequence[Value]) -> Prediction:
        """Note a question, and return how it stands; a choice that is none now is forgotten."""
        values = [json.dumps(choice) for choice in choices]
        open_ = "prediction = ? AND truth IS NULL"
        with self._open() as db:
            db.execute(
                "INSERT INTO predictions VALUES (?, ?, ?, NULL, NULL)"
                " ON CONFLICT (prediction) DO UPDATE SET"
                " question = excluded.question, choices = excluded.choices"
                " WHERE truth IS NULL OR choices = '[]'",
                (id, question, f"[{', '.join(values)}]"),
            )
            db.execute(
                f"UPDATE predictions SET said = NULL WHERE {open_}"
                f" AND said NOT IN ({', '.join('?' * len(values))})",
                (id, *values),
            )
            return _prediction(db, id)

    def predict(self, id: str, choice: Value) -> Prediction:
        """Remember a choice, unless the answer has been shown; return how it stands now."""
        with self._open() as db:
            db.execute(
                "UPDATE predictions SET said = ? WHERE prediction = ? AND truth IS NULL",
                (json.dumps(choice), id),
            )
            return _prediction(db, id)

    def reveal(self, id: str, truth: Value) -> Prediction:
        """Seal a prediction by what turned out to be so; the first time is what counts."""
        with self._open() as db:
            db.execute(
                "INSERT INTO predictions VALUES (?, '', '[]', NULL, ?)"
                " ON CONFLICT (prediction) DO UPDATE SET truth = excluded.truth"
                " WHERE truth IS NULL",
                (id, json.dumps(truth)),
            )
            return _prediction(db, id)

    def predictions(self) -> list[Prediction]:
        """All that were asked, in order: an instructor sees by `came_true` which surprised."""
        with self._open() as db:
            ids = db.execute("SELECT prediction FROM predictions ORDER BY prediction").fetchall()
            return [_prediction(db, id) for (id,) in ids]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self.path, timeout=_BUSY)
            try:
                with db:  # one transaction
                    db.executescript(_SCHEMA)
                    yield db
            finally:
                db.close()
        except (sqlite3.Error, OSError) as err:
            raise LabError(
                "Your progress cannot be read or written.",
                seen=f"{self.path}: {err}",
                do="free some disk, or move that file away to begin a new one",
            ) from err


def _prediction(db: sqlite3.Connection, id: str) -> Prediction:
    query = "SELECT question, choices, said, truth FROM predictions WHERE prediction = ?"
    question, choices, said, truth = db.execute(query, (id,)).fetchone()
    found = [None if text is None else json.loads(text) for text in (said, truth)]
    return Prediction(id, question, tuple(json.loads(choices)), *found)


def _plain(value: Any) -> int:
    """Another library's whole number."""
    return operator.index(value)


def student() -> str:
    """Whose variants these are: `$LABKIT_STUDENT`, a hub's name of the user, or the login name.

    On a hub every login is the same: `jovyan`.
    """
    named = (os.environ.get(name) for name in ("LABKIT_STUDENT", "JUPYTERHUB_USER"))
    return next((name for name in named if name), None) or getpass.getuser()
