"""The house stands: each floor imports from the floors below it, and checks can only look."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import labkit

PACKAGE = Path(labkit.__file__).parent
COURSE = PACKAGE.parent / "course"
# From the ground up; what stands on one floor does not import one another.
FLOORS = (
    ("errors", "paths", "table", "palette", "detached", "lazily"),
    ("waiting", "sizes", "course", "sdk", "kernel", "debian", "linux"),
    ("lock", "owner"),
    ("labels", "host"),
    ("engine",),
    ("builder",),
    ("images",),
    ("inspect",),
    ("proxy",),
    ("lab",),
    ("checks", "show", "shell"),
    ("authoring",),
    ("cli",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted(PACKAGE.rglob("*.py"))
ACTS = "begin_again.py"  # `reset` removes what a learner made


def imported(module: Path) -> Iterator[str]:
    """The modules that a file imports when it runs, as "labkit.host.agent", types apart."""
    pending: list[ast.AST] = [ast.parse(module.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if node.module == "labkit":
                yield from (f"labkit.{alias.name}" for alias in node.names)
            else:
                yield node.module
        pending += ast.iter_child_nodes(node)


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_room_has_a_floor() -> None:
    assert {room(path) for path in MODULES} - {"__init__", "__main__"} == set(FLOOR)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_lead_down(path: Path) -> None:
    mine = room(path)
    if mine in ("__init__", "__main__"):
        return  # the roof: what `import labkit` gives out
    below = {name.split(".")[1] for name in imported(path) if name.startswith("labkit.")} - {mine}
    upward = {name for name in below if FLOOR[name] >= FLOOR[mine]}
    assert not upward, f"{path} is on the floor of {FLOORS[FLOOR[mine]]}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "checks").glob("*.py")), ids=lambda p: p.name)
def test_what_judges_has_no_lab_in_its_hands(path: Path) -> None:
    held = {name for name in imported(path) if name.startswith("labkit.lab.")}
    assert not {"labkit.lab", *held} & set(imported(path)) or path.name == ACTS


@pytest.mark.parametrize("path", sorted(COURSE.glob("*/checks.py")), ids=lambda p: p.parent.name)
def test_a_chapters_checks_import_only_what_looks(path: Path) -> None:
    ours = {name for name in imported(path) if name.startswith("labkit")}
    assert ours <= {"labkit.checks", "labkit.inspect"}
