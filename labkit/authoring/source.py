"""A chapter's text into its three notebooks, not yet executed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import jupytext  # type: ignore[import-untyped]  # it ships no types
from nbformat import NotebookNode

from labkit import course
from labkit.authoring.notebook import new_notebook
from labkit.authoring.validate import validate
from labkit.checks.outcome import Outcome
from labkit.course import Chapter
from labkit.errors import CourseError

PASSED = f": {Outcome.PASSED}, "  # in the first line of what a check says
CHECKS = re.compile(r"^\s*(?:labkit\.)?check\(", re.MULTILINE)
# JupyterLab, nbclient and papermill go on behind a cell with this tag.
MAY_RAISE = "raises-exception"
# A shell cell stands in the text as comments below `# %% language="in" magic_args="web"`.
TEXT = {"extension": ".py", "format_name": "percent", "custom_cell_magics": "in,host"}


class Kind(StrEnum):
    """What a notebook is for; the value is the folder it lies in."""

    CHAPTER = "notebooks"
    EXERCISES = "exercises"
    SOLUTIONS = "solutions"

    @property
    def executed(self) -> bool:
        """Whether the outputs of this kind are stored."""
        return self is not Kind.EXERCISES

    def path(self, root: Path, chapter: Chapter) -> Path:
        """Return where a chapter's notebook of this kind lies under the built course."""
        return root / self.value / f"{chapter.name}.ipynb"


def select(course_dir: Path, numbers: Sequence[str] | None) -> tuple[Chapter, ...]:
    """Return the chapters of these numbers ("02"), or all of them.

    Raises CourseError for a number that no chapter has.
    """
    every = course.chapters(course_dir)
    unknown = set(numbers or ()) - {chapter.number for chapter in every}
    if unknown:
        raise CourseError(
            f"No chapter has the number {', '.join(sorted(unknown))}.",
            seen="chapters " + ", ".join(chapter.number for chapter in every),
            do="give two digits: 02",
        )
    return tuple(chapter for chapter in every if not numbers or chapter.number in numbers)


def is_introduction(chapter: Chapter) -> bool:
    """Whether a chapter shows how the course works: its header says `labkit: {introduction: true}`.

    An introduction may do without a repair, and with fewer predictions.
    """
    metadata = jupytext.reads(course.read(chapter.path / "chapter.py"), fmt=TEXT).metadata
    return bool(metadata.get("labkit", {}).get("introduction"))


def let_pass(cells: Sequence[NotebookNode]) -> None:
    """Have whoever runs all cells go on behind a stub, wherever up to its check it is raised."""
    stub = False
    for cell in cells:
        if cell.cell_type == "code":
            stub = "exercise" in cell.metadata or (stub and not CHECKS.search(cell.source))
            if stub:
                cell.metadata.tags = [*cell.metadata.get("tags", []), MAY_RAISE]


def assemble(chapter: Chapter, kind: Kind) -> NotebookNode:
    """Make one notebook of a chapter from its text, without outputs.

    Raises CourseError when the text is malformed: an empty cell, a bad exercise, a heading level
    left out, a figure without alternative text.
    """
    path = chapter.path / ("chapter.py" if kind is Kind.CHAPTER else "exercises.py")
    cells = jupytext.reads(course.read(path), fmt=TEXT).cells
    for cell in cells:
        # Two blank lines are the style of a file, and too many for a cell.
        cell.source = re.sub(r"\n{3,}", "\n\n", cell.source)
    exercises = (
        {}
        if kind is Kind.CHAPTER
        else {exercise.id: exercise for exercise in course.exercises_of(chapter.path)}
    )
    for cell in cells:
        id = cell.metadata.get("exercise")
        if id in exercises:
            # Cut again from the cell: in the text, jupytext keeps a magic as a comment.
            exercise = course.parse_exercise(id, cell.source)
            cell.source = exercise.stub if kind is Kind.EXERCISES else exercise.code_with_solution
        elif id is not None or (cell.cell_type == "code" and course.BEGIN in cell.source):
            raise CourseError(
                f"{path} has an exercise where none is read.",
                seen=f"exercise {id!r}: {cell.source.splitlines()[:1]}",
                do="exercises are code cells of exercises.py",
            )
    if kind is Kind.EXERCISES:
        let_pass(cells)
    empty = [str(place) for place, cell in enumerate(cells, start=1) if not cell.source.strip()]
    if empty or not cells:
        raise CourseError(
            f"{path} has an empty cell.",
            seen=f"cell {', '.join(empty)} of {len(cells)}" if empty else "no cell",
            do="delete its marker line, or write the cell",
        )
    letter = "c" if kind is Kind.CHAPTER else "e"
    notebook = new_notebook(cells, prefix=f"{chapter.number}-{letter}")
    if unfit := validate(notebook):
        raise CourseError(
            f"{path} is not fit to be read by everybody.",
            seen="; ".join(unfit),
            do="use every heading level in turn, and describe each figure: ![what it shows](...)",
        )
    return notebook
