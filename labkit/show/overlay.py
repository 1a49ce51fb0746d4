"""An overlay as a picture: each file coloured by the layer that it comes from."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from labkit.inspect import Container, Overlay
from labkit.inspect.stack import printable
from labkit.palette import AREAS, FAINT, GREY, WHITE
from labkit.show.figure import Figure, draw, ink_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from labkit.inspect import Stack, StackedFile

PATH, CELL, ROW = 2.5, 1.15, 0.36  # inches: the paths' column, the others, and a line
WIDTH = 8.2  # at most
GAP = 0.025
LETTERS = 30  # of a path; a longer one loses its middle
CAPTION = "text-align:left;white-space:nowrap;line-height:1.5"  # as wide as it is, not the table
LEGEND = (
    "The layer on the left covers those to its right. (What is covered stands in brackets.) "
    "A whiteout covers what is deleted."
)


def overlay_stack(
    what: Container | Overlay, *, below: str | None = None, limit: int = 30
) -> Figure:
    """The files of an overlay, in the colour of the layer that each is seen from.

    What was written, or with `below` all in a directory; no more than `limit` paths.
    Raises NotFoundError where there is no overlay, HostError. Shell: `docker diff NAME`.
    """
    return picture(overlay_of(what).stack(below=below, limit=limit))


def overlay_of(what: Container | Overlay) -> Overlay:
    """The overlay itself, or that of a container's root."""
    return what.overlay() if isinstance(what, Container) else what


def picture(stack: Stack) -> Figure:
    """The figure of a stack."""
    columns = ("seen from", *stack.layers)
    cell = min((WIDTH - PATH) / len(columns), CELL)
    return draw(
        PATH + cell * len(columns),
        ROW * (len(stack.files) + 2.4),
        lambda axes: _paint(axes, stack, columns, cell),
        alt=f"Layers of the overlay at {stack.at}: for each of {len(stack.files)} paths, which of "
        f"{', '.join(stack.layers)} have it, and which is seen.",
        text=stack.table(),
        sheet=True,
    )


def stack_html(stack: Stack) -> str:
    """The same as a table of HTML: made in a millisecond where the figure takes a second."""

    def cell(text: str, colour: str) -> str:
        ink = FAINT if colour == WHITE else ink_on(colour)
        return f'<td style="background:{colour};color:{ink};text-align:center">{text}</td>'

    columns = ("seen from", *stack.layers)
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in columns)
    lines = []
    for file in stack.files:
        cells = "".join(cell(html.escape(text), colour) for text, colour in _cells(stack, file))
        path = html.escape(shortened(file.path))
        lines.append(f'<tr><th scope="row" style="text-align:left">{path}</th>{cells}</tr>')
    return (
        f'<table><caption style="{CAPTION}">{html.escape(stack.caption)}<br>{LEGEND}</caption>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )


def shortened(path: str) -> str:
    """A path that fits."""
    shown, half = printable(path), LETTERS // 2
    return shown if len(shown) <= LETTERS else f"{shown[: half - 1]}…{shown[-half:]}"


def colour_of(stack: Stack, layer: int) -> str:
    """The upper layer is always the same; the lower ones follow."""
    number = layer + (not stack.writable)
    return AREAS[1 + number % (len(AREAS) - 1)]


def _cells(stack: Stack, file: StackedFile) -> list[tuple[str, str]]:
    """What stands in a row, and on which colour."""
    first = GREY if not file.seen else WHITE
    if len(file.seen) == 1:
        first = colour_of(stack, file.seen[0])
    cells = [(stack.origin(file), first)]
    for number, text in enumerate(file.cells):
        if number in file.seen:
            cells.append((text, colour_of(stack, number)))
        elif text in ("", "whiteout"):
            cells.append((text, GREY if text else WHITE))
        else:
            cells.append((f"({text})", WHITE))
    return cells


def _paint(axes: Axes, stack: Stack, columns: tuple[str, ...], cell: float) -> None:
    from matplotlib.patches import Rectangle

    middle: dict[str, Any] = {"va": "center_baseline", "ha": "center"}
    for column, name in enumerate(columns):
        axes.text(PATH + (column + 0.5) * cell, ROW * 0.6, name, weight="bold", size=9, **middle)
    for line, file in enumerate(stack.files, start=1):
        y = ROW * (line + 0.4)
        axes.text(0.05, y, shortened(file.path), va="center_baseline", size=9)
        for column, (text, colour) in enumerate(_cells(stack, file)):
            corner = (PATH + column * cell + GAP, ROW * (line - 0.1) + GAP)
            edge = GREY if colour == WHITE else colour
            axes.add_patch(
                Rectangle(corner, cell - 2 * GAP, ROW - 2 * GAP, fc=colour, ec=edge, lw=1)
            )
            ink = FAINT if colour == WHITE else ink_on(colour)
            axes.text(PATH + (column + 0.5) * cell, y, text, size=8, color=ink, **middle)
    y = ROW * (len(stack.files) + 1.5)
    axes.text(0.05, y, stack.caption, va="center", size=8.5, color=FAINT)
    axes.text(0.05, y + 0.6 * ROW, LEGEND, va="center", size=8, color=FAINT)
