"""What the subject has is shown by the course, and a cell that goes is noticed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode
from typer.testing import CliRunner

from labkit.authoring.coverage import (
    COLUMNS,
    FILE,
    Reference,
    Row,
    Stored,
    coverage,
    faults_of,
    read_rows,
)
from labkit.authoring.notebook import new_notebook, save
from labkit.authoring.source import Kind
from labkit.cli import app
from labkit.course import chapters, course_dir
from labkit.errors import CourseError

v4: Any = nbformat.v4  # its functions carry no types
ROOT = Path(__file__).parents[3]
LANDED = {one.number: one for one in chapters(course_dir())}
ROWS = [row for row in read_rows(course_dir()) if row.chapter in LANDED]
PLACES = [(row, one) for row in ROWS for one in row.references]


# --- the course itself ----------------------------------------------------------------------------


def test_each_chapter_shows_what_is_its_own() -> None:
    found = coverage(course_dir(), ROOT)
    assert [f"{row.id}: {found.faults[row.id]}" for row in found.broken] == []


def test_all_that_the_subject_has_is_listed() -> None:
    assert [row.id for row in read_rows(course_dir())] == [f"c{n:03}" for n in range(1, 143)]


def removed(cell: NotebookNode) -> None:
    cell.source = ""


def only_said(cell: NotebookNode) -> None:
    cell.source = "\n".join(f"# {line}" for line in cell.source.splitlines())


def never_run(cell: NotebookNode) -> None:
    cell.execution_count, cell.outputs = None, []


@pytest.mark.parametrize("spoil", [removed, only_said, never_run])
@pytest.mark.parametrize(("row", "reference"), PLACES, ids=[f"{r.id} {o.text}" for r, o in PLACES])
def test_a_cell_of_the_course_that_goes_is_missed(
    row: Row, reference: Reference, spoil: Callable[[NotebookNode], None]
) -> None:
    stored = Stored(LANDED[row.chapter], ROOT)
    cells = stored.cells(reference, row.kind)
    assert cells
    for cell in cells:
        (removed if reference.said else spoil)(cell)
    assert list(faults_of(row, stored))


# --- what counts, and what does not ---------------------------------------------------------------

SHELL = (
    "%%sh\ndocker info\ndocker ps \\\n    -a  # all of them\n# docker top web\necho docker rm web"
)
PASSED = "01.1 A name: passed, 2 of 2 points"


def ran(source: str, printed: str = "", *, picture: bool = False) -> NotebookNode:
    """A cell that was run."""
    outputs = [v4.new_output("stream", text=printed)] * bool(printed)
    outputs += [v4.new_output("display_data", {"image/png": "", "text/plain": "a bar"})] * picture
    cell: NotebookNode = v4.new_code_cell(source, outputs=outputs, execution_count=1)
    return cell


def write(root: Path, *rows: tuple[str, ...], head: tuple[str, ...] = COLUMNS) -> Path:
    """A course of one chapter, 01, with these rows, and its notebooks."""
    course = root / "course"
    (course / "01_first").mkdir(parents=True)
    lines = ["\t".join(one) for one in (head, *rows)]
    (course / FILE).write_text("\n".join(lines) + "\n")
    texts = {
        Kind.CHAPTER: [
            v4.new_markdown_cell("Type `docker stats`: it is seen\nat once."),
            ran(SHELL, "Server  Version: 27\nweb\n"),
            ran("%%in web\nkill -TERM 1"),
            ran("lab.run('base')"),
            ran("print(subprocess.run('docker kill web'))", "web\n"),
            ran("show.bars(took)", picture=True),
            v4.new_code_cell("%%sh\ndocker pause web"),
        ],
        Kind.SOLUTIONS: [
            ran("variant('01.1')", "name = 'a'"),
            ran("%%sh\ndocker run --name a labkit/base"),
            ran('check("01.1")', PASSED),
            ran("lab.run('b')"),
            ran('check("01.2")', PASSED.replace("passed", "incorrect")),
        ],
    }
    for kind, cells in texts.items():
        save(new_notebook(cells, prefix="c"), root / kind / "01_first.ipynb")
    return course


def fault(root: Path, kind: str, shown: str) -> str:
    course = write(root, ("c001", "01", kind, "something", shown))
    return coverage(course, root).faults.get("c001", "")


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("command", "docker info"),
        ("command", "docker info => Server Version: 27 web"),
        ("command", "docker ps -a ; docker info"),
        ("command", "kill -TERM 1"),
        ("command", "01.1: docker run --name a"),
        ("file", "lab.run('base')"),
        ("claim", "docker kill web => web"),
        ("claim", "docker info ; says: it is seen at once"),
        ("figure", "docker info ; show.bars"),
        ("case", "01.1"),
        ("claim", "01.1: variant"),
    ],
)
def test_what_was_run_and_shown_counts(tmp_path: Path, kind: str, shown: str) -> None:
    assert fault(tmp_path, kind, shown) == ""


@pytest.mark.parametrize(
    ("kind", "shown", "why"),
    [
        ("command", "", "no cell is named"),
        ("command", "docker stats", "no shell cell of chapter 01 has 'docker stats'"),
        ("command", "docker top web", "no shell cell"),  # a comment
        ("command", "docker rm web", "no shell cell"),  # only printed
        ("command", "docker kill web", "no shell cell"),  # not typed
        ("command", "docker pause web", "no shell cell"),  # not run
        ("command", "docker info ; docker top web", "'docker top web'"),
        ("command", "docker info => 28", "prints '28'"),
        ("command", "01.1", "01.1: no text is named"),
        ("command", "01.1: docker info", "no shell cell of exercise 01.1"),
        ("flag", "says: docker stats", "only said"),
        ("claim", "kill -TERM 1", "and shows something"),
        ("claim", "docker info ; says: at last", "no sentence of chapter 01 has 'at last'"),
        ("figure", "docker info", "no cell that is named has a picture"),
        ("case", "01.2", "no exercise 01.2 that its solution passes"),
        ("case", "01.3", "no exercise 01.3"),
        ("case", "02.1", "no exercise 02.1"),
    ],
)
def test_what_was_not_is_told(tmp_path: Path, kind: str, shown: str, why: str) -> None:
    assert why in fault(tmp_path, kind, shown)


def test_a_chapter_to_come_may_wait_and_names_no_cell(tmp_path: Path) -> None:
    rows = [("c001", "07", "command", "a", ""), ("c002", "07", "command", "b", "docker info")]
    found = coverage(write(tmp_path, *rows), tmp_path)
    assert set(found.faults) == {"c001", "c002"}
    assert [row.id for row in found.broken] == ["c002"]


@pytest.mark.parametrize(
    ("row", "seen"),
    [
        (("c002", "01", "command"), "line 3: c002"),
        (("c002", "01", "command", "a", "b", "c"), "line 3: c002"),
        (("c001", "01", "command", "a", "b"), "line 3: c001"),
        (("c002", "1", "command", "a", "b"), "line 3: c002"),
        (("c002", "01", "order", "a", "b"), "line 3: c002"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(
    tmp_path: Path, row: tuple[str, ...], seen: str
) -> None:
    course = write(tmp_path, ("c001", "01", "command", "a", ""), row)
    with pytest.raises(CourseError) as told:
        read_rows(course)
    assert seen in told.value.seen


def test_a_last_column_without_its_tab_is_empty(tmp_path: Path) -> None:
    (row,) = read_rows(write(tmp_path, ("c001", "07", "command", "a")))
    assert not row.shown


def test_other_columns_no_file_and_no_notebook_are_told(tmp_path: Path) -> None:
    course = write(tmp_path, head=COLUMNS[:4])
    with pytest.raises(CourseError, match="line 1"):
        read_rows(course)
    (course / FILE).unlink()
    with pytest.raises(CourseError, match="no list of what it must show"):
        read_rows(course)
    course = write(tmp_path / "bare", ("c001", "01", "command", "a", "docker info"))
    (tmp_path / "bare" / Kind.CHAPTER / "01_first.ipynb").unlink()
    with pytest.raises(CourseError, match="labkit course build --only 01"):
        coverage(course, tmp_path / "bare")


# --- the command ----------------------------------------------------------------------------------


def told(
    root: Path, course: Path, monkeypatch: pytest.MonkeyPatch, *options: str
) -> tuple[int, str]:
    monkeypatch.setenv("LABKIT_COURSE", str(course))
    done = CliRunner().invoke(app, ["course", "coverage", "--root", str(root), *options])
    return done.exit_code, re.sub(r" +", " ", done.output)


def test_the_command_counts_and_fails_for_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = ("c001", "01", "command", "docker info", "docker info")
    wait = ("c002", "07", "flag", "--rm [x]", "")
    course = write(tmp_path / "good", good, wait)
    code, said = told(tmp_path / "good", course, monkeypatch)
    assert code == 0
    assert "01_first 1 1" in said
    assert "07 is not in the course 0 1" in said
    assert "all 1 2" in said
    assert "c002" not in said
    code, said = told(tmp_path / "good", course, monkeypatch, "--only", "07")
    assert code == 0
    assert "c002, 07, flag: --rm [x]" in said

    course = write(tmp_path / "bad", good, ("c003", "01", "command", "docker top", ""))
    code, said = told(tmp_path / "bad", course, monkeypatch)
    assert code == 1
    assert "01_first 1 2" in said
    assert "c003, 01, command: docker top\n no cell is named" in said


def test_a_number_of_no_chapter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="No chapter has the number 44"):
        coverage(write(tmp_path), tmp_path, chapters=["44"])
