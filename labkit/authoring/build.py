"""`labkit course build`: the three notebook folders from the course's text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nbformat import NotebookNode

from labkit.authoring.execute import TIMEOUT, OnProgress, execute_notebook, raised
from labkit.authoring.notebook import code_cells, errors, load, normalise, save
from labkit.authoring.source import Kind, assemble, select
from labkit.errors import CourseError


def build(
    course_dir: Path,
    out_dir: Path,
    *,
    chapters: Sequence[str] | None = None,
    execute: bool = True,
    timeout: int = TIMEOUT,
    on_progress: OnProgress | None = None,
) -> list[Path]:
    """Make the notebooks of these chapters (numbers, all when None); return their files.

    Without `execute`, stored outputs stay where no code cell of the notebook changed. Two builds
    of one source differ in nothing but the outputs of cells tagged `nbval-ignore-output`, which
    are measurements. `timeout` is in seconds, for each cell. Building all chapters removes
    notebooks that no chapter makes. Raises CourseError; notebooks made before it stay.
    """
    selected = select(course_dir, chapters)
    # Assemble everything first: a mistake in the last text is told before an hour of executing.
    made = {
        kind.path(out_dir, chapter): assemble(chapter, kind)
        for chapter in selected
        for kind in Kind
    }
    outdated: list[str] = []
    for path, notebook in made.items():
        name = f"{path.parent.name}/{path.name}"
        if Kind(path.parent.name).executed:
            if execute:
                notebook = _executed(notebook, path, name, timeout, on_progress)
            elif not keep_outputs(notebook, path):
                outdated.append(name)
                continue
        save(notebook, path)
    if chapters is None:
        for path in stale(out_dir, set(made)):
            path.unlink()
    if outdated:
        raise CourseError(
            "The code of some notebooks changed, so that their outputs are not true any more.",
            seen=", ".join(outdated),
            do="run `labkit course build` with execution",
        )
    return list(made)


def keep_outputs(notebook: NotebookNode, path: Path) -> bool:
    """Take over the outputs stored at `path`, if every code cell there has the same source."""
    if not path.exists():
        return False
    old, new = code_cells(load(path)), code_cells(notebook)
    if [cell.source for cell in old] != [cell.source for cell in new]:
        return False
    for before, cell in zip(old, new, strict=True):
        cell.outputs, cell.execution_count = before.outputs, before.execution_count
    return True


def stale(out_dir: Path, made: set[Path]) -> list[Path]:
    """Return the notebooks in the three folders that are not among `made`."""
    return sorted(
        path for kind in Kind for path in (out_dir / kind).glob("*.ipynb") if path not in made
    )


def _executed(
    notebook: NotebookNode, path: Path, name: str, timeout: int, on_progress: OnProgress | None
) -> NotebookNode:
    path.parent.mkdir(parents=True, exist_ok=True)  # the kernel runs there
    done = execute_notebook(
        notebook, name=name, cwd=path.parent, timeout=timeout, on_progress=on_progress
    )
    for cell, output in errors(done):
        raise CourseError(
            f"{name}, cell {cell.id} raised an error.",
            seen=raised(output),
            do="correct the source in course/; a cell that shows an error catches it and prints it",
        )
    return normalise(done, name=name)
