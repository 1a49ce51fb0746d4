"""How criteria are judged: points, missing things, variants, and states that flap."""

from __future__ import annotations

import random

import pytest

from labkit.checks import Evidence, Exercise, Finding, Outcome
from labkit.checks.catalog import find
from labkit.engine import Endpoint, Engine
from labkit.errors import BadValueError, EngineGoneError, UnknownExerciseError


def evidence(**answers: object) -> Evidence:
    # These exercises ask for answers alone: their judge never speaks to an engine.
    engine = Engine("docker", Endpoint("unix:///nowhere"))
    return Evidence(engine, session="s", answers=answers, variant={})


def exercise() -> Exercise:
    return Exercise("09.1", "Numbers", answers=["a", "b"], hints=["think"])


def test_points_are_given_by_criterion_and_what_is_missing_fails_alone() -> None:
    made = exercise()

    @made.criterion("a is one", points=3)
    def _(see: Evidence) -> Finding:
        return Finding(see.answer("a") == 1, "1", str(see.answer("a")), "look again")

    @made.criterion("b is there", points=2)
    def _(see: Evidence) -> Finding:
        return Finding(True, "b", str(see.answer("b")))

    report = made.judge(evidence(a=1))
    assert (report.outcome, report.earned, report.possible) == (Outcome.INCORRECT, 3, 5)
    assert report.failed == ("b is there",)
    assert 'answer("09.1", b=...)' in report.results[1].finding.hint
    assert made.judge(evidence()).outcome is Outcome.NOT_ATTEMPTED
    assert made.judge(evidence(a=1, b=0)).outcome is Outcome.PASSED


def test_a_state_that_flaps_does_not_pass() -> None:
    made, looks = exercise(), iter([True, False])

    @made.criterion("it holds", steady=True)
    def _(see: Evidence) -> Finding:
        return Finding(next(looks), "held", "seen to change")

    assert made.judge(evidence(a=1)).outcome is Outcome.INCORRECT


def test_a_learners_error_fails_the_criterion_and_an_engines_error_is_raised() -> None:
    made = exercise()

    @made.criterion("it is well formed")
    def _(see: Evidence) -> Finding:
        raise BadValueError("Not a size.", seen="'potato'", do="write 64m")

    finding = made.judge(evidence(a=1)).results[0].finding
    assert (finding.passed, finding.hint) == (False, "write 64m")
    assert "potato" in finding.observed

    @made.criterion("the engine answers")
    def _(see: Evidence) -> Finding:
        raise EngineGoneError("Gone.")

    with pytest.raises(EngineGoneError):
        made.judge(evidence(a=1))


def test_variants_are_a_students_own_and_stay() -> None:
    def vary(draw: random.Random) -> dict[str, int]:
        return {"port": draw.randrange(10_000)}

    made = Exercise("09.2", "Port", answers=["a"], hints=["think"], vary=vary)
    assert made.variant("ada") == made.variant("ada")
    assert len({made.variant(f"student {n}")["port"] for n in range(50)}) > 40


@pytest.mark.parametrize("id", ["00.99", "77.1", "nonsense"])
def test_an_unknown_exercise_says_which_there_are(id: str) -> None:
    with pytest.raises(UnknownExerciseError, match=r"there are (00\.1|chapters 00)"):
        find(id)
