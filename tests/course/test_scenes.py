"""What an exercise begins with: set once, set again, interrupted, and beside another learner's."""

from __future__ import annotations

import pytest

from labkit import Lab, check, reset, scene, variant
from labkit.authoring.attempts import learner
from labkit.checks import Outcome, catalog
from labkit.errors import NotFoundError, UnknownExerciseError

ONE = "02.6"
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
