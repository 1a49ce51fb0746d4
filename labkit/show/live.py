"""A picture that keeps up: drawn anew whenever something happens to a lab's containers."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from labkit import labels
from labkit.errors import ContainerExitedError, LabError, NotFoundError, ProcessGoneError
from labkit.inspect import Container, Events, read_containers
from labkit.kernel import Namespaces
from labkit.show.following import Following
from labkit.show.forest import tree_of
from labkit.show.matrix import letters, matrix_html, namespaces_by_name
from labkit.show.processes import tree_text
from labkit.table import Table

if TYPE_CHECKING:
    from labkit.lab import Lab

NOBODY = "No container of this notebook is running."
TRIES = 5  # a container may end while it is looked at
Drawn = tuple[str, str]  # as text, as HTML


def live(lab: Lab) -> Live:
    """Show the namespaces or the processes of all that runs in a lab, and follow what happens.

    It is drawn anew when a container starts, ends or is entered, however that came about; between
    these it waits. It ends when the cell is run again, the box is unticked, or the kernel ends. A
    notebook stores what it showed first. Raises EngineError, HostError, MissingToolError.
    Shell: `docker events`, and `lsns` after each.
    """
    return Live(lab)


class Live(Following):
    """The picture, a choice of what it shows, and a box that lets it follow."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(f"lab {lab.id}", what="live picture")
        self._engine, self._label = lab.engine, f"{labels.LAB}={lab.id}"
        self._happened = threading.Event()
        self._events: Events | None = None
        self.view = self._widgets.ToggleButtons(options=list(VIEWS), description="show")
        self._first = self.redrawn()
        self.picture.value = self._first[1]
        controls = self._widgets.HBox([self.view, self.follow])
        self.widget = self._widgets.VBox([controls, self.picture])
        self.view.observe(lambda _: self._happened.set(), names="value")
        self.follow.observe(self._followed, names="value")
        self._start()

    def __repr__(self) -> str:
        return self._first[0]

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        text, as_html = self._first
        return {**self.widget._repr_mimebundle_(), "text/plain": text, "text/html": as_html}

    # --- following -----------------------------------------------------------------------------

    def _followed(self, change: Any) -> None:
        if change["new"]:
            self._start()
            return
        events, self._events = self._events, None
        if events is not None:
            events.close()
        self._happened.set()

    def _start(self) -> None:
        self._events = Events(self._engine, label=self._label)
        self._happened.set()  # what came before the first event is told is drawn too
        for work in (self._listen, self._redraw):
            threading.Thread(target=work, args=(self._events,), daemon=True).start()

    def _listen(self, events: Events) -> None:
        # The picture says what became of the engine: its next look is what fails.
        with suppress(LabError, OSError, ValueError):
            for _ in events:
                self._happened.set()
        if self._events is events:
            self._happened.set()

    def _redraw(self, events: Events) -> None:
        while True:
            self._happened.wait()
            self._happened.clear()
            if self._events is not events:
                return
            try:
                self.picture.value = self.redrawn()[1]
            except LabError as err:
                self.tell(err)

    # --- drawing -------------------------------------------------------------------------------

    def redrawn(self) -> Drawn:
        """What it shows now, as text and as HTML. Raises EngineError, HostError."""
        for left in reversed(range(TRIES)):
            try:
                running = self._running()
                return VIEWS[self.view.value](running) if running else (NOBODY, _pre(NOBODY))
            except (ContainerExitedError, NotFoundError, ProcessGoneError):
                if not left:
                    raise
        raise AssertionError("unreachable")

    def _running(self) -> list[Container]:
        return read_containers(self._engine, label=self._label)[::-1]  # the oldest first


def _namespaces(containers: Sequence[Container]) -> Drawn:
    found: dict[str, Namespaces] = namespaces_by_name(containers)
    rows = [(kind, *row) for kind, row in letters(found).items()]
    return repr(Table(("namespace", *found), rows)), matrix_html(found)


def _processes(containers: Sequence[Container]) -> Drawn:
    tree = tree_of(containers)
    return tree_text(tree), _pre(tree_text(tree, host_pids=True))


def _pre(text: str) -> str:
    return f"<pre>{html.escape(text)}</pre>"


VIEWS: dict[str, Callable[[Sequence[Container]], Drawn]] = {
    "namespaces": _namespaces,
    "processes": _processes,
}
