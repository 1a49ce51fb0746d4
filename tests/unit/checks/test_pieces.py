"""A learner's own pieces: where they lie, and that nothing written is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from labkit import paths, piece
from labkit.errors import CourseError, LabError

ONE = "02.10"


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No folder of the learner's own, but labkit's home."""
    monkeypatch.delenv("LABKIT_WORK", raising=False)
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def laid_out(folder: Path) -> Path:
    (folder / "exercises").mkdir(parents=True)
    (folder / paths.LAID_OUT).write_text("{}")
    return folder


@pytest.mark.parametrize("here", ["work", "work/exercises", "exercises", ".", "notebooks/deep"])
def test_it_is_one_file_wherever_the_notebook_runs(
    here: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    work = laid_out(tmp_path / "work")
    (tmp_path / here).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / here)
    assert piece(ONE).path == work / "container/namespaces"


def test_a_folder_may_be_named_and_without_one_there_is_a_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert piece(ONE).path == tmp_path / "home/container/namespaces"
    laid_out(tmp_path / "work")
    monkeypatch.setenv("LABKIT_WORK", str(tmp_path / "mine"))
    assert piece(ONE).path == tmp_path / "mine/container/namespaces"


def test_what_is_written_can_be_run_and_what_was_there_is_kept() -> None:
    one = piece(ONE)
    assert repr(one).endswith("is not there yet: write it") and one.read() is None
    one.write("\n#!/bin/sh\nexit 1\n")
    assert one.read() == b"#!/bin/sh\nexit 1\n"  # a program's first two bytes count
    assert os.access(one.path, os.X_OK)
    assert repr(one) == f"{one.path}: 2 lines"
    one.write("#!/bin/sh\nexit 1\n")
    before = one.path.with_name("namespaces.before")
    assert not before.exists()  # nothing has changed
    one.write("another\n")
    assert before.read_text() == "#!/bin/sh\nexit 1\n"
    assert sorted(path.name for path in one.path.parent.iterdir()) == [
        "namespaces", "namespaces.before",
    ]  # fmt: skip


def test_another_systems_ends_of_lines_are_read_as_ours() -> None:
    one = piece(ONE)
    one.path.parent.mkdir(parents=True)
    one.path.write_bytes(b"#!/bin/sh\r\nexit 1\r\n")
    assert one.read() == b"#!/bin/sh\nexit 1\n"


def test_what_cannot_be_a_piece_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="asks for no file"):
        piece("02.1")
    piece(ONE).path.mkdir(parents=True)
    with pytest.raises(LabError, match="cannot be read"):
        repr(piece(ONE))
    (tmp_path / "home/container/namespaces").rmdir()
    (tmp_path / "home/container").rmdir()
    (tmp_path / "home/container").write_text("a file in the way")
    with pytest.raises(LabError, match="LABKIT_WORK"):
        piece(ONE).write("x")
