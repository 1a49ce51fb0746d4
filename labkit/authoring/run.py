"""`labkit course run`: execute the built notebooks, and judge what was raised in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from nbformat import NotebookNode

from labkit.authoring.execute import TIMEOUT, OnProgress, execute_notebook, raised
from labkit.authoring.notebook import errors, load, printed
from labkit.authoring.source import CHECKS, PASSED, Kind
from labkit.course import stub_message
from labkit.errors import CourseError


def run(
    root: Path,
    output_dir: Path,
    *,
    chapters: Sequence[str] | None = None,
    kinds: Sequence[Kind] = tuple(Kind),
    timeout: int = TIMEOUT,
    on_progress: OnProgress | None = None,
) -> list[Path]:
    """Execute the notebooks under `root`, and return the executed copies in `output_dir`.

    Chapters and solutions have to run through, and each check of a solution to pass. Exercises run
    past every error, and each has to be one that an untouched exercise raises. `timeout` is in
    seconds, for each cell. Raises one CourseError that lists every failure by file and cell, after
    all notebooks ran.
    """
    paths = [
        path
        for kind in kinds
        for path in sorted((root / kind).glob("*.ipynb"))
        if not chapters or path.name[:2] in chapters
    ]
    if not paths:
        raise CourseError(
            "There is no notebook to run.",
            seen=f"none in {root} for chapters {', '.join(chapters or ['of any number'])}",
            do="run `labkit course build`",
        )
    failures: list[str] = []
    outputs: list[Path] = []
    for path in paths:
        kind = Kind(path.parent.name)
        name = f"{kind}/{path.name}"
        output = output_dir / name
        output.parent.mkdir(parents=True, exist_ok=True)
        outputs.append(output)
        try:
            executed = execute_notebook(
                load(path),
                name=name,
                cwd=path.parent,
                timeout=timeout,
                allow_errors=not kind.executed,
                output=output,
                on_progress=on_progress,
            )
        except CourseError as err:
            failures.append(f"{err.what} ({err.seen})")
            continue
        if kind is Kind.SOLUTIONS:
            failures += [f"{name}, cell {cell.id}: {said}" for cell, said in unsolved(executed)]
        failures += [
            f"{name}, cell {cell.id}: {raised(error)}"
            for cell, error in (errors(executed) if kind.executed else foreign_errors(executed))
        ]
    if failures:
        raise CourseError(
            "Notebooks did not run as they should.",
            seen="\n        ".join(failures),
            do=f"see the executed copies in {output_dir}, correct course/, `labkit course build`",
        )
    return outputs


def unsolved(executed: NotebookNode) -> Iterator[tuple[NotebookNode, str]]:
    """Yield each cell of solved exercises whose check did not say that they passed."""
    for cell in executed.cells:
        if cell.cell_type == "code" and CHECKS.search(cell.source):
            told = printed(cell)
            if not any(PASSED in report.partition("\n")[0] for report in told):
                yield cell, "\n".join(told) or "no report"


def foreign_errors(executed: NotebookNode) -> Iterator[tuple[NotebookNode, NotebookNode]]:
    """Yield each error in a notebook of untouched exercises that no stub raised.

    A stub inside a function is raised by the cell that calls it. A cell that checks may raise
    nothing: the check of an untouched exercise says that it is not attempted.
    """
    stubs = {
        stub_message(cell.metadata.exercise)
        for cell in executed.cells
        if "exercise" in cell.metadata
    }
    for cell, error in errors(executed):
        by_stub = error.ename == "NotImplementedError" and error.evalue in stubs
        if not by_stub or CHECKS.search(cell.source):
            yield cell, error
