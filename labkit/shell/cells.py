"""A cell's lines, carried to a shell: which container, what is shown, and how it must end."""

from __future__ import annotations

import argparse
import codecs
import re
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NoReturn

from labkit import labels
from labkit.engine import Engine, connect
from labkit.errors import BadValueError, CommandFailedError, EngineRefusedError, NotFoundError
from labkit.inspect import Container, called, read_containers
from labkit.inspect.condition import KILLED
from labkit.lab.execution import carry_out
from labkit.sdk import translated
from labkit.shell.toolbox import toolbox_of

SHOWN = 1 << 20  # bytes of a cell's output: a page with more of it is slow
ENGINE = "engine"  # the variable with a process of the engine's
LAST = 1000  # bytes of it that are kept for an error
VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)")
NO_SHELL = re.compile(r'exec: "sh"')
NOT_SET = "parameter not set"  # of dash
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # exit codes of the engine's own


def in_container(line: str, cell: str) -> None:
    """Run a cell in a container. Raises LabError."""
    options = _options("%%in NAME", line, container=True)
    engine = connect()
    container = _container(engine, options.container)
    _ = container.pid  # one that is not running says why
    _run(engine, container.id, cell, options, where=container.name)


def on_host(line: str, cell: str) -> None:
    """Run a cell on the engine's host. Raises LabError."""
    options = _options("%%host", line)
    engine = connect()
    pids = _pids(engine, set(VARIABLE.findall(cell)))
    try:
        _run(engine, toolbox_of(engine), cell, options, where="the host", environ=pids,
             flags=["-u"])  # fmt: skip
    except CommandFailedError as err:
        if NOT_SET in err.seen:
            there = sorted({one.name for one in _session(engine, all=False)})
            err.do = "a container that runs has its number under its name; these do: " + (
                ", ".join(f"${_variable(name)}" for name in there) or "none"
            )
        raise


def _run(
    engine: Engine,
    container: str,
    cell: str,
    options: argparse.Namespace,
    *,
    where: str,
    environ: Mapping[str, str] | None = None,
    flags: Sequence[str] = (),
) -> None:
    page, began = _Page(), time.monotonic()
    try:
        with translated(f"run the cell in {where}", kind="container", name=where):
            code = carry_out(
                engine.client.api,
                container,
                # In one stream: as in a terminal, what is printed stands in the order of printing.
                ["sh", *flags, "-c", f"exec 2>&1; {cell}"],
                sink=page.show,
                host=lambda: engine.host,
                user=getattr(options, "user", ""),
                env=environ,
            )
    except EngineRefusedError as err:
        if NO_SHELL.search(err.seen):
            raise _no_shell(where, err.seen) from err
        raise
    finally:
        page.end()
    # Where it can start nothing, the engine says why in the program's place.
    if code in (NOT_FOUND, NOT_EXECUTABLE) and NO_SHELL.search(page.last_line):
        raise _no_shell(where, page.last_line)
    if options.fails and code == 0:
        raise CommandFailedError(
            "The cell was expected to fail, and its last command succeeded.",
            exit_code=0,
            seen="exit code 0",
            do="if that is right, leave out --fails",
        )
    if code == KILLED and (full := engine.was_full(since=began, container=container)):
        raise full
    if code != 0 and not options.fails:
        raise CommandFailedError(
            f"The last command of the cell failed, in {where}.",
            exit_code=code,
            seen="; ".join(filter(None, [f"exit code {code}", page.last_line])),
            do="correct it; or, if it is meant to fail, add --fails to the cell's first line",
        )


class _Page:
    """What a cell shows: as it comes, and no more than a page can bear."""

    def __init__(self) -> None:
        self._size = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._last = b""

    def show(self, _: int, data: bytes) -> None:
        """Some bytes of its output."""
        room = max(SHOWN - self._size, 0)
        self._size += len(data)
        self._last = (self._last + data[-LAST:])[-LAST:]
        if room:
            sys.stdout.write(self._decoder.decode(data[:room]))
            sys.stdout.flush()

    def end(self) -> None:
        """Say what was not shown."""
        if self._size > SHOWN:
            left = (self._size - SHOWN) / 2**20
            print(f"\n[{left:,.1f} MiB more are not shown: send them to a file]", file=sys.stderr)

    @property
    def last_line(self) -> str:
        """The last line that is not empty."""
        lines = self._last.decode(errors="replace").split("\n")
        return next((one.strip() for one in reversed(lines) if one.strip()), "")


class _FirstLine(argparse.ArgumentParser):
    """A first line that cannot be read is an error of ours, and ends no kernel."""

    line = ""

    def error(self, message: str) -> NoReturn:
        raise BadValueError(
            "The first line of the cell cannot be read.",
            value=self.line,
            seen=message,
            do=f"write: {self.usage}; `{self.prog}?` tells more",
        )


def _options(usage: str, line: str, *, container: bool = False) -> argparse.Namespace:
    prog = usage.split()[0]
    user = " [--user USER]" if container else ""
    parser = _FirstLine(prog=prog, usage=f"{usage} [--fails]{user}", add_help=False)
    parser.add_argument("--fails", action="store_true")
    if container:
        parser.add_argument("container")
        parser.add_argument("--user", default="")
    parser.line = line
    return parser.parse_args(line.split())


def _session(engine: Engine, *, all: bool) -> list[Container]:
    """The containers of this notebook, the newest first."""
    return read_containers(engine, label=f"{labels.SESSION}={labels.session()}", all=all)


def _container(engine: Engine, name: str) -> Container:
    found = _session(engine, all=True)
    if named := called(found, name):
        return named[0]
    there = ", ".join(sorted(one.name for one in found)) or "no container"
    raise NotFoundError(
        f"This notebook has no container {name!r}.",
        kind="container",
        name=name,
        seen=there,
        do="check the spelling, or start it: `docker ps -a` lists what there is",
    )


def _variable(name: str) -> str:
    """What stands for a container in a cell."""
    return re.sub(r"\W", "_", name)


def _pids(engine: Engine, wanted: set[str]) -> dict[str, str]:
    """The host's numbers of the containers whose names a cell has."""
    found: dict[str, str] = {}
    for one in _session(engine, all=False) if wanted else ():
        variable = _variable(one.name)
        if variable in wanted and variable not in found:
            found[variable] = str(one.pid)
    if ENGINE in wanted and ENGINE not in found:
        found[ENGINE] = str(engine.host.anchor)
    return found


def _no_shell(where: str, seen: str) -> CommandFailedError:
    return CommandFailedError(
        f"{where} has no shell.",
        exit_code=NOT_FOUND,
        seen=seen,
        do="enter from outside: a `%%host` cell with `nsenter --target $NAME --net` has the "
        "host's own tools",
    )
