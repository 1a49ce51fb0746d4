"""How a container ended, told from the engine's events: real ones of a real one, cut."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.inspect.ending import Ending, last_ending

START = 1_795_853_728  # seconds


def event(action: str, after: float, **attributes: str) -> dict[str, Any]:
    nanoseconds = START * 10**9 + int(after * 10**9)
    return {"Action": action, "Actor": {"Attributes": attributes}, "timeNano": nanoseconds}


DEAF = [
    event("kill", 0.0, signal="15"),
    event("kill", 2.03, signal="9"),
    event("die", 2.08, exitCode="137"),
    event("stop", 2.18),
]
HEARD = [event("kill", 9.0, signal="10"), event("die", 9.05, exitCode="23"), event("stop", 9.1)]


def test_a_stop_that_nobody_heard() -> None:
    found = last_ending(DEAF, ended_at=START + 2.05)
    assert found is not None
    assert (found.signals, found.exit_code) == ((15, 9), 137)
    assert found.seconds == pytest.approx(2.05, abs=1e-3)


def test_the_last_end_counts_and_what_was_sent_for_it() -> None:
    found = last_ending([*DEAF, event("start", 3.0), *HEARD], ended_at=START + 9.02)
    assert found is not None
    assert (found.signals, found.exit_code) == ((10,), 23)


def test_an_end_of_its_own_and_one_that_was_told_late() -> None:
    alone = [event("start", 0.0), event("die", 5.0, exitCode="3")]
    assert last_ending(alone, ended_at=START + 5.0) == Ending((), 0.0, 3)
    # The engine tells of the signal after it has sent it.
    assert last_ending(HEARD, ended_at=START + 8.99) == Ending((10,), 0.0, 23)


def test_nothing_is_remembered() -> None:
    assert last_ending([event("start", 0.0)], ended_at=START + 1.0) is None
