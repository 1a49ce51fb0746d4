"""A session of its own for each case: what one leaves, no other sees."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit import Lab


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A learner who has not begun, with a session and a ledger of their own."""
    name = f"test-{secrets.token_hex(4)}"
    monkeypatch.setenv("LABKIT_SESSION", name)
    monkeypatch.setenv("LABKIT_STUDENT", name)
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "progress.db"))
    monkeypatch.setenv("LABKIT_WORK", str(tmp_path))
    return name


@pytest.fixture
def lab(session: str) -> Iterator[Lab]:
    """The learner's lab."""
    with Lab() as made:
        yield made
