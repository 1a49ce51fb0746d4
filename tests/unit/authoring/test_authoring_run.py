"""Running: chapters and solutions raise nothing, exercises only what their stubs raise."""

from __future__ import annotations

import pytest
from tiny_course import Built

from labkit.authoring.execute import Step, execute_notebook
from labkit.authoring.notebook import code_cells, errors, load, save
from labkit.authoring.progress import shown
from labkit.authoring.run import run
from labkit.authoring.source import Kind
from labkit.errors import CourseError

SOLVED = "solutions/01_first.ipynb"


def test_a_fresh_build_runs(spoilt: Built) -> None:
    ran = spoilt.course.parent / "ran"
    steps: list[Step] = []
    outputs = run(spoilt.first, ran, chapters=["01"], on_progress=steps.append)
    assert outputs == [ran / kind / "01_first.ipynb" for kind in Kind]
    exercises = load(ran / "exercises/01_first.ipynb")
    # 01.2 is a function: its stub is raised where it is called, a cell later.
    assert [(cell.id, error.evalue) for cell, error in errors(exercises)] == [
        ("01-e04", "Exercise 01.1: replace this line"),
        ("01-e08", "Exercise 01.2: replace this line"),
    ]
    assert exercises.cells[4].outputs[0].text == "01.1: not attempted\n"
    assert not errors(load(ran / "solutions/01_first.ipynb"))
    assert {step.notebook for step in steps} == {f"{kind}/01_first.ipynb" for kind in Kind}


def test_run_all_goes_on_behind_a_stub(spoilt: Built) -> None:
    # As JupyterLab and a plain papermill do: a cell that raises, and may not, is the last.
    path = spoilt.first / "exercises/01_first.ipynb"
    ran = execute_notebook(load(path), name="01", cwd=path.parent)
    assert len(errors(ran)) == 2
    assert all(cell.execution_count for cell in code_cells(ran))
    assert not any("tags" in cell.metadata for cell in load(spoilt.first / SOLVED).cells)


@pytest.mark.parametrize(
    ("place", "source", "told"),
    [
        (3, "base = 1 / 0", "01-e04: ZeroDivisionError: division by zero"),
        (3, "raise NotImplementedError", "01-e04: NotImplementedError:"),
        (4, "print(done)", "01-e05: NameError: name 'done' is not defined"),
        (
            4,
            'check("01.1"); raise NotImplementedError("Exercise 01.1: replace this line")',
            "01-e05: NotImplementedError: Exercise 01.1: replace this line",
        ),
    ],
    ids=["before the stub", "another stub", "after the stub", "in a check"],
)
def test_an_error_that_is_not_the_stubs_is_found(
    spoilt: Built, place: int, source: str, told: str
) -> None:
    path = spoilt.first / "exercises/01_first.ipynb"
    notebook = load(path)
    notebook.cells[place].source = source
    save(notebook, path)
    ran = spoilt.course.parent / "ran"
    with pytest.raises(CourseError) as failed:
        run(spoilt.first, ran, chapters=["01"], kinds=[Kind.EXERCISES])
    assert failed.value.seen == f"exercises/01_first.ipynb, cell {told}"
    assert str(ran) in failed.value.do


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ('check("01.1")', "01.1: not attempted"),
        ('check("01.1") if done else None', "no report"),
    ],
    ids=["not passed", "not shown"],
)
def test_a_solution_whose_check_does_not_pass_is_found(
    spoilt: Built, source: str, told: str
) -> None:
    path = spoilt.first / SOLVED
    notebook = load(path)
    notebook.cells[3].source = "done = None"
    notebook.cells[4].source = source
    save(notebook, path)
    with pytest.raises(CourseError) as failed:
        run(spoilt.first, spoilt.course.parent / "ran", chapters=["01"], kinds=[Kind.SOLUTIONS])
    assert f"cell 01-e05: {told.strip()}" in failed.value.seen


def test_every_failing_notebook_is_told(spoilt: Built) -> None:
    for name, source in (
        ("notebooks/02_second.ipynb", "import time; time.sleep(60)"),
        ("solutions/02_second.ipynb", "{}['web']"),
    ):
        notebook = load(spoilt.first / name)
        notebook.cells[1].source = source
        save(notebook, spoilt.first / name)
    ran = spoilt.course.parent / "ran"
    kinds = [Kind.CHAPTER, Kind.SOLUTIONS]
    with pytest.raises(CourseError) as failed:
        run(spoilt.first, ran, chapters=["02"], kinds=kinds, timeout=1)
    assert [line.strip() for line in failed.value.seen.splitlines()] == [
        "notebooks/02_second.ipynb, cell 02-c02 did not end. (still running after 1 s)",
        "solutions/02_second.ipynb, cell 02-e02: KeyError: 'web'",
    ]
    assert (ran / "notebooks/02_second.ipynb").exists()


def test_no_notebook_is_no_success(spoilt: Built) -> None:
    with pytest.raises(CourseError, match="chapters 33"):
        run(spoilt.first, spoilt.course.parent / "ran", chapters=["33"])


def test_progress_is_a_line_for_each_notebook_when_not_on_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with shown() as on_progress:
        for name in ("notebooks/01_first.ipynb", "solutions/01_first.ipynb"):
            for cell in (1, 2):
                on_progress(Step(name, cell, 2))
    assert capsys.readouterr().err.splitlines() == [
        "notebooks/01_first.ipynb: 2 cells",
        "solutions/01_first.ipynb: 2 cells",
    ]


def test_progress_is_a_bar_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich: behave as on a terminal
    monkeypatch.setenv("TERM", "xterm")
    with shown() as on_progress:
        on_progress(Step("notebooks/01_first.ipynb", 2, 2))
    told = capsys.readouterr().err
    assert "notebooks/01_first.ipynb" in told
    assert "2/2" in told
