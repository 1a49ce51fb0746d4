"""A container's control group live: sliders change its limits now, buttons put it under stress."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from labkit.errors import LabError
from labkit.host import Stream
from labkit.inspect import Usage
from labkit.kernel import CgroupFile
from labkit.show.figure import Figure
from labkit.show.following import Following
from labkit.show.timeline import timeline

if TYPE_CHECKING:
    from labkit.lab import Container

MIB = 1 << 20
INTERVAL = 0.25  # seconds between two samples
SHOWN = 80  # samples
FIRST, LATEST = 12, 48  # of them, before the first picture; until it shows a kill, at most
STRESS = 10  # seconds
PERIOD = 100_000  # microseconds, the kernel's own
LOWEST, MARGIN = 16, 1.5  # MiB that a slider reaches; how much more than its limit it takes
BURN = "while :; do :; done"
# One block of that size, wanted by one process alone, which offers itself to the OOM killer: the
# container's own programs are to live on.
TAKE = "echo 1000 >/proc/self/oom_score_adj; exec dd if=/dev/zero of=/dev/null bs={size} count=1"


def limits(container: Container) -> Limits:
    """Show CPU and memory of a container as they are used, and change its limits while it runs.

    What the sliders say is written into the files of its control group; the buttons start a
    program in it that burns CPU time, or that wants more memory than it may have. A notebook
    stores a first picture, with a little of both. It ends when the cell is run again, the box
    is unticked, or the container ends. Raises HostError, MissingToolError, ContainerExitedError.
    Shell: `docker update`, and `cat cpu.stat memory.events` again and again.
    """
    return Limits(container)


class Limits(Following):
    """The picture, the sliders, the buttons, and a box that lets it follow."""

    def __init__(self, container: Container) -> None:
        super().__init__(f"limits {container.id}", what="controls")
        self._container, self._group = container, container.cgroup()
        self._samples: deque[tuple[float, Usage]] = deque(maxlen=SHOWN)
        self._stream: Stream[tuple[float, Usage]] | None = None
        self._make_controls()
        self._first = self._measured()
        self.picture.value = self._first.as_html()
        rows = [[self.memory, self.cpus, self.tasks], [self.burn, self.take, self.follow]]
        boxes = map(self._widgets.HBox, rows)
        self.widget = self._widgets.VBox([*boxes, self.status, self.picture])
        self._start()

    def __repr__(self) -> str:
        return repr(self._first)

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = self._first._repr_mimebundle_()
        return {**self.widget._repr_mimebundle_(), **data}, metadata

    # --- controls ------------------------------------------------------------------------------

    def _make_controls(self) -> None:
        widgets = self._widgets
        usage, tasks = self._group.usage(), self._group.tasks()
        quota, most = usage.cpu.quota_us, len(self._group.cpuset().cpus)
        memory = usage.memory.max
        style = {"continuous_update": False, "style": {"description_width": "initial"}}
        self.memory = widgets.IntSlider(
            value=128 if memory is None else memory // MIB, min=LOWEST, max=256, step=4,
            description="memory, MiB", **style,
        )  # fmt: skip
        self.cpus = widgets.FloatSlider(
            value=most if quota is None else quota / usage.cpu.period_us, min=0.05, max=most,
            step=0.05, description="CPUs", **style,
        )  # fmt: skip
        self.tasks = widgets.IntSlider(
            value=100 if tasks.max is None else min(tasks.max, 200), min=5, max=200,
            description="tasks", **style,
        )  # fmt: skip
        self.burn = widgets.Button(description=f"burn CPU time, {STRESS} s")
        self.take = widgets.Button(description="take too much memory")
        self.status = widgets.Label()
        for slider, change in (
            (self.memory, self._set_memory),
            (self.cpus, lambda cpus: self._set("cpu.max", f"{int(cpus * PERIOD)} {PERIOD}")),
            (self.tasks, lambda most: self._set("pids.max", most)),
        ):
            slider.observe(self._told(change), names="value")
        self.burn.on_click(lambda _: self._stress(BURN, STRESS))
        self.take.on_click(lambda _: self._take())
        self.follow.observe(self._followed, names="value")

    def _told(self, change: Callable[[Any], None]) -> Callable[[Any], None]:
        def changed(event: Any) -> None:
            try:
                change(event["new"])
                self.status.value = ""
            except LabError as err:  # of the kernel, which may refuse a value
                self.status.value = f"{err.what} {err.seen}"

        return changed

    def _set(self, name: str, value: int | str) -> None:
        self._container.set_limit(name, value)

    def _set_memory(self, mebibytes: int) -> None:
        size, now = mebibytes * MIB, self._group.memory().max
        names = ["memory.max"]
        if self._group.is_v2("memory"):
            swap: dict[str, int] = {"memory.swap.max": 0}
        else:  # memory and swap together, and never less than memory alone
            swap = {"memory.swap.max": size}
        if "memory.swap.max" in self._settings():
            names.insert(0 if now is not None and size > now else 1, "memory.swap.max")
        for name in names:
            self._set(name, swap.get(name, size))

    def _settings(self) -> set[str]:
        read: tuple[tuple[CgroupFile, str | None, str | None], ...] = self._group.files().read
        return {one.v2 for one, _, text in read if text is not None}

    def _take(self) -> None:
        limit = self._group.memory().max or self.memory.value * MIB
        self._stress(TAKE.format(size=int(limit * MARGIN)), STRESS)

    def _stress(self, line: str, seconds: float) -> None:
        """Run a line in the container, in no one's way, and no longer than that."""
        words = ["timeout", str(seconds), "sh", "-c", line]

        def run() -> None:
            with suppress(LabError):  # it may be killed, or find no room for one task more
                self._container.exec(words, timeout=seconds + 30)

        threading.Thread(target=run, daemon=True).start()

    # --- following -----------------------------------------------------------------------------

    def _measured(self) -> Figure:
        """The first picture: some CPU time is burnt, and too much memory asked for."""
        is_limited = self._group.memory().max is not None
        self._stress(BURN, FIRST * INTERVAL / 2)
        with self._group.samples(interval=INTERVAL) as samples:
            for count, sample in enumerate(samples):
                self._samples.append(sample)
                if count == FIRST // 2 and is_limited:
                    self._take()
                killed = sample[1].memory.oom_kills != self._samples[0][1].memory.oom_kills
                if count >= FIRST and (killed or not is_limited or count >= LATEST):
                    return self._drawn()
        raise AssertionError("unreachable: a look has no end")

    def _drawn(self) -> Figure:
        return timeline(list(self._samples), title=f"The control group of {self._container.name}")

    def _followed(self, change: Any) -> None:
        if change["new"]:
            self._samples.clear()
            self._start()
            return
        self._stream = None  # whoever reads it ends it, at its next sample

    def _start(self) -> None:
        self._stream = self._group.samples(interval=INTERVAL)
        threading.Thread(target=self._redraw, args=(self._stream,), daemon=True).start()

    def _redraw(self, stream: Stream[tuple[float, Usage]]) -> None:
        drawn: Usage | None = None
        try:
            with stream:
                for count, sample in enumerate(stream):
                    if self._stream is not stream:
                        return
                    self._samples.append(sample)
                    # At rest there is nothing to draw, and it costs next to nothing.
                    if count % 4 == 3 and (drawn is None or _differs(drawn, sample[1])):
                        drawn = sample[1]
                        self.picture.value = self._drawn().as_html()
        except (LabError, ValueError, OSError) as err:
            if self._stream is stream:
                self.tell(err)


def _differs(old: Usage, new: Usage) -> bool:
    """Whether a picture would show it."""
    moved = abs(new.memory.current - old.memory.current) > MIB // 2
    ran = new.cpu.usage_ns - old.cpu.usage_ns > 0.01e9
    limits = (old.memory.max, old.cpu.quota_us) != (new.memory.max, new.cpu.quota_us)
    return moved or ran or limits or new.memory.oom_kills != old.memory.oom_kills
