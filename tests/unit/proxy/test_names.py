"""Which names of images a lab may know, and what becomes of others' in a build."""

from __future__ import annotations

import pytest

from labkit.proxy.names import Names, lent_names

OWN, OTHER = Names("0a0a0a0a"), Names("0b0b0b0b")


def test_a_lent_name_is_seen_by_nobody() -> None:
    tags = [
        "labkit/base:latest",
        "app:latest",
        OTHER.mark("app:latest"),
        "labkit-0b0b0b0b/app:latest",
    ]
    assert lent_names(tags) == {"app:latest": "labkit-0b0b0b0b/"}
    assert OWN.seen_tags(tags) == ["labkit/base:latest"]
    assert OTHER.seen_tags(tags) == ["labkit/base:latest", "labkit-0b0b0b0b/app:latest"]
    assert OWN.seen_tags(["app:latest"]) == ["app:latest"]  # the engine's own


@pytest.mark.parametrize(
    "said",
    [
        b"FROM labkit-0b0b0b0b/app", b"\x0a\x1dFROM labkit-0b0b0b0b/app:v1\nRUN true\n",
        b"from\tdocker.io/labkit-0b0b0b0b/app@sha256:00", b"COPY --from=labkit-0b0b0b0b:App /a /b",
        b"RUN --mount=type=bind,from=labkit-0b0b0b0b/app true", b"ARG A=labkit-0b0b0b0b/app",
        b"ARG A=labkit-0b0b0b0b/app B=labkit-0b0b0b0b/app", b"build-arg:A\x12\x1dlabkit-0b0b0b0b/a",
        b"docker-image://docker.io/labkit-0b0b0b0b/app:latest",
    ],
)  # fmt: skip
def test_anothers_image_is_nobodys_in_a_build(said: bytes) -> None:
    made = OWN.hidden(said)
    assert made == said.replace(b"labkit-0b0b0b0b", b"unknown.invalid")
    assert len(made) == len(said)
    assert OTHER.hidden(said) == said


@pytest.mark.parametrize(
    "said",
    [
        b"RUN echo labkit-0b0b0b0b/app", b"FROM app\nRUN echo labkit-0b0b0b0b/app",
        b"FROM labkit-0b0b0b0b", b"FROM labkit-nothex00/app", b"FROM labkit/base", b"",
        b"\xff" * 99,
    ],
)  # fmt: skip
def test_what_names_no_image_passes_as_it_is(said: bytes) -> None:
    assert OWN.hidden(said) == said
