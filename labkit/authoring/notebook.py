"""A notebook in the one shape that is stored: the same bytes from the same text and outputs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode, validator

from labkit.errors import CourseError

# nbformat's functions carry no types.
_v4: Any = nbformat.v4
_iter_validate: Any = validator.iter_validate

WIDGET = "application/vnd.jupyter.widget-view+json"

_METADATA = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
# What jupytext notes about the text's layout, and nbclient and papermill about a run.
_NOT_STORED = {"cell_marker", "lines_to_next_cell", "execution", "papermill"}
_ADDRESS = re.compile(r" at 0x[0-9a-f]{6,}")


def new_notebook(cells: Iterable[NotebookNode], *, prefix: str) -> NotebookNode:
    """Return a notebook of these cells with fixed ids (`02-c07`) and fixed metadata."""
    notebook: NotebookNode = _v4.new_notebook(metadata=_METADATA, cells=list(cells))
    for index, cell in enumerate(notebook.cells, start=1):
        cell.id = f"{prefix}{index:02d}"
        cell.metadata = _stored_metadata(cell)
    return notebook


def normalise(notebook: NotebookNode, *, name: str) -> NotebookNode:
    """Return an executed notebook as it is stored: no timings, no widget models.

    Raises CourseError for an output that no two runs can share: a widget without a text
    equivalent, a memory address.
    """
    stored: NotebookNode = _v4.new_notebook(metadata=_METADATA, cells=notebook.cells)
    for cell in stored.cells:
        cell.metadata = _stored_metadata(cell)
        if cell.cell_type == "code":
            where = f"{name}, cell {cell.id}"
            outputs = [_stored_output(output, where=where) for output in cell.outputs]
            cell.outputs = _merge_streams(outputs)
    return stored


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the code cells of a notebook."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def errors(notebook: NotebookNode) -> list[tuple[NotebookNode, NotebookNode]]:
    """Return each error output, with its cell."""
    return [
        (cell, output)
        for cell in code_cells(notebook)
        for output in cell.outputs
        if output.output_type == "error"
    ]


def printed(cell: NotebookNode) -> list[str]:
    """Return what each output of a code cell says as text; "" for one that says nothing."""
    return [
        str(output.get("text") or output.get("data", {}).get("text/plain", ""))
        for output in cell.outputs
    ]


def dumps(notebook: NotebookNode) -> str:
    """Return the text of a notebook's file."""
    return f"{_v4.writes(notebook)}\n"


def load(path: Path) -> NotebookNode:
    """Read a notebook's file; raises CourseError when it is not one of format 4."""
    try:
        text = path.read_text(encoding="utf-8")
        wrong = next(_iter_validate(json.loads(text), version=4), None)
    except ValueError as err:
        wrong = err
    if wrong is not None:
        raise CourseError(
            f"{path} is not a notebook of format 4.",
            seen=str(wrong).split("\n")[0],
            do="run `labkit course build`",
        ) from wrong
    notebook: NotebookNode = _v4.reads(text)
    return notebook


def save(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook's file whole: an interrupted build leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".ipynb.new")
    beside.write_text(dumps(notebook), encoding="utf-8")
    beside.replace(path)


def _stored_metadata(cell: NotebookNode) -> dict[str, Any]:
    return {key: value for key, value in cell.metadata.items() if key not in _NOT_STORED}


def _stored_output(output: NotebookNode, *, where: str) -> NotebookNode:
    if output.output_type == "stream":
        _refuse_address(output.text, where=where)
    elif output.output_type in ("display_data", "execute_result"):
        if WIDGET in output.data:
            del output.data[WIDGET]
            output.metadata.pop(WIDGET, None)
            if not output.data:
                raise CourseError(
                    f"{where}: an output is only a widget.",
                    seen=f"nothing but {WIDGET}",
                    do="give this widget a text equivalent",
                )
        for mime, text in output.data.items():
            if mime.startswith("text/"):
                _refuse_address(text, where=where)
    return output


def _refuse_address(text: str, *, where: str) -> None:
    match = _ADDRESS.search(text)
    if match:
        line = next(line for line in text.splitlines() if match[0] in line)
        raise CourseError(
            f"{where}: an output holds a memory address, which differs in every run.",
            seen=line.strip(),
            do="show a value whose repr says something, or give this one a name: _ = ax.plot(y)",
        )


def _merge_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    merged: list[NotebookNode] = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged
