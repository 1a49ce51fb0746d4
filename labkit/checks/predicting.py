"""Ask for a prediction, and compare it with what turned out to be so: what a notebook calls.

A learner's choice is sealed when the answer is shown. The answer is always a value that a cell has
just read: nothing here, and no stored notebook above its cell, knows it before.
"""

from __future__ import annotations

import html
import weakref
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from labkit.checks.ledger import Ledger
from labkit.checks.prediction import (
    Prediction,
    Value,
    checked,
    is_among,
    is_same,
    plain,
    shown,
)
from labkit.checks.texts import Note
from labkit.errors import BadValueError, LabError

_asked: dict[str, weakref.WeakSet[Question]] = {}  # those on this notebook's page, by name


def predict(
    id: str, question: str, choices: Sequence[object], *, mine: object | None = None
) -> Question:
    """Ask a question before the cell that answers it; the choice is remembered across restarts.

    It can be changed until the answer is shown by `reveal`. `mine` makes the choice where there
    are no buttons. Raises BadValueError; LabError where progress cannot be written.
    """
    values = checked(id, choices)
    ledger = Ledger()
    asked = ledger.ask(id, question, values)
    if mine is not None:
        if not is_among(choice := plain(mine), values):
            raise BadValueError(
                f"{shown(choice)} is none of the choices of {id}.",
                value=mine,
                seen=", ".join(map(shown, values)),
                do=f"say one of these, as mine={values[0]!r}",
            )
        asked = ledger.predict(id, choice)
    made = Question(ledger, asked)
    _asked.setdefault(id, weakref.WeakSet()).add(made)
    made.spread()
    return made


def reveal(id: str, value: object, *, by: str = "the kernel") -> Note:
    """Compare a prediction with a live value, and seal it; the first such value is what counts.

    `by` is who says it. Raises BadValueError; LabError where progress cannot be written.
    """
    checked(id, ("", "-"))
    live = plain(value)
    sealed = Ledger().reveal(id, live)
    for question in _asked.get(id, ()):
        question.show(sealed)
    words = [f"{by[:1].upper()}{by[1:]} says {shown(live)}"]
    if sealed.choices and not is_among(live, sealed.choices):
        words[0] += ", which is none of the choices"
    words[0] += "."
    if sealed.said is None:
        words.append("No prediction was made before this, so nothing is counted.")
    else:
        words.insert(0, f"You said {shown(sealed.said)}.")
        if is_same(sealed.said, live):
            words.append("It came true.")
    if sealed.truth is not None and not is_same(sealed.truth, live):
        words.append(f"The first time it was {shown(sealed.truth)}: that is what counts.")
    return Note(id, " ".join(words))


class Question:
    """A question with its choices: radio buttons where there is a front end, else a text."""

    def __init__(self, ledger: Ledger, asked: Prediction) -> None:
        self._ledger, self._now = ledger, asked
        self._widget: Any = None
        self._heading = f"Prediction {asked.id}: {asked.question}"

    def __repr__(self) -> str:
        choices = [f"  ({self._mark(one)}) {shown(one)}" for one in self._now.choices]
        told = self._told or (
            f"Choose before you run on; without buttons, add mine={self._now.choices[0]!r} here."
        )
        return "\n".join([self._heading, *choices, told])

    def _repr_html_(self) -> str:
        items = "".join(
            f"<li>({self._mark(one)}) {html.escape(shown(one))}</li>" for one in self._now.choices
        )
        told = self._told or "Choose before you run on."
        return (
            f"<p><b>{html.escape(self._heading)}</b></p>"
            f'<ul style="list-style:none">{items}</ul><p>{html.escape(told)}</p>'
        )

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        still = {"text/plain": repr(self), "text/html": self._repr_html_()}
        if self._widget is None and find_spec("ipywidgets") is not None:
            self._make()
        return {**self._widget._repr_mimebundle_(), **still} if self._widget else still

    def choose(self, choice: Value) -> None:
        """Make this choice, as the buttons do. Raises LabError."""
        asked = self._now  # again: that file may have been moved away since
        self._ledger.ask(asked.id, asked.question, asked.choices)
        self._now = self._ledger.predict(asked.id, choice)
        self.spread()

    def spread(self) -> None:
        """Show the same wherever on the page this question is asked."""
        for question in _asked.get(self._now.id, ()):
            question.show(self._now)

    def show(self, now: Prediction) -> None:
        """Show how the prediction stands now."""
        self._now = now
        if self._widget is not None:
            self._buttons.unobserve(self._chosen, names="index")
            self._buttons.index = self._index
            self._buttons.disabled = now.is_sealed
            self._buttons.observe(self._chosen, names="index")
            self._status.value = _status(self._told)

    # --- inside ----------------------------------------------------------------------------------

    @property
    def _told(self) -> str:
        said, sealed = self._now.said, self._now.is_sealed
        if said is None:
            return "The answer has been shown; the next prediction is yours." if sealed else ""
        if sealed:
            return f"You said {shown(said)}. The answer has been shown, so it stays."
        return f"You say {shown(said)}. Until the answer is shown you can change it."

    @property
    def _index(self) -> int | None:
        said = self._now.said
        places = (i for i, c in enumerate(self._now.choices) if said is not None)
        return next((i for i in places if self._mark(self._now.choices[i]) != " "), None)

    def _mark(self, choice: Value) -> str:
        said = self._now.said
        return "•" if said is not None and is_same(said, choice) else " "

    def _make(self) -> None:
        import ipywidgets  # type: ignore[import-untyped]  # has no types

        # Radio buttons are the page's own <input>: reached by Tab, chosen by the space bar, and
        # a screen reader says which is chosen. Toggle buttons only look so.
        self._buttons = ipywidgets.RadioButtons(
            options=[(shown(one), number) for number, one in enumerate(self._now.choices)],
            index=self._index,
            disabled=self._now.is_sealed,
            layout=ipywidgets.Layout(width="auto"),
        )
        self._status = ipywidgets.HTML(_status(self._told))
        heading = ipywidgets.HTML(f"<b>{html.escape(self._heading)}</b>")
        self._widget = ipywidgets.VBox([heading, self._buttons, self._status])
        self._buttons.observe(self._chosen, names="index")

    def _chosen(self, change: Any) -> None:
        if change["new"] is None:
            return
        try:
            self.choose(self._now.choices[change["new"]])
        except LabError as err:
            self._status.value = f'<pre role="alert">{html.escape(str(err))}</pre>'


def _status(text: str) -> str:
    return f'<div role="status">{html.escape(text)}</div>'
