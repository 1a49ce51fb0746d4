"""Every error of the tree: its facts, and its way from process to process."""

from __future__ import annotations

import ast
import copy
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

import labkit.cli
import labkit.show  # every module that might define one
from labkit.errors import LabError


def tree(kind: type[LabError] = LabError) -> Iterator[type[LabError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from tree(below)


TREE = sorted(set(tree()), key=lambda kind: kind.__name__)
NO_FACTS = {"what", "seen", "do", "args"}


def facts_of(kind: type[LabError]) -> dict[str, object]:
    """Each fact that the class names, with a value that is not its default."""
    named = [name for one in kind.__mro__ for name in getattr(one, "__annotations__", ())]
    return {name: f"the {name}" for name in named if name not in NO_FACTS}


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_it_goes_whole_from_process_to_process(kind: type[LabError], protocol: int) -> None:
    facts = facts_of(kind)
    sent = kind("It broke.", seen="two pieces", do="glue it", **facts)
    for came in (pickle.loads(pickle.dumps(sent, protocol)), copy.copy(sent)):
        assert type(came) is kind
        assert came.__dict__ == sent.__dict__
        assert (str(came), came.args) == (str(sent), sent.args)
        assert {name: getattr(came, name) for name in facts} == facts
        assert getattr(came, "strerror", None) is None  # a TimeoutError is an OSError


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_a_fact_that_was_not_given_has_its_default(kind: type[LabError]) -> None:
    plain = kind("It broke.")
    for name in facts_of(kind):
        assert getattr(plain, name) in ("", 0, None, (), 0.0, frozenset()), name
    with pytest.raises(TypeError, match="has no fact 'colour'"):
        kind("It broke.", colour="red")


def test_the_tree_has_the_facts_that_programs_need() -> None:
    names = {kind.__name__: set(facts_of(kind)) for kind in TREE}
    assert names["NotFoundError"] == {"kind", "name"} == names["ImageNotFoundError"]
    assert names["ContainerExitedError"] == {"name", "exit_code", "logs"}
    assert names["EngineRefusedError"] == {"status"}
    assert names["NoEngineError"] == {"tried"}
    assert names["EngineTimeoutError"] == {"timeout"}


# What whoever raises one always knows.
KNOWN = {
    "BadValueError": "value",
    "ProcessGoneError": "pid",
    "WaitTimeoutError": "timeout",
    "LookTimeoutError": "timeout",
    "ExecTimeoutError": "timeout",
}


@pytest.mark.parametrize("kind", KNOWN)
def test_whoever_raises_it_gives_the_fact(kind: str) -> None:
    made, without = 0, []
    for path in Path(labkit.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == kind:
                made += 1
                if KNOWN[kind] not in [one.arg for one in node.keywords]:
                    without.append(f"{path.name}:{node.lineno}")
    assert made and not without


def test_the_cause_is_told_though_it_stays_behind() -> None:
    try:
        try:
            raise OSError(28, "No space left on device")
        except OSError as err:
            raise LabError("It broke.", seen=str(err)) from err
    except LabError as err:
        came = pickle.loads(pickle.dumps(err))
    assert "No space left" in came.seen
