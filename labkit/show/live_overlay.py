"""An overlay that keeps up: drawn anew whenever something was written to its upper layer."""

from __future__ import annotations

import threading
import time
from typing import Any

from labkit.errors import LabError
from labkit.inspect import Container, Overlay
from labkit.show.following import Following
from labkit.show.overlay import overlay_of, stack_html

INTERVAL = 0.3  # seconds from one look to the next, at least
SHARE = 200  # times what a look takes, at least: under one hundredth of a processor


def live_overlay(
    what: Container | Overlay, *, below: str | None = None, limit: int = 30
) -> LiveOverlay:
    """Show the files of an overlay by the layer that each is seen from, and follow what is written.

    What was written, or with `below` all in a directory; no more than `limit` paths. The upper
    directory is looked through a few times a second, less often the more is in it. It ends when the
    cell is run again, the box is unticked, or the kernel ends. A notebook stores what it showed
    first. Raises NotFoundError where there is no overlay, HostError, MissingToolError.
    Shell: `watch docker diff NAME`.
    """
    return LiveOverlay(overlay_of(what), below=below, limit=limit)


class LiveOverlay(Following):
    """The picture, and a box that lets it follow."""

    def __init__(self, overlay: Overlay, *, below: str | None, limit: int) -> None:
        super().__init__(f"{overlay.layers.layers[0].place} {below}", what="live picture")
        self._overlay, self._below, self._limit = overlay, below, limit
        self._stopped = threading.Event()
        self._seen, self._took = 0, 0.0
        self._look()
        self._first = self.redrawn()
        self.picture.value = self._first[1]
        self.widget = self._widgets.VBox([self.follow, self.picture])
        self.follow.observe(self._followed, names="value")
        self._start()

    def __repr__(self) -> str:
        return self._first[0]

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        text, as_html = self._first
        return {**self.widget._repr_mimebundle_(), "text/plain": text, "text/html": as_html}

    def redrawn(self) -> tuple[str, str]:
        """What it shows now, as text and as HTML. Raises HostError."""
        stack = self._overlay.stack(below=self._below, limit=self._limit)
        return repr(stack), stack_html(stack)

    def _followed(self, change: Any) -> None:
        self._stopped.set()
        if change["new"]:
            self._start()

    def _start(self) -> None:
        self._stopped = threading.Event()
        threading.Thread(target=self._look_on, args=(self._stopped,), daemon=True).start()

    def _look_on(self, stopped: threading.Event) -> None:
        while not stopped.wait(max(INTERVAL, SHARE * self._took)):
            try:
                if self._look():
                    self.picture.value = self.redrawn()[1]
            except LabError as err:  # as when the container was removed
                self.tell(err)
                return

    def _look(self) -> bool:
        """Whether anything was written since the last look."""
        began, before = time.monotonic(), self._seen
        self._seen = self._state()
        self._took = time.monotonic() - began
        return self._seen != before

    def _state(self) -> int:
        """A number that is another one as soon as anything is written to the upper layer."""
        if self._overlay.upper is None:
            return 0
        with self._overlay.host.walk(self._overlay.upper.place) as walk:
            return hash(tuple(hash(entry) for entry in walk))
