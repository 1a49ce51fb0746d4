"""The exercises of a chapter, parsed out of its text.

An exercise is a code cell of `exercises.py` whose marker line carries its number:

    # %% exercise="02.1"
    web = lab.run("base", "sleep 600", name="web")
    ### BEGIN SOLUTION
    peer = lab.run("base", "sleep 600", name="peer", network="container:web")
    ### END SOLUTION

Only the standard library is used, so that `check` can show a solution without Jupyter's tools.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from labkit.course.chapters import read
from labkit.errors import CourseError

BEGIN = "### BEGIN SOLUTION"
END = "### END SOLUTION"

_CELL = re.compile(r"# %%(?:\s(?P<options>.*))?")
_NUMBERED = re.compile(r'\bexercise\s*=\s*"(?P<id>[^"]*)"')


@dataclass(frozen=True)
class Exercise:
    """One exercise cell, in the three shapes that somebody reads."""

    id: str  # chapter and place in it: "02.1"
    code_with_solution: str  # the whole cell, solved, without the marker lines
    stub: str  # the whole cell as a learner gets it
    solution: str  # the solution's lines alone, dedented


def exercises_of(chapter_dir: Path) -> tuple[Exercise, ...]:
    """Return the exercises in a chapter's folder, in order.

    Raises CourseError for a missing `exercises.py`, a malformed region, or a number that is
    taken, or not the chapter's.
    """
    path = chapter_dir / "exercises.py"
    found: dict[str, Exercise] = {}
    for options, code in code_cells(read(path)):
        match = _NUMBERED.search(options)
        if match is None:
            if BEGIN in code or END in code:
                raise CourseError(
                    f"{path} has a solution in a cell that is no exercise.",
                    seen=f"# %% {options}".rstrip(),
                    do=f'number its cell: # %% exercise="{chapter_dir.name[:2]}.1"',
                )
            continue
        exercise = parse_exercise(match["id"], code)
        if not re.fullmatch(rf"{re.escape(chapter_dir.name[:2])}\.[1-9]\d*", exercise.id):
            raise CourseError(
                f"{path} has an exercise whose number is not the chapter's.",
                seen=exercise.id,
                do=f"number it {chapter_dir.name[:2]}.1, {chapter_dir.name[:2]}.2, ...",
            )
        if exercise.id in found:
            raise CourseError(
                f"{path} has two exercises {exercise.id}.",
                seen="the same number on two cells",
                do="give one of them another number",
            )
        found[exercise.id] = exercise
    return tuple(found.values())


def parse_exercise(id: str, code: str) -> Exercise:
    """Cut the solution regions out of an exercise cell's code.

    Raises CourseError when the cell has no region, or one that does not begin or end, or is empty.
    """
    solved: list[str] = []
    stub: list[str] = []
    regions: list[list[str]] = []
    inside = False
    for line in code.splitlines():
        if line.strip() == BEGIN and not inside:
            inside = True
            regions.append([])
            indent = line[: len(line) - len(line.lstrip())]
            stub.append(f'{indent}raise NotImplementedError("{stub_message(id)}")')
        elif line.strip() == END and inside:
            inside = False
        elif BEGIN in line or END in line:
            raise _malformed(id, seen=line.strip())
        else:
            solved.append(line)
            (regions[-1] if inside else stub).append(line)
    if inside or not regions or not all("".join(region).strip() for region in regions):
        raise _malformed(id, seen=f"{BEGIN} without {END}" if inside else "no solution")
    return Exercise(
        id=id,
        code_with_solution="\n".join(solved),
        stub="\n".join(stub),
        solution="\n\n".join(dedent("\n".join(region)).strip("\n") for region in regions),
    )


def stub_message(id: str) -> str:
    """Return what an untouched exercise raises, as a NotImplementedError."""
    return f"Exercise {id}: replace this line"


def _malformed(id: str, *, seen: str) -> CourseError:
    return CourseError(
        f"The solution of exercise {id} is not marked well.",
        seen=seen,
        do=f"put the solution between a line {BEGIN} and a line {END}",
    )


def code_cells(text: str) -> list[tuple[str, str]]:
    """Return the marker line's options and the code of each code cell of a percent file."""
    cells: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        marker = _CELL.fullmatch(line)
        if marker:
            cells.append((marker["options"] or "", []))
        elif cells:
            cells[-1][1].append(line)
    return [
        (options, "\n".join(lines).strip("\n"))
        for options, lines in cells
        if not re.search(r"\[(markdown|md|raw)\]", options)
    ]
