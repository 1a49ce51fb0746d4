"""Which namespaces the host and some containers share: a letter and a colour for each."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import TYPE_CHECKING

from labkit.errors import BadValueError
from labkit.inspect import read_namespaces_of
from labkit.kernel import KINDS, Namespace, Namespaces
from labkit.palette import AREAS, FAINT, WHITE
from labkit.show.figure import Figure, draw, ink_on
from labkit.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from labkit.inspect import Container, Source

LEFT, CELL, ROW = 0.9, 1.25, 0.42  # inches: the kinds' names, then one cell for each column
WIDTH = 7.4  # at most
GAP = 0.025  # inches round a cell
ALONE = WHITE  # the colour of a namespace that no other column has
LEGEND = "In a row, the same letter is the same namespace. What is white is shared with no other."
UNKNOWN = "?"  # the kernel has no such kind, or does not let us look


def namespace_matrix(*containers: Container, host: bool = True) -> Figure:
    """The namespaces of the host and of containers; in a row, one letter is one namespace.

    Raises ContainerExitedError, BadValueError. Shell: `lsns -p PID` for each.
    Source: namespaces(7).
    """
    return matrix(namespaces_by_name(containers, host=host))


def namespaces_by_name(
    containers: Sequence[Container], *, host: bool = True
) -> dict[str, Namespaces]:
    """What the columns are. Raises ContainerExitedError, BadValueError."""
    engine = one_engine(containers)
    wanted = {"host": engine.host.anchor} if host else {}
    wanted |= {container.name: container.pid for container in containers}
    found = read_namespaces_of(engine.host, wanted.values())
    return {name: found[pid] for name, pid in wanted.items()}


def one_engine(containers: Sequence[Container]) -> Source:
    """The engine of the containers. Raises BadValueError where there are none."""
    if not containers:
        raise BadValueError(
            "There is nothing to show.",
            value=containers,
            seen="no container",
            do="name one or more",
        )
    return containers[0].engine


def letters(namespaces: Mapping[str, Namespaces]) -> dict[str, list[str]]:
    """For each kind, the letter of each column: A is the first column's, B the next one's."""
    rows = {}
    for kind in KINDS:
        known: dict[Namespace, str] = {}
        row = []
        for own in namespaces.values():
            if kind in own:
                row.append(known.setdefault(own[kind], _letter(len(known))))
            else:
                row.append(UNKNOWN)
        rows[kind] = row
    return rows


def matrix(namespaces: Mapping[str, Namespaces]) -> Figure:
    """The figure for namespaces by the name of their column."""
    names, rows = list(namespaces), letters(namespaces)
    cell = min(CELL, (WIDTH - LEFT) / len(names))
    return draw(
        LEFT + max(cell * len(names), 2 * CELL),
        ROW * (len(KINDS) + 1.6),
        lambda axes: _paint(axes, names, rows, cell),
        alt=f"Namespaces of {', '.join(names)}: in a row, the same letter is the same namespace.",
        text=Table(("namespace", *names), [(kind, *row) for kind, row in rows.items()]),
        sheet=True,
    )


def matrix_html(namespaces: Mapping[str, Namespaces]) -> str:
    """The same as a table of HTML: made in a millisecond where the figure takes a second."""

    def cell(letter: str, colour: str) -> str:
        style = f"background:{colour};color:{ink_on(colour)};text-align:center;font-weight:bold"
        return f'<td style="{style}">{letter}</td>'

    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in namespaces)
    lines = []
    for kind, row in letters(namespaces).items():
        colours = shared_colours(row)
        cells = "".join(cell(letter, colours.get(letter, ALONE)) for letter in row)
        lines.append(f'<tr><th scope="row">{kind}</th>{cells}</tr>')
    return (
        f"<table><caption>{LEGEND}</caption><thead><tr><td></td>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table>"
    )


def shared_colours(row: Sequence[str]) -> dict[str, str]:
    """The colour of each letter that several columns have; the eye shall find these.

    Grey is for the first column's: with the host there, for what is shared with the host.
    """
    many = [letter for letter, times in Counter(row).items() if times > 1 and letter != UNKNOWN]
    others = [letter for letter in many if letter != row[0]]
    colours = {letter: AREAS[1 + i % (len(AREAS) - 1)] for i, letter in enumerate(others)}
    return colours | ({row[0]: AREAS[0]} if row[0] in many else {})


def _letter(index: int) -> str:
    rounds, place = divmod(index, len(ascii_uppercase))
    return ascii_uppercase[place] + (str(rounds + 1) if rounds else "")


def _paint(axes: Axes, names: list[str], rows: Mapping[str, list[str]], cell: float) -> None:
    from matplotlib.patches import Rectangle

    # Names that are too wide for their column lean.
    lean = max(len(name) for name in names) * 0.1 > cell
    for column, name in enumerate(names):
        axes.text(
            LEFT + (column + 0.5) * cell,
            ROW * 0.72,
            name,
            ha="left" if lean else "center",
            va="bottom",
            rotation=40 if lean else 0,
            rotation_mode="anchor",
            weight="bold",
        )
    for line, (kind, row) in enumerate(rows.items(), start=1):
        axes.text(LEFT - 0.15, ROW * (line + 0.35), kind, ha="right", va="center_baseline")
        colours = shared_colours(row)
        for column, letter in enumerate(row):
            colour = colours.get(letter, ALONE)
            corner = (LEFT + column * cell + GAP, ROW * (line - 0.15) + GAP)
            size, edge = (cell - 2 * GAP, ROW - 2 * GAP), AREAS[0] if colour == ALONE else colour
            axes.add_patch(Rectangle(corner, *size, fc=colour, ec=edge, lw=1))
            axes.text(
                LEFT + (column + 0.5) * cell,
                ROW * (line + 0.35),
                letter,
                ha="center",
                va="center_baseline",
                weight="bold",
                color=ink_on(colour),
            )
    axes.text(
        LEFT,
        ROW * (len(rows) + 1.3),
        LEGEND,
        va="center",
        size=8.5,
        color=FAINT,
    )
