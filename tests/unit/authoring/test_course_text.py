"""Finding the course's text, and cutting the solutions out of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import labkit
from labkit import course
from labkit.errors import CourseError


def test_the_course_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_COURSE", str(tmp_path))
    assert course.course_dir() == tmp_path
    monkeypatch.setenv("LABKIT_COURSE", str(tmp_path / "nowhere"))
    with pytest.raises(CourseError, match="nowhere"):
        course.course_dir()


def test_the_course_is_beside_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABKIT_COURSE", raising=False)
    assert course.course_dir() == Path(labkit.__file__).parents[1] / "course"


def test_chapters_come_in_order_and_other_folders_are_none(tmp_path: Path) -> None:
    for name in ("10_storage", "02_namespaces", "__pycache__", "notes"):
        (tmp_path / name).mkdir()
    (tmp_path / "03_file").write_text("")
    found = course.chapters(tmp_path)
    assert [(chapter.number, chapter.topic) for chapter in found] == [
        ("02", "namespaces"),
        ("10", "storage"),
    ]
    assert found[0].name == "02_namespaces"


def test_two_chapters_of_one_number_are_refused(tmp_path: Path) -> None:
    (tmp_path / "02_a").mkdir()
    (tmp_path / "02_b").mkdir()
    with pytest.raises(CourseError, match="02_a and 02_b"):
        course.chapters(tmp_path)


def test_a_folder_without_chapters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match="No chapter"):
        course.chapters(tmp_path)


def test_an_exercise_has_a_stub_and_a_solution(tmp_path: Path) -> None:
    (tmp_path / "02_namespaces").mkdir()
    (tmp_path / "02_namespaces" / "exercises.py").write_text(
        "# %% [markdown]\n# # Exercises: write between ### BEGIN SOLUTION and its end\n\n"
        '# %% tags=["a"] exercise="02.1"\n'
        "def double(number):\n"
        "    ### BEGIN SOLUTION\n"
        "    if number:\n"
        "        return 2 * number\n"
        "\n"
        "    return 0\n"
        "    ### END SOLUTION\n"
        "\n\n"
        "# %%\nprint(double(2))\n"
    )
    (exercise,) = course.exercises_of(tmp_path / "02_namespaces")
    assert exercise == course.Exercise(
        id="02.1",
        code_with_solution=(
            "def double(number):\n    if number:\n        return 2 * number\n\n    return 0"
        ),
        stub=(
            'def double(number):\n    raise NotImplementedError("Exercise 02.1: replace this line")'
        ),
        solution="if number:\n    return 2 * number\n\nreturn 0",
    )


def test_a_cell_may_have_two_regions() -> None:
    code = f"{course.BEGIN}\na = 1\n{course.END}\nprint(a)\n{course.BEGIN}\nb = 2\n{course.END}"
    exercise = course.parse_exercise("01.1", code)
    assert exercise.stub.count("replace this line") == 2
    assert exercise.code_with_solution == "a = 1\nprint(a)\nb = 2"
    assert exercise.solution == "a = 1\n\nb = 2"


@pytest.mark.parametrize(
    "code",
    [
        "a = 1",
        f"{course.BEGIN}\na = 1",
        f"a = 1\n{course.END}",
        f"{course.BEGIN}\n{course.BEGIN}\na = 1\n{course.END}",
        f"{course.BEGIN}\n\n{course.END}",
        f"a = 1  {course.BEGIN}\n{course.END}",
    ],
)
def test_a_malformed_region_is_refused(code: str) -> None:
    with pytest.raises(CourseError, match=r"exercise 01\.1 is not marked well"):
        course.parse_exercise("01.1", code)


@pytest.mark.parametrize(
    ("marker", "wrong"),
    [
        ("# %%", "in a cell that is no exercise"),
        ('# %% exercise="03.1"', "not the chapter's"),
        ('# %% exercise="02.x"', "not the chapter's"),
    ],
)
def test_a_misnumbered_exercise_is_refused(tmp_path: Path, marker: str, wrong: str) -> None:
    folder = tmp_path / "02_namespaces"
    folder.mkdir()
    (folder / "exercises.py").write_text(f"{marker}\n{course.BEGIN}\na = 1\n{course.END}\n")
    with pytest.raises(CourseError, match=wrong):
        course.exercises_of(folder)


def test_a_number_is_given_once(tmp_path: Path) -> None:
    folder = tmp_path / "02_namespaces"
    folder.mkdir()
    cell = f'# %% exercise="02.1"\n{course.BEGIN}\na = 1\n{course.END}\n'
    (folder / "exercises.py").write_text(cell * 2)
    with pytest.raises(CourseError, match=r"two exercises 02\.1"):
        course.exercises_of(folder)


def test_a_chapter_without_exercises_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CourseError, match=r"has no exercises\.py"):
        course.exercises_of(tmp_path)


def _python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(labkit.__file__).parents[1])},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_the_text_is_read_without_jupyters_tools() -> None:
    loaded = _python("import sys, labkit.course; print(*sys.modules)").split()
    assert not {"jupytext", "nbformat", "nbclient", "papermill"} & set(loaded)


def test_a_missing_tool_is_named_with_how_to_install_it() -> None:
    told = _python(
        "import sys\n"
        "sys.modules['papermill'] = None\n"  # as if it were not installed
        "from labkit.errors import MissingToolError\n"
        "try:\n    import labkit.authoring.build\n"
        "except MissingToolError as err:\n    print(err)\n"
    )
    assert "no module papermill" in told
    assert "pip install 'labkit[authoring]'" in told
