"""The library's own live tests that apply to a Mac, and a whole chapter, on the desktop.

They take some minutes of an emulated engine. What does not apply, and is left out:

- what looks directly (`local`) or starts engines (the mark `root`): a Mac can do neither;
- `test_readers` and `test_unprivileged` compare the probe with a direct look; `test_instruments`
  compares with programs run in a guest of labkit's own;
- `test_podman`, `test_private_engine`: engines of this machine's;
- `OFTEN`: what takes longest there and tells nothing of the machine that Python is on; it runs on
  two engines already.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from closing_line import passed
from desktop import ROOT, Desktop

# In this order: sockets that the SDK leaves in one are collected, and forgiven, in the next.
LIVE = ("bad_input", "cleanup", "discovery", "frames", "images", "lab", "lab_objects", "show")
OFTEN = (
    "tests/live/test_cleanup.py::test_an_exception_leaves_nothing",
    "tests/live/test_cleanup.py::test_owners_killed_at_random_moments_leave_nothing",
    "tests/live/test_cleanup.py::test_what_a_power_cut_left_is_swept_at_the_next_start",
    "tests/live/test_lab.py::test_once_and_run_many",
    "tests/live/test_lab.py::test_waits_end_with_the_container",
    "tests/live/test_lab_objects.py::test_a_taken_name_is_refused_and_the_first_stays",
    "tests/live/test_lab_objects.py::test_a_volume_outlives_its_containers",
    "tests/live/test_lab_objects.py::test_an_image_that_cannot_be_built_says_why",
    "tests/live/test_lab_objects.py::test_names_of_one_character",
    "tests/live/test_lab_objects.py::test_names_resolve_in_a_network",
    "tests/live/test_lab_objects.py::test_sharing_a_containers_namespaces",
    "tests/live/test_lab_objects.py::test_there_are_networks_enough",
    "tests/live/test_lab_objects.py::test_two_labs_with_the_same_names_never_meet",
    "tests/live/test_show.py::test_the_matrix_is_the_same_for_new_containers",
    "tests/live/test_show.py::test_the_matrix_says_what_readlink_says_inside",
)
CHAPTER = ROOT / "notebooks/00_start_here.ipynb"


@pytest.mark.timeout(1200)
def test_the_live_tests_that_apply(desktop: Desktop) -> None:
    files = [f"tests/live/test_{name}.py" for name in LIVE]
    done = desktop.python(
        "-m", "pytest", "-p", "no:cacheprovider", "--durations=15", "--tb=short",
        "-m", "not root", *files,
        *(f"--deselect={one}" for one in OFTEN),
        f"--basetemp={desktop.place / 'tmp/live'}", timeout=1190,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-2000:]
    assert passed(done.stdout) >= 66
    assert "skipped" not in done.stdout


@pytest.mark.timeout(600)
def test_a_whole_chapter_prints_what_is_stored(desktop: Desktop, tmp_path: Path) -> None:
    done = desktop.python(
        "-m", "pytest", "--nbval", "--nbval-cell-timeout=120", "-p", "no:cacheprovider",
        "-c", os.devnull, f"--rootdir={ROOT}", CHAPTER,
        f"--basetemp={desktop.place / 'tmp/chapter'}",
        LABKIT_PROGRESS=str(tmp_path / "progress.db"),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-2000:]
    cells = json.loads(CHAPTER.read_text())["cells"]
    assert passed(done.stdout) == sum(cell["cell_type"] == "code" for cell in cells)
