"""Show how far a build or a run is: a bar on a terminal, else a line for each notebook."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from labkit.authoring.execute import OnProgress, Step


@contextmanager
def shown() -> Iterator[OnProgress]:
    """Give the `on_progress` that shows on standard error which cell is executed."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda step: _line(console, step)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task("starting", total=None)

        def move(step: Step) -> None:
            progress.update(
                task, description=step.notebook, total=step.cells, completed=step.cell - 1
            )

        yield move
        progress.update(task, completed=progress.tasks[0].total)


def _line(console: Console, step: Step) -> None:
    if step.cell == 1:
        console.print(f"{step.notebook}: {step.cells} cells", highlight=False, soft_wrap=True)
