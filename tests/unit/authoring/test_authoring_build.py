"""Building: the same bytes from the same text, and nothing stored that no run repeats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from tiny_course import Built, write_course

from labkit.authoring.build import build
from labkit.authoring.notebook import WIDGET, code_cells, dumps, load, new_notebook, normalise
from labkit.authoring.source import Kind, assemble
from labkit.course import chapters
from labkit.errors import CourseError

v4: Any = nbformat.v4

NAMES = sorted(f"{kind}/{name}.ipynb" for kind in Kind for name in ("01_first", "02_second"))
MEASURED = "notebooks/02_second.ipynb"


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_each_chapter_makes_three_notebooks(built: Built) -> None:
    assert names(built.first) == NAMES


def test_two_builds_are_equal_to_the_byte(built: Built) -> None:
    for name in set(NAMES) - {MEASURED}:
        assert (built.first / name).read_bytes() == (built.second / name).read_bytes(), name


def test_two_builds_differ_only_in_what_is_measured(built: Built) -> None:
    first, second = load(built.first / MEASURED), load(built.second / MEASURED)
    measured, again = code_cells(first)[0], code_cells(second)[0]
    assert measured.metadata == {"tags": ["nbval-ignore-output"]}
    assert measured.outputs != again.outputs
    measured.outputs = again.outputs = []
    assert dumps(first) == dumps(second)


def test_what_is_stored_is_fixed(built: Built) -> None:
    for name in NAMES:
        text = (built.first / name).read_text()
        assert text.endswith("}\n")
        notebook = load(built.first / name)
        nbformat.validate(notebook)
        assert list(notebook.metadata) == ["kernelspec"]
        for word in ("papermill", "language_info", "widget-view", "lines_to_next", "duration"):
            assert word not in text, (name, word)
    assert [cell.id for cell in load(built.first / MEASURED).cells] == [
        "02-c01",
        "02-c02",
        "02-c03",
    ]


def test_outputs_are_those_of_a_kernel_in_the_notebooks_folder(built: Built) -> None:
    printed, cwd, slider = code_cells(load(built.first / "notebooks/01_first.ipynb"))
    streams = {output.name: output.text for output in printed.outputs}
    assert streams == {"stdout": "one\ntwo\n", "stderr": "three\n"}
    assert cwd.outputs[0].data == {"text/plain": "'notebooks'"}
    assert slider.outputs[0].data == {"text/plain": "IntSlider(value=3)"}


def test_a_shell_cell_is_a_comment_in_the_text(tmp_path: Path) -> None:
    write_course(tmp_path)
    path = tmp_path / "01_first/chapter.py"
    shell = '\n# %% language="in" magic_args="web --fails"\n# cat $file  # not here\n#\n#   ls\n'
    path.write_text(path.read_text() + shell)
    made = assemble(chapters(tmp_path)[0], Kind.CHAPTER).cells[-1]
    assert made.source == "%%in web --fails\ncat $file  # not here\n\n  ls"
    assert made.metadata == {}


def test_exercises_have_stubs_and_no_outputs(built: Built) -> None:
    cells = code_cells(load(built.first / "exercises/01_first.ipynb"))
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    first, second = (cell for cell in cells if "exercise" in cell.metadata)
    assert (
        first.source == 'base = 20\nraise NotImplementedError("Exercise 01.1: replace this line")'
    )
    assert second.source.splitlines()[1].startswith("    raise NotImplementedError")
    assert "SOLUTION" not in (built.first / "exercises/01_first.ipynb").read_text()


def test_solutions_are_solved_and_executed(built: Built) -> None:
    text = (built.first / "solutions/01_first.ipynb").read_text()
    assert "SOLUTION" not in text
    cells = code_cells(load(built.first / "solutions/01_first.ipynb"))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert cells[2].outputs[0].text == "01.1: passed, 1 of 1\n"
    assert cells[4].outputs[0].data == {"text/plain": "42"}


def test_every_cell_executed_is_told(built: Built) -> None:
    told = [(step.notebook, step.cell) for step in built.steps]
    expected = [
        (name, cell)
        for name in (
            "notebooks/01_first.ipynb",
            "solutions/01_first.ipynb",
            "notebooks/02_second.ipynb",
            "solutions/02_second.ipynb",
        )
        for cell in range(1, len(code_cells(load(built.first / name))) + 1)
    ]
    assert told == expected
    assert all(step.cell <= step.cells for step in built.steps)


def test_without_executing_outputs_stay_where_the_code_is_the_same(spoilt: Built) -> None:
    chapter = spoilt.course / "01_first" / "chapter.py"
    chapter.write_text(chapter.read_text().replace("# # First", "# # The first"))
    build(spoilt.course, spoilt.first, execute=False)
    notebook = load(spoilt.first / "notebooks/01_first.ipynb")
    assert notebook.cells[0].source.startswith("# The first")
    assert code_cells(notebook)[1].outputs[0].data == {"text/plain": "'notebooks'"}


def test_without_executing_changed_code_is_told(spoilt: Built) -> None:
    chapter = spoilt.course / "02_second" / "chapter.py"
    chapter.write_text(chapter.read_text().replace("every run", "each run"))
    before = (spoilt.first / MEASURED).read_bytes()
    with pytest.raises(CourseError, match=MEASURED) as told:
        build(spoilt.course, spoilt.first, execute=False)
    assert "01_first" not in str(told.value)
    assert (spoilt.first / MEASURED).read_bytes() == before


def test_only_all_chapters_together_remove_what_none_makes(spoilt: Built) -> None:
    old = spoilt.first / "solutions" / "09_gone.ipynb"
    old.write_text("{}")
    build(spoilt.course, spoilt.first, chapters=["01"], execute=False)
    assert old.exists()
    build(spoilt.course, spoilt.first, execute=False)
    assert names(spoilt.first) == NAMES


def test_an_unknown_chapter_is_refused(spoilt: Built) -> None:
    with pytest.raises(CourseError, match="chapters 01, 02"):
        build(spoilt.course, spoilt.first, chapters=["07"], execute=False)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("1 / 0", r"02-c02 raised an error[\s\S]*ZeroDivisionError: division by zero"),
        ("object()", r"02-c02: an output holds a memory address[\s\S]*<object at 0x"),
        ("import time; time.sleep(60)", r"02-c02 did not end[\s\S]*after 2 s"),
        ("import os; os._exit(3)", "02-c02: the kernel died"),
    ],
)
def test_a_cell_that_cannot_be_stored_is_named(tmp_path: Path, code: str, told: str) -> None:
    course = write_course(tmp_path / "course")
    text = f"# %% [markdown]\n# # Second\n\n# %%\n{code}\n"
    (course / "02_second" / "chapter.py").write_text(text)
    with pytest.raises(CourseError, match=f"notebooks/02_second.ipynb, cell {told}"):
        build(course, tmp_path / "out", chapters=["02"], timeout=2)


def test_a_widget_needs_a_text_equivalent() -> None:
    cell = v4.new_code_cell("show()", outputs=[v4.new_output("display_data", {WIDGET: {}})])
    notebook = new_notebook([cell], prefix="02-c")
    with pytest.raises(CourseError, match="give this widget a text equivalent") as told:
        normalise(notebook, name="notebooks/02_second.ipynb")
    assert "notebooks/02_second.ipynb, cell 02-c01" in str(told.value)


def test_streams_of_one_name_are_merged() -> None:
    outputs = [
        v4.new_output("stream", name=name, text=text)
        for name, text in (("stdout", "a"), ("stdout", "b"), ("stderr", "c"), ("stdout", "d"))
    ]
    stored = normalise(new_notebook([v4.new_code_cell("x", outputs=outputs)], prefix=""), name="n")
    assert [output.text for output in stored.cells[0].outputs] == ["ab", "c", "d"]


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("chapter.py", "# %% [markdown]\n# # A\n\n# %%\n", "cell 2 of 2"),
        ("chapter.py", "", "no cell"),
        ("chapter.py", "# %% [markdown]\n# ### Deep\n", "of level 3, after none"),
        ("chapter.py", "# %% [markdown]\n# # A\n# ![](a.png)\n", "no alternative text"),
        ("chapter.py", '# %% exercise="01.1"\n### BEGIN SOLUTION\n1\n### END SOLUTION\n', "01.1"),
        ("exercises.py", "# %%\n### BEGIN SOLUTION\n1\n### END SOLUTION\n", "is no exercise"),
    ],
)
def test_malformed_text_is_refused(tmp_path: Path, file: str, text: str, told: str) -> None:
    course = write_course(tmp_path)
    (course / "01_first" / file).write_text(text)
    kind = Kind.CHAPTER if file == "chapter.py" else Kind.SOLUTIONS
    with pytest.raises(CourseError, match=file) as refused:
        assemble(chapters(course)[0], kind)
    assert told in str(refused.value)
