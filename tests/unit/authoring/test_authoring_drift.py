"""Every kind of drift is found, and named by file and cell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_course import Built

from labkit.authoring.drift import check
from labkit.errors import CourseError

Notebook = dict[str, Any]


def seen(built: Built) -> list[str]:
    """The drifts that the check lists."""
    with pytest.raises(CourseError) as told:
        check(built.course, built.first)
    assert str(told.value).endswith("run `labkit course build`")
    return [line.strip() for line in told.value.seen.splitlines()]


def edit(path: Path, change: Callable[[Notebook], object]) -> None:
    notebook = json.loads(path.read_text())
    change(notebook)
    path.write_text(json.dumps(notebook, sort_keys=True, indent=1, ensure_ascii=False) + "\n")


def test_a_fresh_build_has_no_drift(built: Built) -> None:
    check(built.course, built.first)
    check(built.course, built.second)


def test_an_edited_source_is_found(spoilt: Built) -> None:
    chapter = spoilt.course / "01_first" / "chapter.py"
    chapter.write_text(chapter.read_text().replace('print("two")', 'print("2")'))
    assert seen(spoilt) == [
        "notebooks/01_first.ipynb: cell 01-c02: source differs in line 4: "
        """'print("two")', not 'print("2")'"""
    ]


def test_an_added_cell_is_found(spoilt: Built) -> None:
    chapter = spoilt.course / "02_second" / "chapter.py"
    chapter.write_text(chapter.read_text() + '\n# %%\nprint("new")\n')
    assert seen(spoilt) == ["notebooks/02_second.ipynb: it has 3 cells, the text makes 4"]


def test_an_edited_solution_is_found_in_solutions_only(spoilt: Built) -> None:
    exercises = spoilt.course / "02_second" / "exercises.py"
    exercises.write_text(exercises.read_text().replace("solved", "done"))
    (drift,) = seen(spoilt)
    assert drift.startswith("solutions/02_second.ipynb: cell 02-e02: source differs in line 1")


def _output(notebook: Notebook, **output: object) -> None:
    notebook["cells"][1]["outputs"] = [output]


@pytest.mark.parametrize(
    ("name", "change", "drift"),
    [
        (
            "exercises/02_second",
            lambda nb: nb["cells"][0].update(source=["# Tasks"]),
            "cell 02-e01: source differs in line 1: '# Tasks', not '# Exercises'",
        ),
        (
            "notebooks/02_second",
            lambda nb: nb["cells"][2].update(execution_count=None),
            "cell 02-c03: execution count is None, not 2",
        ),
        (
            "notebooks/02_second",
            lambda nb: nb["cells"][1]["outputs"][0].update(execution_count=7),
            "cell 02-c02: its result has the execution count 7, not 1",
        ),
        (
            "solutions/02_second",
            lambda nb: _output(
                nb, output_type="error", ename="KeyError", evalue="'web'", traceback=[]
            ),
            "cell 02-e02: its output is an error: KeyError: 'web'",
        ),
        (
            "exercises/02_second",
            lambda nb: _output(nb, output_type="stream", name="stdout", text=["solved\n"]),
            "cell 02-e02: it has outputs, in a notebook for the learner to execute",
        ),
        (
            "exercises/02_second",
            lambda nb: nb["cells"][1].update(execution_count=1),
            "cell 02-e02: execution count is 1, in a notebook not yet executed",
        ),
        (
            "notebooks/02_second",
            lambda nb: nb["cells"][0].update(id="abc"),
            "cell 02-c01: id is abc, not 02-c01",
        ),
        (
            "notebooks/02_second",
            lambda nb: nb["cells"][1].update(metadata={}),
            "cell 02-c02: metadata is {}, not {'tags': ['nbval-ignore-output']}",
        ),
        (
            "solutions/02_second",
            lambda nb: nb.update(metadata={}),
            "metadata is {}, not {'kernelspec': {'display_name': 'Python 3', "
            "'language': 'python', 'name': 'python3'}}",
        ),
        (
            "solutions/02_second",
            lambda nb: nb.pop("cells"),
            "it is not a notebook of format 4 ('cells' is a required property)",
        ),
        (
            "notebooks/02_second",
            lambda nb: _output(nb, output_type="stream", name="stdout", text=["<f at 0x7f1234>\n"]),
            "02_second.ipynb, cell 02-c02: an output holds a memory address, which differs in "
            "every run. (<f at 0x7f1234>)",
        ),
    ],
)
def test_an_edited_notebook_is_found(
    spoilt: Built, name: str, change: Callable[[Notebook], object], drift: str
) -> None:
    edit(spoilt.first / f"{name}.ipynb", change)
    assert seen(spoilt) == [f"{name}.ipynb: {drift}"]


@pytest.mark.parametrize("text", ["", "<<<<<<< HEAD\n"])
def test_a_file_that_is_no_notebook_is_found(spoilt: Built, text: str) -> None:
    (spoilt.first / "notebooks/01_first.ipynb").write_text(text)
    (drift,) = seen(spoilt)
    assert drift.startswith("notebooks/01_first.ipynb: it is not a notebook of format 4 (")


def test_another_way_of_writing_is_found(spoilt: Built) -> None:
    path = spoilt.first / "notebooks/01_first.ipynb"
    path.write_text(path.read_text().rstrip("\n"))
    assert seen(spoilt) == [
        "notebooks/01_first.ipynb: the file is not written as the build writes it"
    ]


def test_a_missing_notebook_is_found(spoilt: Built) -> None:
    (spoilt.first / "exercises/01_first.ipynb").unlink()
    assert seen(spoilt) == ["exercises/01_first.ipynb: the notebook is missing"]


def test_a_stale_notebook_is_found(spoilt: Built) -> None:
    (spoilt.first / "notebooks/07_gone.ipynb").write_text("{}")
    assert seen(spoilt) == ["notebooks/07_gone.ipynb: no chapter makes this notebook"]
    check(spoilt.course, spoilt.first, chapters=["01"])


def test_all_drifts_are_told_at_once(spoilt: Built) -> None:
    (spoilt.first / "exercises/01_first.ipynb").unlink()
    edit(
        spoilt.first / "notebooks/02_second.ipynb",
        lambda notebook: [
            cell.update(execution_count=None) for cell in notebook["cells"] if "outputs" in cell
        ],
    )
    assert len(seen(spoilt)) == 3
