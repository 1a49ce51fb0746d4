"""The engine to use on this machine: the first that works."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from pathlib import Path

from labkit.engine import discovery
from labkit.engine.discovery import Attempt
from labkit.engine.endpoint import chosen_environ
from labkit.engine.engine import Engine
from labkit.engine.private import INSTALL, PrivateEngine
from labkit.engine.virtual import VmEngine, start_vm
from labkit.errors import (
    BadValueError,
    EngineTimeoutError,
    LabError,
    MissingToolError,
    NoEngineError,
)
from labkit.linux import ELSEWHERE, other_system

KINDS = ("docker", "private", "vm")
_NAMES = {"private": "a private engine", "vm": "a micro-VM"}

_connected: dict[tuple[str, ...], Engine] = {}


@atexit.register
def _close_all() -> None:
    """Close the streams while there still is an interpreter to do it in."""
    for engine in _connected.values():
        engine.close()


def connect(*, kind: str | None = None) -> Engine:
    """The engine to use here: one that answers, else a private one, else a micro-VM.

    `kind` or `LABKIT_ENGINE` takes one of "docker", "private", "vm" only. The same engine is
    returned again while it answers. One that listens and is silent is waited for, and no other
    takes its place. Raises NoEngineError, EngineTimeoutError. Shell: `docker version`.
    """
    wanted = kind or os.environ.get("LABKIT_ENGINE") or ""
    if wanted not in ("", *KINDS):
        raise BadValueError(
            "There is no such kind of engine.",
            value=wanted,
            seen=wanted,
            do=f"one of {', '.join(KINDS)}",
        )
    host = chosen_environ().get("DOCKER_HOST", "")
    key = (wanted, host, os.environ.get("LABKIT_HOME", ""))
    engine = _connected.get(key)
    if engine is None or not engine.answers():
        if engine is not None:
            engine.close()
        engine = _connected[key] = _connect(wanted)
    return engine


def _connect(wanted: str) -> Engine:
    tried: list[Attempt] = []
    private = PrivateEngine()
    host = chosen_environ().get("DOCKER_HOST")
    # `labkit engine env` gives out the address of an engine of ours: it stays that engine.
    if wanted != "docker" and host == private.endpoint.url:
        wanted = "private"
    elif wanted != "docker" and host and _is_our_vm(host):
        wanted = "vm"
    if wanted in ("", "docker"):
        endpoint, tried = discovery.find()
        if endpoint is not None:
            return Engine("docker", endpoint, tried=tried)
        if host:  # somebody has chosen: another engine would surprise
            raise _no_engine(tried, "correct DOCKER_HOST, or unset it")
    do = remedy()
    starts: dict[str, Callable[[], Engine]] = {
        "private": lambda: Engine("private", private.start(), tried=tried),
        "vm": lambda: start_vm(tried=tried),
    }
    for kind, start in starts.items():
        if wanted in ("", kind):
            try:
                return start()
            except MissingToolError as err:
                tried.append(Attempt(_NAMES[kind], f"{err.seen} ({err.do})"))
                do = err.do if wanted else do
            except EngineTimeoutError:  # it is there: no other takes its place
                raise
            except LabError as err:
                tried.append(Attempt(_NAMES[kind], f"{err.what} {err.seen}"))
                do = err.do
    raise _no_engine(tried, do)


def _is_our_vm(host: str) -> bool:
    running = VmEngine.running()
    return running is not None and running.endpoint.url == host


def _no_engine(tried: list[Attempt], do: str) -> NoEngineError:
    lines = "".join(f"\n        - {line}" for line in discovery.summary(tried))
    return NoEngineError(
        "No container engine could be used.",
        tried=tuple(map(str, tried)),
        seen=f"tried{lines}",
        do=do,
    )


def remedy() -> str:
    """The one command that gets an engine onto this kind of machine."""
    if other_system():
        return ELSEWHERE
    sudo = "" if os.geteuid() == 0 else "sudo "
    if Path("/etc/debian_version").exists():
        join = "" if os.geteuid() == 0 else " && sudo usermod -aG docker $USER && newgrp docker"
        return f"{sudo}{INSTALL}{join}"
    return "install Docker (https://docs.docker.com/engine/install/) and start it"
