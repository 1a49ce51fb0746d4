"""A function's result under controls for its arguments: change one, and see."""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from typing import Any

from labkit.errors import BadValueError, LabError
from labkit.show.figure import Figure, missing

Bundle = tuple[dict[str, Any], dict[str, Any]]  # what is shown, by MIME type, and its metadata


def explore(function: Callable[..., object], **choices: Any) -> Explorer:
    """Show what `function` returns, with a control for each of its arguments.

    A list of values becomes a menu, `(low, high)` or `(low, high, step)` a slider, True or False
    a check box. It is called once with the first choices, then whenever a choice changes; what it
    prints is shown too. Raises BadValueError, MissingToolError, and what the first call raises.
    """
    return Explorer(function, choices)


class Explorer:
    """Controls, and the result below them.

    A notebook stores the result of the first choices next to the controls, for all that show no
    widgets: a viewer, nbval, a screen reader.
    """

    def __init__(self, function: Callable[..., object], choices: Mapping[str, Any]) -> None:
        try:
            import ipywidgets  # type: ignore[import-untyped]  # has no types
        except ImportError as err:
            raise missing("ipywidgets", "controls", err) from err
        self._function = function
        self.controls = {name: _control(ipywidgets, name, c) for name, c in choices.items()}
        # The first choices are the author's: an error among them is the cell's own.
        first = self._call()
        # Not an Output widget: that catches what any thread prints while the function runs.
        self.result = ipywidgets.HTML(first.html())
        self.status = ipywidgets.Label()
        self.widget = ipywidgets.VBox(
            [ipywidgets.HBox([*self.controls.values(), self.status]), self.result]
        )
        self._first = first.bundle()
        for control in self.controls.values():
            control.observe(self._changed, names="value")

    def __repr__(self) -> str:
        return str(self._first[0]["text/plain"])

    def _repr_mimebundle_(self, **_: object) -> Bundle:
        # nbval leaves the widget's MIME type, which holds a random id, out of its comparison.
        data, metadata = self._first
        return {**self.widget._repr_mimebundle_(), **data}, metadata

    def _call(self) -> _Result:
        printed = io.StringIO()
        with redirect_stdout(printed):
            value = self._function(**{name: c.value for name, c in self.controls.items()})
        return _Result(value, printed.getvalue())

    def _changed(self, _: object) -> None:
        self.status.value = "working …"
        try:
            self.result.value = self._call().html()
        except Exception as err:  # whatever it is, it is shown where the learner looks
            text = str(err) if isinstance(err, LabError) else f"{type(err).__name__}: {err}"
            self.result.value = f'<pre role="alert">{html.escape(text)}</pre>'
        finally:
            self.status.value = ""


class _Result:
    """What a call returned and printed."""

    def __init__(self, value: object, printed: str) -> None:
        self.value = value
        self.printed = printed

    def bundle(self) -> Bundle:
        """As a cell of its own would show it."""
        data, metadata = _format(self.value) if self.value is not None else ({}, {})
        if self.printed:
            data["text/plain"] = "\n".join(
                filter(None, [self.printed.rstrip("\n"), data.get("text/plain")])
            )
            if "text/html" in data:
                data["text/html"] = _pre(self.printed) + data["text/html"]
        return data or {"text/plain": "None"}, metadata

    def html(self) -> str:
        """All of it as HTML."""
        above = _pre(self.printed) if self.printed else ""
        if self.value is None:
            return above or _pre("None")
        if isinstance(self.value, Figure):
            return above + self.value.as_html()
        data, _ = _format(self.value)
        return above + (data.get("text/html") or _pre(data["text/plain"]))


def _format(value: object) -> Bundle:
    if isinstance(value, Figure):
        return value._repr_mimebundle_()
    from IPython.core.formatters import DisplayFormatter
    from IPython.core.getipython import get_ipython

    # The notebook's own knows what its author has registered.
    shell = get_ipython()
    formatter: Any = (shell and shell.display_formatter) or DisplayFormatter()
    data, metadata = formatter.format(value)
    return dict(data), dict(metadata)


def _pre(text: str) -> str:
    return f"<pre>{html.escape(text)}</pre>"


def _control(ipywidgets: Any, name: str, choice: Any) -> Any:
    options: dict[str, Any] = {
        "description": name.replace("_", " "),
        "style": {"description_width": "initial"},
    }
    if isinstance(choice, bool):
        layout = ipywidgets.Layout(width="auto")  # else 300 pixels each
        return ipywidgets.Checkbox(value=choice, indent=False, layout=layout, **options)
    if isinstance(choice, list) and choice:
        labelled = [(str(value), value) for value in choice]
        return ipywidgets.Dropdown(options=labelled, value=choice[0], **options)
    if (
        isinstance(choice, tuple)
        and len(choice) in (2, 3)
        and all(isinstance(bound, int | float) for bound in choice)
        and choice[0] < choice[1]
    ):
        whole = all(isinstance(bound, int) for bound in choice)
        slider = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
        step = choice[2] if len(choice) == 3 else 1 if whole else (choice[1] - choice[0]) / 20
        low, high = choice[:2]
        # Once the slider rests, not all the way there: a call may start containers.
        return slider(value=low, min=low, max=high, step=step, continuous_update=False, **options)
    raise BadValueError(
        f"These choices for {name!r} make no control.",
        value=choice,
        seen=repr(choice),
        do="give a list of values, (low, high), (low, high, step), True or False",
    )
