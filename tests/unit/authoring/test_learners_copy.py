"""The learner's own copy: laid out without outputs, brought up to date, and never lost."""

from __future__ import annotations

import resource
import threading
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode
from typer.testing import CliRunner

from labkit.authoring.learners_copy import Laid, lay_out
from labkit.authoring.notebook import load, new_notebook, save
from labkit.cli import app
from labkit.errors import CourseError

v4: Any = nbformat.v4  # its functions carry no types
ONE, TWO = "notebooks/01_one.ipynb", "notebooks/02_two.ipynb"


def notebook(*code: str) -> NotebookNode:
    """One that has run."""
    made = new_notebook([v4.new_code_cell(one) for one in code], prefix="c")
    for cell in made.cells:
        cell.execution_count = 1
        cell.outputs = [v4.new_output("stream", text="the answer\n")]
    return made


def change(path: Path, *code: str) -> None:
    """What a learner does to a copy, and saves."""
    there = load(path)
    there.cells += [v4.new_code_cell(one) for one in code]
    save(there, path)


def code_of(path: Path) -> list[str]:
    return [cell.source for cell in load(path).cells]


@pytest.fixture
def built(tmp_path: Path) -> Path:
    folder = tmp_path / "built"
    save(notebook("1"), folder / ONE)
    save(notebook("2"), folder / TWO)
    save(notebook("raise NotImplementedError"), folder / "exercises/01_one.ipynb")
    return folder


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "work"


def test_all_is_laid_out_without_outputs(built: Path, work: Path) -> None:
    laid = lay_out(built, work)
    assert laid == Laid(new=[ONE, TWO, "exercises/01_one.ipynb"])
    for path in work.rglob("*.ipynb"):
        assert "the answer" not in path.read_text()
        assert all(cell.execution_count is None for cell in load(path).cells)
    assert "the answer" in (built / ONE).read_text()
    assert (work / ".gitignore").read_text() == "*\n"
    assert lay_out(built, work) == Laid()


def test_a_folder_of_somebodys_own_keeps_its_gitignore(built: Path, work: Path) -> None:
    work.mkdir()
    (work / ".gitignore").write_text("build/\n")
    lay_out(built, work)
    assert (work / ".gitignore").read_text() == "build/\n"


def test_what_was_only_run_is_brought_up_to_date(built: Path, work: Path) -> None:
    lay_out(built, work)
    ran = notebook("1")
    ran.cells.append(v4.new_code_cell(""))  # JupyterLab adds a blank one after the last
    save(ran, work / ONE)
    assert lay_out(built, work) == Laid()
    assert "the answer" in (work / ONE).read_text()  # its outputs stay until the course changes
    save(notebook("1", "and more"), built / ONE)
    assert lay_out(built, work) == Laid(updated=[ONE])
    assert code_of(work / ONE) == ["1", "and more"]


def test_what_was_left_alone_for_two_versions(built: Path, work: Path) -> None:
    lay_out(built, work)
    for version in ("second", "third"):
        save(notebook(version), built / ONE)
    assert lay_out(built, work) == Laid(updated=[ONE])
    save(notebook("1"), work / ONE)  # somebody puts back an old one that he had beside it
    assert lay_out(built, work) == Laid(updated=[ONE])
    assert code_of(work / ONE) == ["third"]


def test_what_was_changed_is_kept(built: Path, work: Path) -> None:
    lay_out(built, work)
    change(work / ONE, "mine")
    assert lay_out(built, work) == Laid()
    save(notebook("new"), built / ONE)
    for _ in range(2):  # said until the learner has done something about it
        assert lay_out(built, work) == Laid(kept=[ONE])
    assert code_of(work / ONE) == ["1", "mine"]
    (work / ONE).rename(work / "notebooks/mine.ipynb")
    assert lay_out(built, work) == Laid(new=[ONE])
    assert code_of(work / "notebooks/mine.ipynb") == ["1", "mine"]


def test_what_was_deleted_is_laid_out_again(built: Path, work: Path) -> None:
    lay_out(built, work)
    (work / ONE).unlink()
    assert lay_out(built, work) == Laid(new=[ONE])


def test_a_chapter_that_was_renumbered(built: Path, work: Path) -> None:
    lay_out(built, work)
    (built / ONE).rename(built / "notebooks/03_one.ipynb")
    (built / TWO).rename(built / "notebooks/04_two.ipynb")
    change(work / TWO, "mine")
    moved = ["notebooks/03_one.ipynb", "notebooks/04_two.ipynb"]
    assert lay_out(built, work) == Laid(new=moved, removed=[ONE], left=[TWO])
    assert not (work / ONE).exists()
    assert code_of(work / TWO) == ["2", "mine"]


def test_another_chapter_takes_a_number(built: Path, work: Path) -> None:
    # What is untouched under a name is replaced by what now has it; what is changed stays.
    lay_out(built, work)
    change(work / TWO, "mine")
    save(notebook("another"), built / ONE)
    save(notebook("another"), built / TWO)
    assert lay_out(built, work) == Laid(updated=[ONE], kept=[TWO])


def test_a_copy_that_is_no_notebook_any_more_is_kept(built: Path, work: Path) -> None:
    lay_out(built, work)
    (work / ONE).write_text("half a noteb")
    save(notebook("new"), built / ONE)
    assert lay_out(built, work) == Laid(kept=[ONE])
    assert (work / ONE).read_text() == "half a noteb"


@pytest.mark.parametrize("spoiled", ["", "[1]", "{", '{"notebooks/01_one.ipynb": 3}'])
def test_notes_that_are_spoiled_cost_no_work(built: Path, work: Path, spoiled: str) -> None:
    lay_out(built, work)
    (work / ".labkit.json").write_text(spoiled)
    save(notebook("new"), built / ONE)
    assert lay_out(built, work).kept == [ONE]


def test_an_interrupted_one_is_finished_by_the_next(
    built: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(built, work)
    save(notebook("new"), built / ONE)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("labkit.authoring.learners_copy._save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            lay_out(built, work)
    assert lay_out(built, work) == Laid(updated=[ONE])


def test_two_at_once(built: Path, work: Path) -> None:
    said: list[Laid] = []
    threads = [threading.Thread(target=lambda: said.append(lay_out(built, work))) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(one.new) for one in said) == [0, 3]


@pytest.mark.parametrize("where", ["/proc/work", "/dev/full"])
def test_a_folder_that_cannot_be_written(built: Path, where: str) -> None:
    with pytest.raises(CourseError, match="cannot be laid out") as caught:
        lay_out(built, Path(where))
    assert "labkit course open DIR" in str(caught.value)


def test_a_write_that_the_kernel_cuts_off_loses_nothing(built: Path, work: Path) -> None:
    """As on a full disk, or beyond a quota: the file is begun and cannot be ended."""
    lay_out(built, work)
    before = code_of(work / ONE)
    save(notebook("new"), built / ONE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # bytes; Python ignores the signal
    try:
        with pytest.raises(CourseError, match="File too large"):
            lay_out(built, work)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code_of(work / ONE) == before
    assert lay_out(built, work) == Laid(updated=[ONE])


def test_nothing_to_lay_out(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="no notebook to lay out"):
        lay_out(tmp_path, tmp_path / "work")


def test_the_command_says_what_it_did(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    said = runner.invoke(app, ["course", "open", "work", "--root", str(built)]).output
    assert f"work/{ONE}: new" in said
    assert "the course is laid out in work/" in said
    change(tmp_path / "work" / ONE, "mine")
    save(notebook("new"), built / ONE)
    said = runner.invoke(app, ["course", "open", "work", "--root", str(built)]).output
    assert f"work/{ONE}: yours is kept" in said.replace("\n", " ")
