"""What a control group used over time, under its limits: throttled time, and the OOM kills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from labkit.errors import BadValueError
from labkit.inspect import Usage
from labkit.palette import BLUE, GREEN, INK, ORANGE, RULE, SKY, VERMILLION
from labkit.show.figure import Figure, draw
from labkit.show.plots import number
from labkit.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Samples = Sequence[tuple[float, Usage]]
Work = Sequence[tuple[float, float]]
MIB = 1 << 20


@dataclass(frozen=True)
class Step:
    """What happened between two samples."""

    begin: float  # seconds since the first sample
    end: float
    ran: float  # CPU time a second: 1 is one CPU all the time
    throttled: float  # likewise, in which it might not run because its quota was used up
    quota: float | None  # CPUs
    memory: float  # MiB, at its end
    limit: float | None  # MiB
    killed: int  # processes, for want of memory
    work: float | None = None  # a second


def timeline(samples: Samples, *, work: Work = (), title: str) -> Figure:
    """CPU time that ran and that was throttled, under the quota; below it memory, or work done.

    `samples` are (seconds, usage) as `Cgroup.samples` gives them; `work` is (seconds, how much so
    far) by the same clock, and takes the place of the memory. Raises BadValueError where there
    are fewer than two samples. Shell: `cat cpu.stat` twice, and the difference.
    """
    steps = steps_of(samples, work=work)

    def paint(sheet: Axes) -> None:
        sheet.set_axis_off()
        upper = sheet.inset_axes((0, 0.56, 1, 0.44))
        lower = sheet.inset_axes((0, 0, 1, 0.4), sharex=upper)
        _paint_cpu(upper, steps)
        if work:
            _paint_work(lower, steps)
        else:
            _paint_memory(lower, steps)
        for axes in (upper, lower):
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_xlim(0, steps[-1].end)
            axes.set_ylim(bottom=0)
            axes.grid(axis="y", color=RULE, lw=0.8)
            axes.set_axisbelow(True)
        upper.tick_params(labelbottom=False)
        upper.set_title(title, loc="left", weight="bold", size=11)
        lower.set_xlabel("seconds")

    below = "work done" if work else "memory and its limit"
    return draw(
        7.4,
        4.2,
        paint,
        alt=f"Two plots over time, {title}: CPU time that ran, that was throttled, and the quota; "
        f"{below}.",
        text=_table(steps, title, work=bool(work)),
    )


def steps_of(samples: Samples, *, work: Work = ()) -> list[Step]:
    """The differences of neighbours. Raises BadValueError where there are none."""
    if len(samples) < 2:
        raise BadValueError(
            "A timeline needs two samples or more.",
            value=samples,
            seen=f"{len(samples)} of them",
            do="let the sampler run longer",
        )
    zero, steps = samples[0][0], []
    for (before, old), (after, new) in pairwise(samples):
        took = after - before
        quota, limit = new.cpu.quota_us, new.memory.max
        done = _between(work, before, after)
        steps.append(
            Step(
                begin=before - zero,
                end=after - zero,
                ran=(new.cpu.usage_ns - old.cpu.usage_ns) / took / 1e9,
                throttled=(new.cpu.throttled_ns - old.cpu.throttled_ns) / took / 1e9,
                quota=None if quota is None else quota / new.cpu.period_us,
                memory=new.memory.current / MIB,
                limit=None if limit is None else limit / MIB,
                killed=(new.memory.oom_kills or 0) - (old.memory.oom_kills or 0),
                work=None if done is None else done / took,
            )
        )
    return steps


def _between(work: Work, begin: float, end: float) -> float | None:
    """How much was done from one moment to another; None where nobody told."""
    if not work or begin < work[0][0] or end > work[-1][0]:
        return None
    return _at(work, end) - _at(work, begin)


def _at(work: Work, moment: float) -> float:
    for (before, old), (after, new) in pairwise(work):
        if before <= moment <= after:
            share = (moment - before) / (after - before) if after > before else 0.0
            return old + share * (new - old)
    return work[-1][1]


def _edges(steps: Sequence[Step]) -> list[float]:
    return [steps[0].begin, *(step.end for step in steps)]


def _paint_cpu(axes: Axes, steps: Sequence[Step]) -> None:
    edges = _edges(steps)
    ran = [step.ran for step in steps]
    both = [step.ran + step.throttled for step in steps]
    axes.stairs(both, edges, baseline=ran, fill=True, facecolor=ORANGE, hatch="///",
                edgecolor=VERMILLION, lw=0, label="throttled")  # fmt: skip
    axes.stairs(ran, edges, fill=True, facecolor=SKY, label="ran")
    _paint_limit(axes, steps, [step.quota for step in steps], "quota")
    axes.set_ylabel("CPUs")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=9)


def _paint_memory(axes: Axes, steps: Sequence[Step]) -> None:
    axes.stairs([step.memory for step in steps], _edges(steps), fill=True, facecolor=GREEN,
                alpha=0.6, label="in use")  # fmt: skip
    _paint_limit(axes, steps, [step.limit for step in steps], "limit")
    kills = [step for step in steps if step.killed]
    for index, step in enumerate(kills):
        axes.axvline(step.end, color=VERMILLION, lw=1.8, label="" if index else "OOM kill")
    axes.set_ylabel("MiB")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=9)


def _paint_work(axes: Axes, steps: Sequence[Step]) -> None:
    told = [step.work for step in steps]
    axes.stairs([float("nan") if one is None else one for one in told], _edges(steps),
                color=BLUE, lw=2, label="work done", baseline=None)  # fmt: skip
    axes.set_ylabel("rounds a second")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=9)


def _paint_limit(
    axes: Axes, steps: Sequence[Step], limits: Sequence[float | None], name: str
) -> None:
    heights = [float("nan") if one is None else one for one in limits]
    if any(one is not None for one in limits):
        axes.stairs(heights, _edges(steps), baseline=None, color=INK, lw=1.6, linestyle="--",
                    label=name)  # fmt: skip


def _table(steps: Sequence[Step], title: str, *, work: bool) -> Table:
    def told(value: float | None) -> str:
        return "" if value is None else number(value)

    last = ("work a second",) if work else ("memory, MiB", "limit, MiB", "OOM kills")
    rows = []
    for step in steps:
        end = (told(step.work),) if work else (number(step.memory), told(step.limit), step.killed)
        rows.append((f"{step.end:.1f}", f"{step.ran:.2f}", f"{step.throttled:.2f}",
                     told(step.quota), *end))  # fmt: skip
    return Table(("second", "ran, CPUs", "throttled, CPUs", "quota, CPUs", *last), rows, title)
