"""`labkit engine`: start, stop and find the engine; make the micro-VM."""

from __future__ import annotations

import os
import shlex
import sys
import time
from typing import Annotated, Literal

import typer

from labkit import paths
from labkit.engine import Endpoint, Engine, PrivateEngine, connect, discovery, start_vm, the_vm
from labkit.engine.endpoint import ITSELF, VARIABLES
from labkit.engine.vm import (
    Base,
    MicroVM,
    Preparation,
    find_qemu,
    hold_base,
)
from labkit.errors import BadValueError, LabError
from labkit.images import build_images, recipe_of_all
from labkit.lab import registry
from labkit.lab.lab import can_be_served

app = typer.Typer(help="The engine that runs the containers.", no_args_is_help=True)
Kind = Annotated[
    Literal["docker", "private", "vm"] | None, typer.Option("--engine", help="one kind only")
]
Memory = Annotated[
    int | None, typer.Option(help="micro-VM: MiB; what is usual here, `labkit doctor` says")
]
NAMES = {"private": "the private engine", "vm": "the micro-VM"}


@app.command()
def start(
    kind: Kind = None,
    keep: Annotated[bool, typer.Option(help="micro-VM: let its disk outlive it")] = False,
    network: Annotated[bool, typer.Option(help="micro-VM: let it reach the network")] = True,
    memory: Memory = None,
) -> None:
    """Find an engine, or start one, and say which it is."""
    wanted = kind or os.environ.get("LABKIT_ENGINE") or ""
    if wanted == "vm" or (not wanted and _only_a_vm_is_left()):
        stages = _Stages()
        _build(stages, memory=memory)  # with the lab images in it; nothing, the second time
        made = start_vm(keep=keep, network=network, memory=memory, on_progress=stages.tell)
        typer.echo(repr(made))
        return
    if keep or not network or memory:
        raise BadValueError(
            "Those options are the micro-VM's.",
            value={"keep": keep, "network": network, "memory": memory},
            seen="--keep, --no-network or --memory",
            do="say `--engine vm` too",
        )
    typer.echo(repr(connect(kind=wanted or None)))


@app.command()
def build(kind: Kind = "vm", memory: Memory = None) -> None:
    """Make the micro-VM: its image, the lab images in it, and a snapshot to start from."""
    if kind != "vm":
        raise BadValueError(
            "Only a micro-VM is built.", value=kind, seen=str(kind), do="say `--engine vm`"
        )
    made = _build(_Stages(), memory=memory)
    size = sum(path.stat().st_blocks * 512 for path in made.snapshot.folder.iterdir())
    typer.echo(
        f"the micro-VM is built: {made.machine.accelerator}, {made.machine.memory} MiB of memory, "
        f"{size >> 20} MiB on disk at {made.snapshot.folder}"
    )


@app.command()
def stop(kind: Kind = None) -> None:
    """End the engines that are labkit's own, with all they hold; others are left alone."""
    if kind == "docker":
        raise BadValueError(
            "That engine is not labkit's to stop.",
            value=kind,
            seen="--engine docker",
            do="`labkit engine stop --engine vm` or `private`",
        )
    ended = [NAMES[name] for name, one in _ours(kind).items() if one.stop()]
    nobody = f"{NAMES[kind]} was not running" if kind else "no engine of labkit's was running"
    typer.echo(f"stopped: {', '.join(ended)}" if ended else nobody)


@app.command()
def status() -> None:
    """Say which engines of labkit's own run, and whose labs are open; exit code 3 if no engine is.

    An arrow marks the lab to which `docker` in a terminal leads.
    """
    running = {name: one.pid() for name, one in _ours().items() if one.pid() is not None}
    for name, pid in running.items():
        typer.echo(f"{NAMES[name]} runs, pid {pid}")
    if ports := the_vm().awaited_ports():
        typer.echo(
            f"  published by its services, and in use on this machine: {', '.join(ports)}; "
            "each leads there as soon as it is free"
        )
    followed = registry.followed()
    for lab in registry.entries():
        arrow = "→" if lab == followed else " "
        state = "" if lab.is_served() else "; nobody serves it: run one of its cells again"
        typer.echo(f"{arrow} the lab of {lab.whose}: {lab.socket}{state}")
    if not running:
        typer.echo("no engine of labkit's runs")
        raise typer.Exit(3)


@app.command()
def env(
    kind: Kind = None,
    itself: Annotated[
        bool, typer.Option("--engine-itself", help="not the notebook's lab: all that is there")
    ] = False,
) -> None:
    """Print what leads `docker` to the notebook in which a cell ran last.

    Use it so: `eval "$(labkit engine env)"`. It follows when a cell runs in another notebook.
    """
    engine = connect(kind=kind)
    found = engine.environ()
    if not itself and can_be_served(engine):
        chosen = {ITSELF + name: found.pop(name) for name in VARIABLES if name in found}
        found |= {**registry.environ_of(registry.current()), **chosen}
        followed = registry.followed()
        where = f"the lab of {followed.whose}" if followed else "the next notebook that runs a cell"
        typer.echo(f"docker leads to {where}; --engine-itself leads to the engine", err=True)
    for name, value in found.items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def _only_a_vm_is_left() -> bool:
    """Whether there is no engine, none can be started, and QEMU is here."""
    if discovery.find()[0] is not None or PrivateEngine.why_not() is None:
        return False
    try:
        find_qemu()
    except LabError:
        return False  # and `connect` says all that was tried
    return True


def _build(stages: _Stages, *, memory: int | None) -> Base:
    """Have the micro-VM in the cache, with the lab images in it."""

    def lab_images(endpoint: Endpoint) -> None:
        guest = Engine("vm", endpoint)
        build_images(guest, on_message=stages.line)
        guest.close()

    with hold_base(
        paths.cache() / "vm",
        memory=memory,
        on_progress=stages.tell,
        preparation=Preparation(recipe_of_all(), lab_images),
    ) as base:
        return base


def _ours(kind: str | None = None) -> dict[str, PrivateEngine | MicroVM]:
    ours: dict[str, PrivateEngine | MicroVM] = {"private": PrivateEngine(), "vm": the_vm()}
    return {name: one for name, one in ours.items() if kind in (None, name)}


class _Stages:
    """Tells on standard error what is being done, each stage once, with the seconds so far."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._stage = ""

    def tell(self, stage: str, done: float | None) -> None:
        """The `on_progress` of a micro-VM."""
        if stage != self._stage:
            self._stage = stage
            self.line(stage)

    def line(self, line: str) -> None:
        """One line."""
        seconds = time.monotonic() - self._began
        print(f"{seconds:6.1f} s  {line[:120]}", file=sys.stderr, flush=True)
