"""The tree of processes as a picture, with a frame round each container."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from labkit.inspect import read_processes
from labkit.palette import AREAS, FAINT, INK, JOINT, RULE
from labkit.show.figure import Figure, draw
from labkit.show.matrix import one_engine
from labkit.show.processes import Node, nodes, tree_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from labkit.inspect import Container

WIDTH = 7.9  # inches
ROW, INDENT = 0.34, 0.34
TOP = 1.25  # rows; the heading
ABOVE, BELOW = 0.95, 0.4  # rows that a frame takes besides its processes
HOST_PID, INSIDE_PID = 6.7, 7.6  # where the columns end
FRAMES = AREAS[1:]


def process_tree(*containers: Container, host_pids: bool = False) -> Figure:
    """The processes of containers below the engine's and the host's.

    The picture shows the pids, which differ from run to run; its text equivalent shows those of
    the host only with `host_pids`. Raises ContainerExitedError, BadValueError.
    Shell: `ps -e --forest -o pid,args`. Source: pid_namespaces(7).
    """
    tree = tree_of(containers)
    return picture(tree, text=tree_text(tree, host_pids=host_pids))


def tree_of(containers: Sequence[Container]) -> tuple[Node, ...]:
    """What the tree is of. Raises ContainerExitedError, BadValueError."""
    host = one_engine(containers).host
    members = {container.name: container.cgroup().pids() for container in containers}
    return nodes(read_processes(host), anchor=host.anchor, members=members)


def picture(tree: Sequence[Node], *, text: str) -> Figure:
    """The figure of a tree, whose text equivalent is `text`."""
    names = list(dict.fromkeys(node.container for node in tree if node.container))
    runs = [(name, list(run)) for name, run in groupby(tree, key=lambda node: node.container)]
    rows = TOP + len(tree) + sum(ABOVE + BELOW for name, _ in runs if name)

    def paint(axes: Axes) -> None:
        _heading(axes)
        place: dict[int, tuple[float, float]] = {}  # where the line to a process's children begins
        row = TOP
        for name, run in runs:
            if name:
                colour = FRAMES[names.index(name) % len(FRAMES)]
                _frame(axes, name, colour, run, row)
                row += ABOVE
            for node in run:
                _process(axes, node, row, place)
                row += 1
            if name:
                row += BELOW

    return draw(
        WIDTH,
        ROW * rows,
        paint,
        alt=f"Process tree of the host, with a frame round the processes of {', '.join(names)}; "
        "each process has a pid on the host, and those in a frame one inside too.",
        text=text,
        sheet=True,
    )


def _heading(axes: Axes) -> None:
    for x, line in ((HOST_PID, "pid on\nthe host"), (INSIDE_PID, "pid\ninside")):
        axes.text(x, ROW * 0.5, line, ha="right", va="center", size=8.5, color=FAINT)
    axes.text(0.05, ROW * 0.5, "process", va="center", size=8.5, color=FAINT)
    axes.plot([0.05, WIDTH - 0.1], [ROW, ROW], color=RULE, lw=0.8)


def _frame(axes: Axes, name: str, colour: str, run: Sequence[Node], row: float) -> None:
    from matplotlib.colors import to_rgba
    from matplotlib.patches import FancyBboxPatch

    left = min(node.depth for node in run) * INDENT - 0.02
    axes.add_patch(
        FancyBboxPatch(
            (left, ROW * (row + 0.08)),
            WIDTH - 0.08 - left,
            ROW * (len(run) + ABOVE + BELOW - 0.3),
            boxstyle="round,pad=0,rounding_size=0.09",
            fc=to_rgba(colour, 0.16),
            ec=colour,
            lw=2,
        )
    )
    axes.text(left + 0.14, ROW * (row + 0.6), f"container {name}", va="center_baseline", size=9,
              weight="bold")  # fmt: skip


def _process(axes: Axes, node: Node, row: float, place: dict[int, tuple[float, float]]) -> None:
    x, y = 0.12 + node.depth * INDENT, ROW * (row + 0.5)
    place[node.depth] = (x + 0.04, y + ROW * 0.32)
    if node.depth:
        above, top = place[node.depth - 1]
        dash = ":" if node.skipped else "-"
        # An elbow from the parent; dotted where processes between are left out.
        axes.plot([above, above, x - 0.04], [top, y, y], color=JOINT, lw=1.1, ls=dash, zorder=3)
        axes.plot([x - 0.04], [y], marker=".", ms=4, color=JOINT, zorder=3)
    command = axes.text(x, y, node.label, va="center_baseline", size=9.5,
                        weight="bold" if node.container else "normal", color=INK)  # fmt: skip
    if node.note:
        axes.annotate(
            node.note,
            (1, y),  # beside the command
            xycoords=(command, "data"),
            xytext=(9, 0),
            textcoords="offset points",
            va="center_baseline",
            size=8.5,
            style="italic",
            color=FAINT,
        )
    axes.text(HOST_PID, y, str(node.process.pid), ha="right", va="center_baseline", size=9.5)
    if node.container:
        axes.text(INSIDE_PID, y, node.inside_pid, ha="right", va="center_baseline", size=9.5,
                  weight="bold")  # fmt: skip
