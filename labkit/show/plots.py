"""Plots of what was measured, each with its numbers as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

from labkit.errors import BadValueError
from labkit.palette import AREAS, FAINT, INK, JOINT, LINES, RULE, SKY
from labkit.show.figure import Figure, draw
from labkit.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Marks and dashes tell lines apart without colour.
STROKES = tuple(zip(LINES, "os^DvP", ("-", "--", "-.", ":", "-", "--"), strict=True))
MARKED = 30  # points: of more, single ones cannot be told apart
BESIDE = 0.8  # of the width: a line that ends before it has room for its name
LABEL_LETTERS = 16  # of a line below a square
LABEL_GAP = 0.065  # of the height, between two labels

Series = Mapping[str, Sequence[tuple[float, float]]]


def lines(series: Series, *, x: str, y: str, title: str) -> Figure:
    """One line for each series of points; `x` and `y` name the axes, with their units.

    Raises BadValueError where there is no point.
    """
    points = _points(series)

    def paint(axes: Axes) -> None:
        for index, line in enumerate(series.values()):
            colour, mark, dash = STROKES[index % len(STROKES)]
            ordered = sorted(line)
            axes.plot(
                [at for at, _ in ordered],
                [value for _, value in ordered],
                color=colour,
                linestyle=dash,
                lw=1.8,
                marker=mark if len(line) <= MARKED else "",
                markersize=5,
                clip_on=False,  # a mark on an axis is shown whole
                zorder=3,
            )
        if min(value for _, value in points) >= 0:
            axes.set_ylim(bottom=0)  # so that a height says how much
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.set_title(title, loc="left", weight="bold", size=11)
        axes.grid(axis="y", color=RULE, lw=0.8)
        axes.set_axisbelow(True)
        _label_ends(axes, series)

    return draw(
        7.0,
        3.6,
        paint,
        alt=f"Line plot, {title}: {y} against {x}, of {', '.join(series)}.",
        text=_table(series, x=x, caption=f"{title}: {y}"),
    )


def areas(series: Series, *, x: str, y: str, title: str) -> Figure:
    """One area for each series, each upon the one before it: the upper edge is the sum.

    All have the same x. Raises BadValueError where there is no point, or they have not.
    """
    _points(series)
    at = [sorted(line) for line in series.values()]
    across = [[place for place, _ in line] for line in at]
    if any(one != across[0] for one in across):
        raise BadValueError(
            "Areas upon each other need the same places.",
            value=series,
            seen=", ".join(f"{name}: {len(line)} points" for name, line in series.items()),
            do="measure all of them each time",
        )
    heights = [[value for _, value in line] for line in at]

    def paint(axes: Axes) -> None:
        colours = [AREAS[(index + 1) % len(AREAS)] for index in range(len(series))]
        axes.stackplot(across[0], heights, colors=colours, edgecolor=INK, linewidth=0.8)
        axes.set_xlim(across[0][0], across[0][-1])
        axes.set_ylim(bottom=0)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.set_title(title, loc="left", weight="bold", size=11)
        axes.grid(axis="y", color=RULE, lw=0.8)
        middle, below = {}, 0.0
        for name, line in zip(series, heights, strict=True):
            middle[name] = [(across[0][-1], below + line[-1] / 2)]
            below += line[-1]
        _label_ends(axes, middle, colours=[INK] * len(series))

    return draw(
        7.0,
        3.6,
        paint,
        alt=f"Stacked areas, {title}: {y} against {x}, of {', '.join(series)}.",
        text=_table(series, x=x, caption=f"{title}: {y}, each by itself"),
    )


def bars(values: Mapping[str, float], *, unit: str, title: str, log: bool = False) -> Figure:
    """One bar for each value, from zero; `log`: from one, by powers of ten.

    Raises BadValueError where there is none, or one that such an axis cannot show.
    """
    if not values:
        raise BadValueError(
            "There is nothing to plot.", value=values, seen="no value", do="measure first"
        )
    if log and min(values.values()) < 1:
        raise BadValueError(
            "An axis of powers of ten begins at one.",
            value=values,
            seen=f"{min(values.values())}",
            do="leave out `log`",
        )
    return draw(
        7.0,
        1.1 + 0.4 * len(values),
        lambda axes: _bars(axes, values, unit, title, log=log),
        alt=f"Bar chart, {title}, in {unit}: {', '.join(values)}.",
        text=Table(("", unit), [(name, number(size)) for name, size in values.items()], title),
    )


def squares(values: Mapping[str, float], *, unit: str, title: str) -> Figure:
    """One square for each value, beside each other, each of that area: the small ones are seen.

    Raises BadValueError where there is none above zero.
    """
    if not values or max(values.values()) <= 0:
        raise BadValueError(
            "There is nothing to draw.", value=values, seen="no value", do="measure first"
        )
    sides = [max(value, 0.0) ** 0.5 for value in values.values()]
    gap = 0.35 * max(sides)

    def paint(axes: Axes) -> None:
        from matplotlib.patches import Rectangle  # loaded when a picture is drawn

        left = 0.0
        for (name, value), side in zip(values.items(), sides, strict=True):
            axes.add_patch(Rectangle((left, 0), side, side, facecolor=SKY, edgecolor=INK, lw=0.8))
            label = fill(name, LABEL_LETTERS)
            axes.text(left, -0.06 * max(sides), f"{label}\n{number(value)} {unit}", va="top")
            left += max(side, 0.6 * max(sides)) + gap
        axes.set_xlim(0, left)
        axes.set_ylim(-0.4 * max(sides), max(sides))
        axes.set_aspect("equal")
        axes.set_axis_off()
        axes.set_title(title, loc="left", weight="bold", size=11)

    return draw(
        7.0,
        3.0,
        paint,
        alt=f"Squares, {title}, in {unit}: {', '.join(values)}.",
        text=Table(("", unit), [(name, number(size)) for name, size in values.items()], title),
    )


def bars_beside(charts: Mapping[str, Mapping[str, float]], *, units: Sequence[str]) -> Figure:
    """Bar charts of the same things, side by side, by title; a unit for each.

    Raises BadValueError where there is nothing, or not one value of each thing in each.
    """
    names = list(next(iter(charts.values()), ()))
    if not names or any(list(values) != names for values in charts.values()):
        seen = ", ".join(f"{title}: {len(values)}" for title, values in charts.items())
        raise BadValueError(
            "Charts beside each other show the same things.",
            value=charts,
            seen=seen,
            do="give each the same",
        )
    wide = 1 / len(charts)

    def paint(sheet: Axes) -> None:
        sheet.set_axis_off()
        for place, (unit, (title, values)) in enumerate(zip(units, charts.items(), strict=True)):
            axes = sheet.inset_axes((place * wide, 0, 0.88 * wide, 1))
            axes.spines[["top", "right"]].set_visible(False)
            _bars(axes, values, unit, title)
            if place:
                axes.set_yticklabels([])

    heads = [f"{title}, {unit}" for unit, title in zip(units, charts, strict=True)]
    rows = [(name, *(number(values[name]) for values in charts.values())) for name in names]
    return draw(
        9.0,
        1.1 + 0.4 * len(names),
        paint,
        alt=f"Bar charts, {'; '.join(heads)}: {', '.join(names)}.",
        text=Table(("", *heads), rows),
    )


def _points(series: Series) -> list[tuple[float, float]]:
    """All of them. Raises BadValueError where there is none."""
    points = [point for line in series.values() for point in line]
    if not points:
        raise BadValueError(
            "There is nothing to plot.", value=series, seen="no point", do="measure first"
        )
    return points


def _table(series: Series, *, x: str, caption: str) -> Table:
    by_x = {name: dict(line) for name, line in series.items()}
    rows = [
        (number(at), *(number(line[at]) if at in line else "" for line in by_x.values()))
        for at in sorted({at for line in by_x.values() for at in line})
    ]
    return Table((x, *series), rows, caption=caption)


def _bars(
    axes: Axes, values: Mapping[str, float], unit: str, title: str, *, log: bool = False
) -> None:
    names, sizes = list(values), list(values.values())
    drawn = axes.barh(range(len(names)), sizes, color=SKY, height=0.62, log=log)
    axes.bar_label(drawn, [f"{number(size)} {unit}".strip() for size in sizes], padding=5)
    if log:
        axes.set_xlim(left=1)
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(lambda value, _: number(value))
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", colors=FAINT)
    axes.spines[["bottom"]].set_visible(False)
    by_ten = "each step: ten times as much" if log else ""
    axes.set_xlabel(", ".join(filter(None, (unit, by_ten))), color=FAINT)
    axes.set_title(title, loc="left", weight="bold", size=11)


def number(value: float) -> str:
    """Three digits that count, and never an exponent for what people measure."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _label_ends(axes: Axes, series: Series, *, colours: Sequence[str] = ()) -> None:
    """Name each line at its end, in its colour, and so that no two names touch."""
    colours = colours or [colour for colour, _, _ in STROKES]
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    ends = []
    for index, (name, line) in enumerate(series.items()):
        if line:
            at, value = max(line)
            ends.append(((value - bottom) / (top - bottom), at, value, index, name))
    place = -1.0
    for height, at, value, index, name in sorted(ends):
        style: dict[str, Any] = {"color": colours[index % len(colours)], "weight": "bold"}
        if (at - left) / (right - left) < BESIDE:
            axes.annotate(name, (at, value), xytext=(9, 0), textcoords="offset points",
                          va="center", **style)  # fmt: skip
            continue
        place = max(height, place + LABEL_GAP)
        if place > height:  # a line to it, as it is not at its own place
            style["arrowprops"] = {"arrowstyle": "-", "color": JOINT, "lw": 0.8}
        axes.annotate(name, (at, value), xytext=(1.02, place), textcoords="axes fraction",
                      va="center", annotation_clip=False, **style)  # fmt: skip
