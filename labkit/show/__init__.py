"""What lab and host read, as things to look at: pictures with a text equivalent, and controls.

    show.namespace_matrix(web, db)      who shares which namespace with whom
    show.process_tree(web)              the processes of a container among those of the host
    show.capability_grid(web, db)       which capabilities each has
    show.live(lab)                      both of the first two, as they change
    show.overlay_stack(web)             which layer each file of an overlay comes from
    show.live_overlay(web)              the same, as files are written
    show.lines(...), show.bars(...)     what was measured; also areas, bars_beside, squares
    show.timeline(samples, title=...)   a control group over time: throttled, killed, work done
    show.limits(web)                    the same, live, with sliders that change its limits
    show.explore(function, size=[...])  a function's result, under controls for its arguments

matplotlib and ipywidgets are loaded when a picture is drawn or a control is made, not before.
"""

from labkit.show.capabilities import capability_grid
from labkit.show.explore import Explorer, explore
from labkit.show.figure import Figure
from labkit.show.forest import process_tree
from labkit.show.limits import Limits, limits
from labkit.show.live import Live, live
from labkit.show.live_overlay import LiveOverlay, live_overlay
from labkit.show.matrix import namespace_matrix
from labkit.show.overlay import overlay_stack
from labkit.show.plots import areas, bars, bars_beside, lines, squares
from labkit.show.timeline import timeline

__all__ = [
    "Explorer",
    "Figure",
    "Limits",
    "Live",
    "LiveOverlay",
    "areas",
    "bars",
    "bars_beside",
    "capability_grid",
    "explore",
    "limits",
    "lines",
    "live",
    "live_overlay",
    "namespace_matrix",
    "overlay_stack",
    "process_tree",
    "squares",
    "timeline",
]
