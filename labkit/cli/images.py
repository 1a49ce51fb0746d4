"""`labkit images`: list and make the lab images."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from labkit.engine import connect
from labkit.images import build_images, is_built, lab_images
from labkit.table import Table

app = typer.Typer(help="The images that labs start from.", invoke_without_command=True)


@app.callback()
def images(context: typer.Context) -> None:
    """List the lab images, and whether the engine has them."""
    if context.invoked_subcommand is None:
        engine = connect()
        rows = [
            (image.name, image.root, _state(is_built(engine, image), needed=image.is_needed))
            for image in lab_images()
        ]
        typer.echo(repr(Table(("image", "built on", "on the engine"), rows)))


def _state(built: bool, *, needed: bool) -> str:
    if built:
        return "built"
    return "missing or old" if needed else "on demand: labkit images build NAME"


@app.command()
def build(
    names: Annotated[
        list[str] | None, typer.Argument(help="if none, those that every lab needs")
    ] = None,
) -> None:
    """Make the lab images that are missing or out of date."""
    console = Console(stderr=True)
    wanted = set(names) if names else None
    engine = connect()
    if not console.is_terminal:
        # A log wants the milestones, not every line of a package manager's.
        build_images(engine, names=wanted, on_message=_milestone)
        return
    with console.status("looking at the images") as status:

        def on_message(line: str) -> None:
            status.update(line[: console.width - 4])

        built = build_images(engine, names=wanted, on_message=on_message)
    console.print(f"built: {', '.join(built) or 'nothing, all are up to date'}")


def _milestone(line: str) -> None:
    marks = (": [", ": pulling", ": no registry", ": importing", ": downloading", ": up to date")
    if any(mark in line for mark in marks) and "[internal]" not in line:
        print(line, file=sys.stderr, flush=True)
