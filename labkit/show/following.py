"""What the pictures that keep up share: one at a time, a box that lets it follow, its errors."""

from __future__ import annotations

import html
import weakref
from typing import Any

from labkit.show.figure import missing

_shown: weakref.WeakValueDictionary[str, Following] = weakref.WeakValueDictionary()


class Following:
    """A picture in a cell; one of the same `key`, as of the cell's last run, follows no more."""

    def __init__(self, key: str, *, what: str) -> None:
        try:
            import ipywidgets  # type: ignore[import-untyped]  # has no types
        except ImportError as err:
            raise missing("ipywidgets", what, err) from err
        if (before := _shown.get(key)) is not None:
            before.stop()
        _shown[key] = self
        self._widgets: Any = ipywidgets
        self.follow = ipywidgets.Checkbox(value=True, description="follow", indent=False)
        self.picture = ipywidgets.HTML()

    def stop(self) -> None:
        """Follow no more; what is shown stays."""
        self.follow.value = False

    def tell(self, err: Exception) -> None:
        """Show an error in the picture's place."""
        self.picture.value = f'<pre role="alert">{html.escape(str(err))}</pre>'
