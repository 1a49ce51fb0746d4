"""Controls over a function, in this process and in a notebook that nbclient executes."""

from __future__ import annotations

import sys
from typing import Any

import nbclient
import nbformat
import pytest

from labkit.errors import BadValueError, LabError, MissingToolError
from labkit.show import bars, explore
from labkit.table import Table

WIDGET = "application/vnd.jupyter.widget-view+json"


def squares(n: int, big: bool = False) -> Table:
    return Table(("n", "square"), [(n, n * n * (1000 if big else 1))])


def test_the_controls_fit_the_choices() -> None:
    def show(**choices: Any) -> str:
        return repr(choices)

    explorer = explore(
        show, size=["32m", "64m"], n=(1, 9), step_by=(10, 50, 5), share=(0.0, 1.0), on=True
    )
    kinds = {name: type(control).__name__ for name, control in explorer.controls.items()}
    assert kinds == {
        "size": "Dropdown",
        "n": "IntSlider",
        "step_by": "IntSlider",
        "share": "FloatSlider",
        "on": "Checkbox",
    }
    assert explorer.controls["step_by"].description == "step by"
    first = {"size": "32m", "n": 1, "step_by": 10, "share": 0.0, "on": True}
    assert repr(first) in explorer._repr_mimebundle_()[0]["text/plain"]


def test_what_is_stored_is_the_result_of_the_first_choices() -> None:
    explorer = explore(squares, n=[3, 4], big=False)
    data, _ = explorer._repr_mimebundle_()
    assert data["text/plain"] == repr(explorer) == repr(squares(3))
    assert data["text/html"] == squares(3)._repr_html_()
    assert WIDGET in data
    assert explorer.result.value == squares(3)._repr_html_()


def test_a_change_is_seen_and_what_is_stored_stays() -> None:
    explorer = explore(squares, n=(2, 9), big=False)
    explorer.controls["n"].value = 5
    assert "25" in explorer.result.value
    explorer.controls["big"].value = True
    assert "25000" in explorer.result.value
    assert explorer.status.value == ""
    assert repr(explorer) == repr(squares(2))


def test_a_figure_keeps_its_picture_and_its_alternative_text() -> None:
    explorer = explore(lambda n: bars({"a": n}, unit="s", title="T"), n=[1, 2])
    data, metadata = explorer._repr_mimebundle_()
    assert {"image/png", "text/plain", WIDGET} <= set(data)
    assert metadata["image/png"]["alt"] == "Bar chart, T, in s: a."
    before = explorer.result.value
    assert 'alt="Bar chart, T, in s: a."' in before
    explorer.controls["n"].value = 2
    assert explorer.result.value != before


def test_what_is_printed_is_shown_too(capsys: pytest.CaptureFixture[str]) -> None:
    def speak(n: int) -> Table | None:
        print("n is", n, "<b>")
        return squares(n) if n > 1 else None

    explorer = explore(speak, n=[1, 2])
    assert repr(explorer) == "n is 1 <b>"
    explorer.controls["n"].value = 2
    assert explorer.result.value == "<pre>n is 2 &lt;b&gt;\n</pre>" + squares(2)._repr_html_()
    both = explore(speak, n=[2])
    assert repr(both) == "n is 2 <b>\n" + repr(squares(2))
    assert capsys.readouterr().out == ""


def test_errors_are_shown_in_their_place_and_the_next_choice_works() -> None:
    def picky(n: int) -> str:
        if n == 2:
            raise BadValueError("Not <two>.", seen="2", do="take another")
        return str(10 // (3 - n))

    explorer = explore(picky, n=[1, 2, 3, 4])
    explorer.controls["n"].value = 2
    assert explorer.result.value == (
        '<pre role="alert">Not &lt;two&gt;.\n  seen: 2\n  do:   take another</pre>'
    )
    explorer.controls["n"].value = 3
    assert "ZeroDivisionError" in explorer.result.value
    explorer.controls["n"].value = 4
    assert explorer.result.value == "<pre>&#x27;-10&#x27;</pre>"
    assert explorer.status.value == ""


def test_an_error_among_the_first_choices_is_the_cells_own() -> None:
    def never(n: int) -> None:
        raise LabError("No.")

    with pytest.raises(LabError, match="No"):
        explore(never, n=[1])


@pytest.mark.parametrize("choice", [[], (1,), (5, 1), ("a", "b"), 7, "text", None])
def test_choices_that_make_no_control(choice: object) -> None:
    with pytest.raises(BadValueError, match="'n'"):
        explore(squares, n=choice)


def test_without_ipywidgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(MissingToolError, match=r"pip install 'labkit\[course\]'"):
        explore(squares, n=[1])


def test_in_a_notebook() -> None:
    new: Any = nbformat.v4
    cells = [
        "from labkit import show\nfrom labkit.table import Table\n"
        "def squares(n):\n    print('n', n)\n    return Table(('n', 'square'), [(n, n * n)])\n"
        "explorer = show.explore(squares, n=(3, 9))\nexplorer",
        "explorer.controls['n'].value = 7\nexplorer.result.value",
        "show.bars({'a': 1}, unit='s', title='T')",
    ]

    def run() -> list[Any]:
        notebook = new.new_notebook(cells=[new.new_code_cell(source) for source in cells])
        nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
        for cell in notebook.cells:
            for output in cell.outputs:
                output.get("data", {}).pop(WIDGET, None)
        return [cell.outputs for cell in notebook.cells]

    explored, changed, drawn = outputs = run()
    assert len(explored) == 1  # nothing printed beside it
    assert explored[0].data["text/plain"] == "n 3\nn  square\n-  ------\n3  9"
    assert "<td" in explored[0].data["text/html"]
    assert "49" in changed[0].data["text/plain"]
    assert [sorted(output.data) for output in drawn] == [
        ["image/png", "text/plain"],
        ["text/html", "text/plain"],
    ]
    assert run() == outputs  # the widget's id is all that differs
