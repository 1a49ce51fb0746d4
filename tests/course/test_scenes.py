"""What an exercise begins with: set once, set again, interrupted, and beside another learner's."""

from __future__ import annotations

import pytest

from labkit import Lab, check, piece, reset, scene, trial, variant
from labkit.authoring.attempts import learner
from labkit.checks import Evidence, Outcome, catalog
from labkit.errors import NotFoundError, UnknownExerciseError
from labkit.inspect import Namespaces

ONE = "02.6"
PIECE = "02.10"
FIRST_TRY = '#!/bin/sh\nshift; echo so far so good; exec "$@"\n'
POD = ["hold", "watch", "web"]


def pod(lab: Lab) -> dict[str, str]:
    return {one.name: one.id for one in lab.containers()}


def test_a_scene_is_set_and_set_again(lab: Lab) -> None:
    assert repr(scene(ONE)) == f"The scene of {ONE} is set: hold, web, watch"
    first = pod(lab)
    report = check(ONE)
    assert (report.outcome, report.earned) == (Outcome.INCORRECT, 0)
    assert repr(variant(ONE)).count("web") == 0  # who was restarted is to be found out
    for again in (scene, reset):
        again(ONE)
        assert sorted(pod(lab)) == POD
        assert not set(pod(lab).values()) & set(first.values())


def test_it_is_set_in_the_newest_lab(lab: Lab) -> None:
    with Lab(engine=lab.engine) as newer:
        scene(ONE)
        assert sorted(pod(newer)) == POD
        assert lab.containers() == []
        # Again, in another: the first goes, for names are looked for in the whole session.
    scene(ONE)
    assert sorted(pod(lab)) == POD


def test_an_interrupted_scene_leaves_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(there: Lab, _: object) -> None:
        there.run("base", name="hold")
        raise KeyboardInterrupt

    monkeypatch.setattr(catalog, "scene_of", lambda _: interrupted)
    lab.run("base", name="other")
    with pytest.raises(KeyboardInterrupt):
        scene(ONE)
    assert list(pod(lab)) == ["other"]


def test_without_a_lab_it_says_what_to_do(session: str) -> None:
    with pytest.raises(NotFoundError, match=r"labkit\.Lab\(\)"):
        scene(ONE)


def test_an_exercise_without_a_scene(lab: Lab) -> None:
    with pytest.raises(UnknownExerciseError, match="has no scene"):
        scene("02.1")


def test_another_learners_has_the_same_names(lab: Lab) -> None:
    scene(ONE)
    mine = pod(lab)
    with learner() as other:
        scene(ONE)
        assert sorted(pod(other)) == POD
        assert not set(pod(other).values()) & set(mine.values())
        reset(ONE)
    assert pod(lab) == mine
    assert check(ONE).outcome is Outcome.INCORRECT


def test_a_trial_runs_the_piece_and_runs_it_anew(lab: Lab) -> None:
    assert repr(trial(PIECE)).startswith("Nothing to try")
    assert pod(lab) == {}
    piece(PIECE).write(FIRST_TRY)
    told = repr(trial(PIECE))
    assert told.count("runs, and says: so far so good") == len(variant(PIECE).boxes)
    first = pod(lab)
    assert check(PIECE).outcome is Outcome.INCORRECT
    piece(PIECE).write("#!/bin/sh\nsleep 0; echo no >&2; exit 1\n")
    assert "has ended, and says: no" in repr(trial(PIECE))
    assert pod(lab).keys() == first.keys() == {"bench"} and pod(lab) != first
    reset(PIECE)
    assert pod(lab) == {}
    assert piece(PIECE).read()  # what the learner wrote stays
    with pytest.raises(UnknownExerciseError, match="has no trial"):
        trial(ONE)


def test_a_piece_that_cannot_be_run_at_all(lab: Lab) -> None:
    piece(PIECE).write("")
    assert "has ended" in repr(trial(PIECE))
    piece(PIECE).write("#!/bin/nothing\n")
    assert "not found" in repr(trial(PIECE)) or "No such file" in repr(trial(PIECE))


def test_an_interrupted_trial_leaves_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(there: Lab, *_: object) -> str:
        there.run("toolbox", name="bench")
        raise KeyboardInterrupt

    piece(PIECE).write(FIRST_TRY)
    monkeypatch.setattr(catalog, "trial_of", lambda _: interrupted)
    with pytest.raises(KeyboardInterrupt):
        trial(PIECE)
    assert pod(lab) == {}


def test_a_kernel_without_the_namespaces_that_are_asked_for_costs_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.run("base", name="moved")
    whole = Evidence.namespaces

    def older(self: Evidence, name: str) -> Namespaces:
        return Namespaces({k: v for k, v in whole(self, name).items() if k != "time"})

    monkeypatch.setattr(Evidence, "namespaces", older)
    report = check("02.9")
    assert report.outcome is Outcome.NOT_JUDGED
    assert "no time namespaces" in report.advice
