"""A picture and the text that says the same."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from labkit.errors import MissingToolError
from labkit.palette import BLACK, INK, WHITE
from labkit.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 144  # of the stored picture
SCREEN_DPI = 96  # at which it is shown, so that it is sharp on finer screens too


@dataclass(frozen=True, repr=False)
class Figure:
    """A picture, and a text equivalent with which it shares its facts."""

    png: bytes
    width: int  # CSS pixels
    height: int
    alt: str  # one sentence: what the picture is
    text: Table | str  # all that it shows

    def __repr__(self) -> str:
        return repr(self.text) if isinstance(self.text, Table) else self.text

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, Any], dict[str, Any]]:
        # No text/html with the picture in it: nbval leaves image/png out of its comparison, but
        # compares text/html, and another release of matplotlib or freetype draws other bytes.
        data = {"image/png": base64.b64encode(self.png).decode(), "text/plain": repr(self)}
        return data, self._metadata()

    def _ipython_display_(self) -> None:
        # Two outputs. JupyterLab gives a PNG no alternative text (nbconvert takes it from the
        # metadata), so the text equivalent follows, where everybody can open and nbval compare it.
        from IPython.display import display

        data, metadata = self._repr_mimebundle_()
        data["text/plain"] = self.alt
        show: Any = display  # IPython has no types for it
        show(data, metadata=metadata, raw=True)
        show({"text/html": self.details(), "text/plain": repr(self)}, raw=True)

    def _metadata(self) -> dict[str, Any]:
        return {"image/png": {"alt": self.alt, "width": self.width, "height": self.height}}

    def details(self) -> str:
        """The text equivalent as HTML, folded up."""
        if isinstance(self.text, Table):
            body = self.text._repr_html_()
        else:
            body = f"<pre>{html.escape(self.text)}</pre>"
        return f"<details><summary>The figure as text</summary>{body}</details>"

    def as_html(self) -> str:
        """The picture, with its alternative text, and the text equivalent, as one HTML text."""
        source = f"data:image/png;base64,{base64.b64encode(self.png).decode()}"
        alt = html.escape(self.alt, quote=True)
        size = f'width="{self.width}" height="{self.height}"'
        return f'<img src="{source}" alt="{alt}" {size}>{self.details()}'


def draw(
    width: float,
    height: float,
    paint: Callable[[Axes], None],
    *,
    alt: str,
    text: Table | str,
    sheet: bool = False,
) -> Figure:
    """A figure of `width` by `height` inches; `paint` draws on its axes.

    On a `sheet` the units are inches, from the top left corner, and there are no axes to be seen.
    Equal drawings make equal bytes with one release of matplotlib. Raises MissingToolError.
    """
    matplotlib = _matplotlib()
    from matplotlib.figure import Figure as Canvas  # not pyplot: nothing is kept or shown twice

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the reader's own settings are
        matplotlib.rcParams.update({"font.family": "DejaVu Sans", "font.size": 10})
        matplotlib.rcParams.update({"text.color": INK, "axes.labelcolor": INK})
        canvas = Canvas(figsize=(width, height))
        if sheet:
            axes = canvas.add_axes((0, 0, 1, 1))
            axes.set(xlim=(0, width), ylim=(height, 0))
            axes.set_axis_off()
        else:
            axes = canvas.add_subplot()
            axes.spines[["top", "right"]].set_visible(False)
        paint(axes)
        packed = BytesIO()
        # Without its "Software" the file holds nothing but the picture.
        canvas.savefig(
            packed,
            format="png",
            dpi=DPI,
            bbox_inches="tight",
            pad_inches=0.08,
            metadata={"Software": None},
        )
    png = packed.getvalue()
    pixels = (int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big"))  # IHDR
    shown = [round(number * SCREEN_DPI / DPI) for number in pixels]
    return Figure(png, shown[0], shown[1], alt, text)


def ink_on(colour: str) -> str:
    """Black or white: which of them can be read on this colour (WCAG 2, relative luminance)."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
              for c in (red, green, blue)]  # fmt: skip
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return BLACK if luminance > 0.179 else WHITE


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError as err:
        raise missing("matplotlib", "figures", err) from err
    return matplotlib


def missing(tool: str, what: str, err: ImportError) -> MissingToolError:
    """The error for a package of the `course` extra that is not installed."""
    return MissingToolError(
        f"{tool} is not installed: there can be no {what}.",
        tools=(tool,),
        seen=str(err),
        do="pip install 'labkit[course]'",
    )
