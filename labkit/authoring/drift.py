"""`labkit course check`: what in the notebooks is not as the course's text makes it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from nbformat import NotebookNode

from labkit.authoring.build import stale
from labkit.authoring.execute import raised
from labkit.authoring.notebook import code_cells, dumps, load, normalise
from labkit.authoring.source import Kind, assemble, select
from labkit.errors import CourseError


def check(course_dir: Path, out_dir: Path, *, chapters: Sequence[str] | None = None) -> None:
    """Compare the built notebooks with the course's text, without executing any.

    Raises one CourseError that lists every drift by file and cell.
    """
    drifts: list[str] = []
    made: set[Path] = set()
    for chapter in select(course_dir, chapters):
        for kind in Kind:
            path = kind.path(out_dir, chapter)
            name = f"{kind}/{path.name}"
            expected = assemble(chapter, kind)
            drifts += [f"{name}: {drift}" for drift in drifts_of(expected, path, kind=kind)]
            made.add(path)
    if chapters is None:
        drifts += [
            f"{path.parent.name}/{path.name}: no chapter makes this notebook"
            for path in stale(out_dir, made)
        ]
    if drifts:
        raise CourseError(
            "The notebooks are not what the course's text makes.",
            seen="\n        ".join(drifts),
            do="run `labkit course build`",
        )


def drifts_of(expected: NotebookNode, path: Path, *, kind: Kind) -> Iterator[str]:
    """Yield how the notebook stored at `path` differs from the one the text makes."""
    if not path.exists():
        yield "the notebook is missing"
        return
    try:
        stored = load(path)
    except CourseError as err:
        yield f"it is not a notebook of format 4 ({err.seen})"
        return
    found = [*_text_drifts(expected, stored)]
    for count, cell in enumerate(code_cells(stored), start=1):
        drifts = _result_drifts(cell, count) if kind.executed else _untouched_drifts(cell)
        found += [f"cell {_id(cell)}: {drift}" for drift in drifts]
    if not found:
        try:
            canonical = dumps(normalise(copy.deepcopy(stored), name=path.name))
        except CourseError as err:
            found.append(f"{err.what} ({err.seen})")
        else:
            if canonical != path.read_text(encoding="utf-8"):
                found.append("the file is not written as the build writes it")
    yield from found


def _text_drifts(expected: NotebookNode, stored: NotebookNode) -> Iterator[str]:
    for field in ("metadata", "nbformat", "nbformat_minor"):
        if stored[field] != expected[field]:
            yield f"{field} is {stored[field]}, not {expected[field]}"
    if len(stored.cells) != len(expected.cells):
        yield f"it has {len(stored.cells)} cells, the text makes {len(expected.cells)}"
    for want, have in zip_longest(expected.cells, stored.cells):
        if want is None or have is None:
            return  # the number of cells was told above
        for field in ("id", "cell_type", "source", "metadata"):
            if have.get(field) != want[field]:
                yield f"cell {want.id}: {_difference(field, want[field], have.get(field))}"


def _difference(field: str, want: object, have: object) -> str:
    if field != "source":
        return f"{field} is {have}, not {want}"
    lines = zip_longest(str(have).split("\n"), str(want).split("\n"), fillvalue="(no line)")
    number, (is_, should) = next((n, pair) for n, pair in enumerate(lines, 1) if pair[0] != pair[1])
    return f"source differs in line {number}: {is_!r}, not {should!r}"


def _result_drifts(cell: NotebookNode, count: int) -> Iterator[str]:
    if cell.execution_count != count:
        yield f"execution count is {cell.execution_count}, not {count}"
    for output in cell.outputs:
        if output.output_type == "error":
            yield f"its output is an error: {raised(output)}"
        elif output.get("execution_count", count) != count:
            yield f"its result has the execution count {output.execution_count}, not {count}"


def _untouched_drifts(cell: NotebookNode) -> Iterator[str]:
    if cell.outputs:
        yield "it has outputs, in a notebook for the learner to execute"
    if cell.execution_count is not None:
        yield f"execution count is {cell.execution_count}, in a notebook not yet executed"


def _id(cell: NotebookNode) -> str:
    return str(cell.get("id", "without id"))
