"""Some of the library's own live tests, and a chapter, on the micro-VM's engine with cgroup v2."""

from __future__ import annotations

import pytest
from closing_line import passed
from second_engine import SecondEngine


@pytest.mark.timeout(1200)
def test_the_live_tests(second_engine: SecondEngine) -> None:
    assert passed(second_engine.live()) >= 80


@pytest.mark.timeout(300)
def test_the_conversation_with_the_guest_survives(second_engine: SecondEngine) -> None:
    assert passed(second_engine.conversation()) == 4


@pytest.mark.timeout(600)
def test_attempts_are_judged_the_same_on_cgroup_v2(second_engine: SecondEngine) -> None:
    assert passed(second_engine.attempts()) >= 12


@pytest.mark.timeout(900)
def test_the_chapter_prints_on_cgroup_v2_what_is_stored(second_engine: SecondEngine) -> None:
    assert passed(second_engine.chapter()) > 20


@pytest.mark.timeout(900)
def test_the_solved_exercises_pass(second_engine: SecondEngine) -> None:
    assert second_engine.solutions() == "['solutions/02_namespaces.ipynb']\n"
