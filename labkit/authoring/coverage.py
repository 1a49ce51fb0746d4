"""`labkit course coverage`: what the subject has, and the cell that runs or shows each piece of it.

`course/coverage.tsv` lists the pieces: commands, flags, tables, figures, files, cases and claims.
Its last column refers to the built notebooks, and only what is found there counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nbformat import NotebookNode

from labkit import course
from labkit.authoring import commands
from labkit.authoring.notebook import code_cells, load, printed
from labkit.authoring.source import PASSED, Kind
from labkit.course import Chapter
from labkit.errors import CourseError

FILE = "coverage.tsv"
COLUMNS = ("id", "chapter", "kind", "item", "shown")
TYPED = ("command", "flag")  # a shell cell must have run these
MAY_BE_SILENT = (*TYPED, "file")  # of all other kinds, something must have been printed or drawn
KINDS = (*MAY_BE_SILENT, "table", "figure", "case", "claim", "incident")

_REFERENCE = re.compile(
    r"(?:(?P<says>says): |(?P<exercise>\d\d\.[1-9]\d*)(?:: |$))?(?P<text>.*?)(?: => (?P<seen>.+))?"
)
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*$", re.MULTILINE)
_BEFORE = re.compile(r"[;&|`(\n]")  # what may stand between two commands of a shell
_CHECK = re.compile(r'^\s*(?:labkit\.)?check\("(?P<id>[\d.]+)"\)', re.MULTILINE)
_PICTURE = {"image/png", "image/svg+xml"}


@dataclass(frozen=True)
class Reference:
    """One place that a row refers to: a cell, an exercise, or a sentence."""

    text: str  # that stands in the code of the cell, or in the sentence; "": the exercise itself
    seen: str | None  # that stands in the output of the same cell
    exercise: str | None  # "02.5": in its part of the solutions
    said: bool  # a sentence of the chapter, which is not run


@dataclass(frozen=True)
class Row:
    """One line of the file."""

    id: str  # "c003"
    chapter: str  # "02"
    kind: str
    item: str
    shown: str  # as it is written; empty: by nothing yet

    @property
    def references(self) -> list[Reference]:
        """The places of the last column."""
        found = (_REFERENCE.fullmatch(one.strip()) for one in self.shown.split(" ; "))
        return [
            Reference(one["text"], one["seen"], one["exercise"], bool(one["says"]))
            for one in found
            if one and one[0]
        ]


@dataclass(frozen=True)
class Coverage:
    """The rows of some chapters, and what is wrong with those that are not shown."""

    landed: Mapping[str, Chapter]  # by number: those that are in the course
    rows: tuple[Row, ...]
    faults: Mapping[str, str]  # by the row's id

    @property
    def broken(self) -> list[Row]:
        """The rows whose chapter is in the course and does not show them, or the other way round.

        A row that waits for its chapter is no fault.
        """
        return [one for one in self.rows if one.id in self.faults and not self.waits(one)]

    def waits(self, row: Row) -> bool:
        """Whether nothing is said of it, and its chapter is not there."""
        return row.chapter not in self.landed and not row.shown


def read_rows(course_dir: Path) -> tuple[Row, ...]:
    """Return the rows of the course's coverage.tsv; raises CourseError where it is malformed."""
    path = course_dir / FILE
    if not path.is_file():
        raise CourseError(
            "The course has no list of what it must show.",
            seen=f"no file at {path}",
            do="take it from labkit's repository: git checkout course/coverage.tsv",
        )
    header, *lines = path.read_text(encoding="utf-8").splitlines() or [""]
    rows: dict[str, Row] = {}
    wrong = [] if header.split("\t") == list(COLUMNS) else [f"line 1: {header[:60]}"]
    for number, line in enumerate(lines, start=2):
        cells = line.split("\t")
        cells += [""] * (len(cells) == len(COLUMNS) - 1)  # an editor may drop the last tab
        row = Row(*cells) if len(cells) == len(COLUMNS) else None
        known = row and row.kind in KINDS and re.fullmatch(r"\d\d", row.chapter)
        if not row or not known or row.id in rows:
            wrong.append(f"line {number}: {line[:60]}")
        else:
            rows[row.id] = row
    if wrong:
        raise CourseError(
            f"{path} cannot be read.",
            seen="; ".join(wrong),
            do=f"give each line an id of its own, a chapter of two digits, a kind "
            f"({', '.join(KINDS)}), what it is and where it is shown, with tabs between",
        )
    return tuple(rows.values())


def coverage(course_dir: Path, root: Path, *, chapters: Sequence[str] | None = None) -> Coverage:
    """Look for what each row refers to in the notebooks stored under `root`.

    `chapters` are numbers, all when None; some may not be in the course yet. Raises CourseError.
    """
    rows = read_rows(course_dir)
    landed = {one.number: one for one in course.chapters(course_dir)}
    known = landed.keys() | {row.chapter for row in rows}
    if unknown := set(chapters or ()) - known:
        raise CourseError(
            f"No chapter has the number {', '.join(sorted(unknown))}.",
            seen="chapters " + ", ".join(sorted(known)),
            do="give two digits: 02",
        )
    rows = tuple(row for row in rows if not chapters or row.chapter in chapters)
    stored = {number: Stored(chapter, root) for number, chapter in landed.items()}
    told = {row.id: "; ".join(faults_of(row, stored.get(row.chapter))) for row in rows}
    return Coverage(landed, rows, {id: why for id, why in told.items() if why})


class Stored:
    """The notebooks of one chapter, executed, as they are stored."""

    def __init__(self, chapter: Chapter, root: Path) -> None:
        self._chapter, self._root = chapter, root

    @cached_property
    def chapter(self) -> NotebookNode:
        """The chapter itself."""
        return self._load(Kind.CHAPTER)

    @cached_property
    def exercises(self) -> dict[str, list[NotebookNode]]:
        """The code cells of the solutions, by exercise; its check is the last."""
        found: dict[str, list[NotebookNode]] = {}
        begun: list[NotebookNode] = []
        for cell in code_cells(self._load(Kind.SOLUTIONS)):
            begun.append(cell)
            if check := _CHECK.search(cell.source):
                found.setdefault(check["id"], []).extend(begun)
                begun = []
        return found

    def cells(self, reference: Reference, kind: str) -> list[NotebookNode]:
        """Return the cells that hold what a row of this kind refers to."""
        if reference.said:
            return [
                cell
                for cell in self.chapter.cells
                if cell.cell_type == "markdown" and _flat(reference.text) in _flat(cell.source)
            ]
        if reference.exercise is None:
            among = code_cells(self.chapter)
        else:
            among = self.exercises.get(reference.exercise, [])
        return [cell for cell in among if _holds(cell, reference, kind)]

    def _load(self, kind: Kind) -> NotebookNode:
        path = kind.path(self._root, self._chapter)
        if not path.exists():
            raise CourseError(
                f"The notebook {kind}/{path.name} is missing.",
                seen=f"no file at {path}",
                do=f"run `labkit course build --only {self._chapter.number}`",
            )
        return load(path)


def faults_of(row: Row, stored: Stored | None) -> Iterator[str]:
    """Yield what keeps a row from being shown, given the notebooks of its chapter."""
    if stored is None:
        yield "its chapter is not in the course" + (", and a cell is named" if row.shown else "")
        return
    if not row.references:
        yield "no cell is named"
        return
    pictures = False
    for one in row.references:
        other = one.exercise and one.exercise.partition(".")[0] != row.chapter
        if not one.text and (one.exercise is None or one.seen or row.kind in TYPED):
            yield f"{one.exercise or row.shown}: no text is named that stands in a cell"
        elif other or not (cells := stored.cells(one, row.kind)):
            yield _not_found(row, one)
        else:
            pictures |= any(
                _PICTURE & out.get("data", {}).keys() for c in cells for out in c.get("outputs", ())
            )
    if all(one.said for one in row.references):
        yield "it is only said: name a cell too"
    elif row.kind == "figure" and not pictures:
        yield "no cell that is named has a picture"


def _not_found(row: Row, one: Reference) -> str:
    if not one.text:
        return f"the chapter has no exercise {one.exercise} that its solution passes"
    what = "sentence" if one.said else "shell cell" if row.kind in TYPED else "cell"
    where = f"exercise {one.exercise}" if one.exercise else f"chapter {row.chapter}"
    how = f" and prints {one.seen!r}" if one.seen else ""
    silent = "" if one.said or one.seen or row.kind in MAY_BE_SILENT else " and shows something"
    return f"no {what} of {where} has {one.text!r}{how}{silent}"


def _holds(cell: NotebookNode, reference: Reference, kind: str) -> bool:
    """Whether a code cell was run, has the text in its code, and shows what it must."""
    told = " ".join(printed(cell))
    if not reference.text:  # the exercise itself: its check, which says that it is passed
        return bool(_CHECK.search(cell.source)) and PASSED in told
    if cell.execution_count is None or (kind in TYPED and not commands.is_shell(cell.source)):
        return False
    if reference.seen:
        shows = _flat(reference.seen) in _flat(told)
    else:
        shows = bool(cell.outputs) or kind in MAY_BE_SILENT
    return shows and _is_run(reference.text, cell.source)


def _is_run(text: str, code: str) -> bool:
    """Whether it stands in the code, outside of comments and of what is only printed."""
    lines = _COMMENT.sub("", code.replace("\\\n", " ")).splitlines()
    flat, wanted = "\n".join(map(_flat, lines)), _flat(text)
    starts = (one.start() for one in re.finditer(re.escape(wanted), flat))
    return any(
        not _BEFORE.split(flat[:start])[-1].lstrip().startswith(("echo ", "printf "))
        for start in starts
    )


def _flat(text: str) -> str:
    return " ".join(text.split())
