"""The built notebooks: what the text makes, executed, and the same when executed again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.authoring.drift import check
from labkit.authoring.run import run
from labkit.course import course_dir

ROOT = Path(__file__).parents[2]
STORED = sorted(
    path.relative_to(ROOT)
    for folder in ("notebooks", "solutions")
    for path in (ROOT / folder).glob("*.ipynb")
)
CELL_TIMEOUT = 400  # seconds: the first measurement of a micro-VM builds one


def test_the_notebooks_are_what_the_text_makes() -> None:
    check(course_dir(), ROOT)


@pytest.mark.timeout(1200)
def test_every_notebook_runs_and_untouched_exercises_raise_only_their_stubs(
    tmp_path: Path,
) -> None:
    assert len(run(ROOT, tmp_path, timeout=CELL_TIMEOUT)) == 3 * len(STORED) / 2 > 0


@pytest.mark.timeout(900)
@pytest.mark.parametrize("notebook", STORED, ids=str)
def test_stored_outputs_are_what_a_run_prints(notebook: Path, tmp_path: Path) -> None:
    # In a process of its own: nbval collects notebooks, and with the course's own student.
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval", f"--nbval-cell-timeout={CELL_TIMEOUT}",
         "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ROOT, notebook],
        cwd=ROOT,
        env={
            **os.environ,
            "LABKIT_STUDENT": "course",
            "LABKIT_PROGRESS": str(tmp_path / "progress.db"),
        },
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:]
    assert " passed" in done.stdout
