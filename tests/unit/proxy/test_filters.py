"""What a filter by name finds, and that no pattern holds up the socket for long."""

from __future__ import annotations

import time

import pytest

from labkit.proxy.containers import matching
from labkit.proxy.refusal import Refusal

LONG = "a" * 250 + "b"


def matches(pattern: str, *names: str) -> bool:
    found = [{"Names": [name]} for name in names]
    return bool(matching([pattern], found, lambda one: list(one["Names"])))


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("web", True), ("^web$", True), ("^/web$", True), ("w.b", True), ("^eb", False), ("", True)],
)
def test_patterns_find_names_with_and_without_the_slash(pattern: str, found: bool) -> None:
    assert matches(pattern, "/web") is found


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*$", "(a*)*c", "^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_a_pattern_that_would_take_years_is_refused(pattern: str) -> None:
    began = time.process_time()
    with pytest.raises(Refusal, match="takes too long") as refused:
        matches(pattern, *[f"/{LONG}"] * 5)
    assert refused.value.status == 400
    assert time.process_time() - began < 5


@pytest.mark.parametrize("pattern", ["(", "[", "a{99999999999}", "(?P<x", "*", "(" * 5000])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(Refusal, match="invalid filter"):
        matches(pattern, "/web")
