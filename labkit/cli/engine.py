"""`labkit engine`: start, stop and find the engine."""

from __future__ import annotations

import shlex

import typer

from labkit.engine import PrivateEngine, connect

app = typer.Typer(help="The engine that runs the containers.", no_args_is_help=True)


@app.command()
def start() -> None:
    """Find an engine, or start a private one, and say which it is."""
    typer.echo(repr(connect()))


@app.command()
def stop() -> None:
    """End the private engine with its containers and mounts; another's engine is left alone."""
    stopped = PrivateEngine().stop()
    typer.echo("stopped" if stopped else "no private engine was running")


@app.command()
def status() -> None:
    """Say whether the private engine runs; exit code 3 if it does not."""
    private = PrivateEngine()
    pid = private.pid()
    if pid is None:
        typer.echo("the private engine does not run")
        raise typer.Exit(3)
    typer.echo(f"the private engine runs: pid {pid}, {private.endpoint.url}")


@app.command()
def env() -> None:
    """Print what points `docker` at the engine: `eval "$(labkit engine env)"`."""
    for name, value in connect().endpoint.environ().items():
        typer.echo(f"export {name}={shlex.quote(value)}")
