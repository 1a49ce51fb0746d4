"""The command line: `labkit doctor | engine | images | course | progress | clean`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from labkit.cli import course, doctor, engine, images
from labkit.errors import LabError

app = typer.Typer(
    help="Container internals, taught on real containers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("doctor")(doctor.doctor)
app.add_typer(engine.app, name="engine")
app.add_typer(images.app, name="images")
app.add_typer(course.app, name="course")


@app.command()
def progress() -> None:
    """Show where you stand in the course."""
    from labkit.checks import progress as table

    typer.echo(repr(table()))


@app.command()
def clean(
    everything: Annotated[
        bool, typer.Option("--all", help="also the labs of notebooks that still run")
    ] = False,
) -> None:
    """Remove what labs left behind when their notebook was gone; nothing that is not ours."""
    from labkit.engine import connect
    from labkit.lab.registry import forgotten_labs
    from labkit.lab.sweep import sweep_all, sweep_dead, sweep_lab

    client = connect().client
    removed = sweep_all(client) if everything else sweep_dead(client)
    for lab in forgotten_labs():  # of which names of images may be there, which have no labels
        removed += sweep_lab(client, lab)
    typer.echo(f"removed: {', '.join(sorted(removed)) or 'nothing, there was nothing left'}")


def main() -> None:
    """Run the command line; a LabError is a message and exit code 1, not a traceback."""
    try:
        app()
    except LabError as err:
        console = Console(stderr=True, soft_wrap=True)
        console.print(str(err), style="bold red", markup=False, highlight=False)
        sys.exit(1)
