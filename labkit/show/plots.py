"""Plots of what was measured, each with its numbers as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labkit.errors import BadValueError
from labkit.palette import FAINT, JOINT, LINES, RULE, SKY
from labkit.show.figure import Figure, draw
from labkit.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Marks and dashes tell lines apart without colour.
STROKES = tuple(zip(LINES, "os^DvP", ("-", "--", "-.", ":", "-", "--"), strict=True))
MARKED = 30  # points: of more, single ones cannot be told apart
BESIDE = 0.8  # of the width: a line that ends before it has room for its name
LABEL_GAP = 0.065  # of the height, between two labels

Series = Mapping[str, Sequence[tuple[float, float]]]


def lines(series: Series, *, x: str, y: str, title: str) -> Figure:
    """One line for each series of points; `x` and `y` name the axes, with their units.

    Raises BadValueError where there is no point.
    """
    points = [point for line in series.values() for point in line]
    if not points:
        raise BadValueError(
            "There is nothing to plot.", value=series, seen="no point", do="measure first"
        )
    by_x = {name: dict(line) for name, line in series.items()}
    rows = [
        (number(at), *(number(line[at]) if at in line else "" for line in by_x.values()))
        for at in sorted({at for at, _ in points})
    ]

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
        text=Table((x, *series), rows, caption=f"{title}: {y}"),
    )


def bars(values: Mapping[str, float], *, unit: str, title: str) -> Figure:
    """One bar for each value, from zero. Raises BadValueError where there is none."""
    if not values:
        raise BadValueError(
            "There is nothing to plot.", value=values, seen="no value", do="measure first"
        )
    return draw(
        7.0,
        1.1 + 0.4 * len(values),
        lambda axes: _bars(axes, values, unit, title),
        alt=f"Bar chart, {title}, in {unit}: {', '.join(values)}.",
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


def _bars(axes: Axes, values: Mapping[str, float], unit: str, title: str) -> None:
    names, sizes = list(values), list(values.values())
    drawn = axes.barh(range(len(names)), sizes, color=SKY, height=0.62)
    axes.bar_label(drawn, [f"{number(size)} {unit}" for size in sizes], padding=5)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", colors=FAINT)
    axes.spines[["bottom"]].set_visible(False)
    axes.set_xlabel(unit, color=FAINT)
    axes.set_title(title, loc="left", weight="bold", size=11)


def number(value: float) -> str:
    """Three digits that count, and never an exponent for what people measure."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _label_ends(axes: Axes, series: Series) -> None:
    """Name each line at its end, in its colour, and so that no two names touch."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    ends = []
    for index, (name, line) in enumerate(series.items()):
        if line:
            at, value = max(line)
            ends.append(((value - bottom) / (top - bottom), at, value, index, name))
    place = -1.0
    for height, at, value, index, name in sorted(ends):
        style: dict[str, Any] = {"color": STROKES[index % len(STROKES)][0], "weight": "bold"}
        if (at - left) / (right - left) < BESIDE:
            axes.annotate(name, (at, value), xytext=(9, 0), textcoords="offset points",
                          va="center", **style)  # fmt: skip
            continue
        place = max(height, place + LABEL_GAP)
        if place > height:  # a line to it, as it is not at its own place
            style["arrowprops"] = {"arrowstyle": "-", "color": JOINT, "lw": 0.8}
        axes.annotate(name, (at, value), xytext=(1.02, place), textcoords="axes fraction",
                      va="center", annotation_clip=False, **style)  # fmt: skip
