"""The built notebooks: what the text makes, and each executed once, as it is meant to be."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from second_engine import nbval

from labkit import course
from labkit.authoring.drift import check
from labkit.authoring.run import run
from labkit.authoring.source import Kind
from labkit.checks.outcome import Outcome

ROOT = Path(__file__).parents[2]
CHAPTERS = course.chapters(course.course_dir())
SAMPLE = "00"  # the chapter that `labkit course run` executes
PROBED = "02"  # the one that reads most of the host
STORED = [f"{kind}/{one.name}.ipynb" for kind in Kind if kind.executed for one in CHAPTERS]
UNTOUCHED = [f"{Kind.EXERCISES}/{one.name}.ipynb" for one in CHAPTERS if one.number != SAMPLE]
CELL_TIMEOUT = 400  # seconds: the first measurement of a micro-VM builds one


def compare(notebook: str, folder: Path, **environment: str) -> None:
    """Run a notebook as the course's own student, and compare with the outputs in it."""
    done = subprocess.run(
        [sys.executable, *nbval(ROOT / notebook, timeout=CELL_TIMEOUT)],
        cwd=ROOT,
        env={
            **os.environ,
            "LABKIT_STUDENT": "course",
            "LABKIT_PROGRESS": str(folder / "progress.db"),
            "LABKIT_WORK": str(folder),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    assert " passed" in done.stdout


@pytest.mark.timeout(900)
@pytest.mark.parametrize("notebook", STORED)
def test_stored_outputs_are_what_a_run_prints(notebook: str, tmp_path: Path) -> None:
    compare(notebook, tmp_path)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("notebook", UNTOUCHED)
def test_untouched_exercises_raise_only_their_stubs(notebook: str, tmp_path: Path) -> None:
    number = Path(notebook).name[:2]
    assert run(ROOT, tmp_path, chapters=[number], kinds=[Kind.EXERCISES]) == [tmp_path / notebook]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [PROBED])
def test_through_the_probe_a_chapter_prints_the_same(number: str, tmp_path: Path) -> None:
    (chapter,) = (one for one in CHAPTERS if one.number == number)
    compare(f"{Kind.CHAPTER}/{chapter.name}.ipynb", tmp_path, LABKIT_HOST="probe")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [SAMPLE])
def test_the_command_line_runs_a_chapter(number: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "labkit", "course", "run", "--only", number,
         "--output", tmp_path],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"^{len(Kind)} notebooks ran as they should", done.stdout, re.MULTILINE)
    assert {path.parent.name for path in tmp_path.rglob("*.ipynb")} == set(Kind)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda one: one.number)
def test_no_chapter_solves_an_exercise(chapter: course.Chapter) -> None:
    stored = (ROOT / Kind.CHAPTER / f"{chapter.name}.ipynb").read_text()
    assert f": {Outcome.PASSED}, " not in stored


def test_the_notebooks_are_what_the_text_makes() -> None:
    check(course.course_dir(), ROOT)
