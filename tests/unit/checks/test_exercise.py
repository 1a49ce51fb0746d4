"""How criteria are judged: points, missing things, variants, and states that flap."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.checks import Evidence, Exercise, Finding, Look, Memory, Outcome, Report
from labkit.checks.catalog import find
from labkit.errors import BadValueError, EngineGoneError, LookTimeoutError, UnknownExerciseError


def evidence(**answers: object) -> Evidence:
    # These exercises ask for answers alone: their judge never speaks to an engine.
    return Evidence(Look(None, Memory()), session="s", answers=answers, variant={})


def judged(made: Exercise, seen: Evidence) -> Report:
    """By looks that are all the same."""
    return made.judge(seen, again=lambda before: before.again(Look(None, Memory())))


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

    report = judged(made, evidence(a=1))
    assert (report.outcome, report.earned, report.possible) == (Outcome.INCORRECT, 3, 5)
    assert report.failed == ("b is there",)
    assert 'answer("09.1", b=...)' in report.results[1].finding.hint
    assert judged(made, evidence()).outcome is Outcome.NOT_ATTEMPTED
    assert judged(made, evidence(a=1, b=0)).outcome is Outcome.PASSED


def test_a_state_that_flaps_does_not_pass() -> None:
    made, looks = exercise(), iter([True, False, True])

    @made.criterion("it holds")
    def _(see: Evidence) -> Finding:
        return Finding(next(looks), "held", "seen to change")

    assert judged(made, evidence(a=1)).outcome is Outcome.INCORRECT


def test_a_learners_error_fails_the_criterion_and_an_engines_error_is_raised() -> None:
    made = exercise()

    @made.criterion("it is well formed")
    def _(see: Evidence) -> Finding:
        raise BadValueError("Not a size.", seen="'potato'", do="write 64m")

    finding = judged(made, evidence(a=1)).results[0].finding
    assert (finding.passed, finding.hint) == (False, "write 64m")
    assert "potato" in finding.observed

    @made.criterion("the engine answers")
    def _(see: Evidence) -> Finding:
        raise EngineGoneError("Gone.")

    report = judged(made, evidence(a=1))
    assert (report.outcome, report.earned) == (Outcome.NOT_JUDGED, 0)
    assert "Gone." in report.advice and "Nothing is lost" in report.advice


@pytest.mark.parametrize(
    ("given", "taken"), [(7, 7), (7.0, 7), ("7", 7), (" 7 ", 7), (True, None), ("x", None),
                         (7.5, None), (None, None), ([7], None)],
)  # fmt: skip
def test_a_number_that_reads_as_one_is_taken_as_one(given: object, taken: int | None) -> None:
    made = exercise()

    @made.criterion("seven")
    def _(see: Evidence) -> Finding:
        return Finding(see.number("a") == 7, "7", "another", "count")

    report = judged(made, evidence(a=given))
    assert (report.outcome is Outcome.PASSED) is (taken == 7)
    if taken is None:
        assert "the number itself" in report.results[0].finding.hint


def test_a_guard_earns_only_with_what_it_guards() -> None:
    made = exercise()

    @made.criterion("the main thing", points=2)
    def _(see: Evidence) -> Finding:
        return Finding(see.answer("a") == 1, "1", "not 1", "count")

    @made.criterion("no more than that", guard=True)
    def _(see: Evidence) -> Finding:
        return Finding(True, "no more", "no more")

    report = judged(made, evidence(a=0))
    assert (report.earned, report.failed) == (0, ("the main thing",))
    assert "counts once the rest is there" in repr(report)
    assert judged(made, evidence(a=1)).earned == 3


def test_one_look_asks_once_and_can_be_judged_again_without_an_engine() -> None:
    class Api:
        asked = 0

        def containers(self, **only: object) -> list[object]:
            self.asked += 1
            return []

    class Source:
        host: Any = None
        client = SimpleNamespace(api=Api())

    memory = Memory()
    look = Look(Source(), memory)
    assert [look.client.api.containers(all=True) for _ in range(3)] == [[], [], []]
    assert Source.client.api.asked == 1
    again = Look(None, Memory.load(memory.dump()))
    assert again.client.api.containers(all=True) == []
    with pytest.raises(AttributeError, match="only looks"):
        look.client.api.remove_container("x")
    late = Look(Source(), Memory(), until=0.0)
    with pytest.raises(LookTimeoutError):
        late.client.api.containers()


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
