"""What BuildKit told of real builds, recorded by `tests/data/record_builds.py`, as a record."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from labkit.builder.record import Build, Progress

RECORDED = Path(__file__).parents[2] / "data/builds"
ENGINES = sorted(path.name for path in RECORDED.iterdir())
TABLE = [
    ("second", "FROM labkit/base", "cached"),  # both stages begin from it; one is told
    ("first", "COPY note /note", "ran"),
    ("first", "RUN echo made by nobody; echo twice >&2", "ran"),
    ("second", "RUN --mount=type=cache,target=/cache echo kept > /cache/x", "ran"),
    ("", "COPY --from=second /bin/sh /other", "ran"),
    ("", "RUN --mount=type=secret,id=token wc -c < /run/secrets/token", "ran"),
]


def told(engine: str, name: str) -> tuple[Build, list[str]]:
    progress = Progress()
    progress.feed((RECORDED / engine / f"{name}.json").read_text())
    return progress.build(seconds=1.5), progress.messages


def test_both_engines_were_recorded() -> None:
    assert ENGINES == ["engine-20.10", "engine-26.1"]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_cold_build(engine: str) -> None:
    build, messages = told(engine, "cold")
    assert messages == []
    by_words = {step.instruction: step for step in build.instructions}
    assert build.table().rows == TABLE
    made = by_words["RUN echo made by nobody; echo twice >&2"]
    assert sorted(made.log.splitlines()) == ["made by nobody", "twice"]
    assert made.seconds > 0
    assert made.stage == "first"
    # The other stage is "stage-2" to the builder, which is no name.
    assert by_words["COPY --from=second /bin/sh /other"].stage == ""
    assert by_words["RUN --mount=type=secret,id=token wc -c < /run/secrets/token"].log == "7\n"
    assert 5000 < build.context_bytes < 6000
    assert build.failed is None
    assert build.seconds == 1.5
    # Each step stands after those that it needs.
    names = [step.name for step in build.steps]
    assert all(names.index(one) < at for at, step in enumerate(build.steps) for one in step.needs)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_cached_build(engine: str) -> None:
    build, _ = told(engine, "cached")
    cold, _ = told(engine, "cold")
    assert {step.outcome for step in build.instructions} == {"cached"}
    # In the same order, in whichever order they were told.
    assert [row[:2] for row in build.table().rows] == [row[:2] for row in cold.table().rows]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_failing_build(engine: str) -> None:
    build, messages = told(engine, "failing")
    assert build.failed is not None
    assert build.failed.instruction == "RUN echo the reason; exit 3"
    assert build.failed.log == "the reason\n"
    assert "exit code: 3" in build.failed.error
    assert [(step.instruction, step.outcome) for step in build.instructions] == [
        ("FROM labkit/base", "cached"),
        ("RUN true", "cached" if engine == "engine-20.10" else "ran"),  # that one knew it already
        ("RUN echo the reason; exit 3", "failed"),
        ("RUN echo never", "not reached"),
    ]
    assert any("exit code: 3" in line for line in messages)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_file_that_cannot_be_read_and_an_image_that_is_nowhere(engine: str) -> None:
    build, messages = told(engine, "malformed")
    assert build.instructions == ()
    assert "unknown instruction: FORM" in "\n".join(messages)
    build, messages = told(engine, "nowhere")
    assert build.failed is not None
    assert "load metadata for nosuch.invalid/base" in build.failed.name
    assert messages


@pytest.mark.parametrize("engine", ENGINES)
def test_it_does_not_matter_in_which_pieces_it_comes(engine: str) -> None:
    text = (RECORDED / engine / "failing.json").read_text()
    whole, messages = told(engine, "failing")
    draw = random.Random(7)
    said: list[str] = []
    progress = Progress(on_message=said.append)
    at = 0
    while at < len(text):
        end = at + draw.randint(1, 200)
        progress.feed(text[at:end])
        at = end
    assert progress.build(seconds=1.5) == whole
    assert progress.messages == messages
    assert "the reason" in said


def test_the_names_of_images_are_the_learners() -> None:
    progress = Progress()
    progress.feed(
        '{"vertexes": [{"digest": "a", "name": '
        '"[stage-0 1/2] FROM docker.io/library/labkit-0123abcd:Mine@sha256:00"}]}\n'
        '{"vertexes": [{"digest": "b", "name": "[2/2] FROM ghcr.io/a/b:1.2", "inputs": ["a"]}]}'
    )
    build = progress.build(seconds=0)
    assert [step.instruction for step in build.steps] == ["FROM Mine", "FROM ghcr.io/a/b:1.2"]
    assert repr(build).splitlines()[0].split() == ["instruction", "outcome"]
    assert "| FROM Mine | not reached |" in build._repr_markdown_()
