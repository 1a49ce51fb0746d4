"""Some of the live tests, and some chapters, on the engine of a micro-VM, with cgroup v2."""

from __future__ import annotations

import pytest
from closing_line import passed
from second_engine import SecondEngine

CHAPTERS = ["02", "03", "04"]  # those that read most of the kernel


@pytest.mark.timeout(1200)
def test_the_live_tests(second_engine: SecondEngine) -> None:
    assert passed(second_engine.live()) >= 80


@pytest.mark.timeout(300)
def test_the_conversation_with_the_guest_survives(second_engine: SecondEngine) -> None:
    assert passed(second_engine.conversation()) == 4


@pytest.mark.timeout(600)
def test_attempts_are_judged_the_same_on_cgroup_v2(second_engine: SecondEngine) -> None:
    assert passed(second_engine.attempts()) >= 20


@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", CHAPTERS)
def test_a_chapter_prints_on_cgroup_v2_what_is_stored(
    second_engine: SecondEngine, number: str
) -> None:
    assert passed(second_engine.chapter(number)) > 20


@pytest.mark.timeout(900)
def test_the_solved_exercises_pass(second_engine: SecondEngine) -> None:
    assert second_engine.solutions(*CHAPTERS) == CHAPTERS
