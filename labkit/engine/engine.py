"""An engine in use: its address, its client, what it can do, and the host behind it."""

from __future__ import annotations

import atexit
import os
import socket
import struct
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.engine import discovery
from labkit.engine.discovery import Attempt
from labkit.engine.endpoint import Endpoint
from labkit.engine.facts import EngineFacts, read_facts
from labkit.engine.private import INSTALL, PrivateEngine
from labkit.errors import BadValueError, ImageNotFoundError, LabError, NoEngineError
from labkit.host import Host, LocalHost, ProbeHost
from labkit.sdk import translated
from labkit.table import Shown, Table

if TYPE_CHECKING:
    import docker

KINDS = ("docker", "private")
PROBE_IMAGE = "labkit/toolbox"
PROBE_LABEL = "labkit.probe"


_MEANING = {
    "docker": "one that was already running",
    "private": "one of labkit's own, which `labkit engine stop` ends",
}


class Engine(Shown):
    """A Docker-compatible engine that answers."""

    def __init__(self, kind: str, endpoint: Endpoint, *, tried: Sequence[Attempt] = ()) -> None:
        self.kind = kind  # one of KINDS
        self.endpoint = endpoint
        self.tried = tuple(tried)  # what was tried before it

    def table(self) -> Table:
        """What the engine is, and why it is this one."""
        facts = self.facts
        rows = [
            ("engine", f"{facts.product} {facts.version}"),
            ("kind", f"{self.kind}: {_MEANING[self.kind]}"),
            ("listens at", self.endpoint.url),
            ("runs on", f"{facts.operating_system}, kernel {facts.kernel}"),
            ("cgroups", f"v{facts.cgroup_version}"),
            ("storage driver", facts.storage_driver),
            ("its processes are seen", self.sight),
            *(("tried before", one) for one in self.tried if one.why != discovery.ABSENT),
        ]
        return Table(("the engine", ""), rows)

    @cached_property
    def client(self) -> docker.DockerClient:
        """The Docker SDK's client, for whatever labkit does not do."""
        with translated("connect"):
            return self.endpoint.client()

    @cached_property
    def facts(self) -> EngineFacts:
        """What the engine is and can do. Shell: `docker info`."""
        return read_facts(self.client)

    @cached_property
    def host(self) -> Host:
        """The machine on which the engine's processes live.

        Directly where that is this kernel and we may look, else, or with `LABKIT_HOST=probe`,
        through a probe container. Raises HostError, ImageNotFoundError.
        """
        daemon = self._daemon
        return self.probe() if daemon is None else LocalHost(anchor=daemon)

    @property
    def sight(self) -> str:
        """How the host is seen, told without looking: a probe needs an image."""
        return ProbeHost.how if self._daemon is None else LocalHost.how

    @property
    def _daemon(self) -> int | None:
        return None if os.environ.get("LABKIT_HOST") == "probe" else self.local_daemon()

    def probe(self) -> ProbeHost:
        """A new probe container on this engine. Raises ImageNotFoundError, HostError."""
        from labkit.owner import OWNER_LABEL, this_process

        try:
            return ProbeHost(
                self.client,
                image=PROBE_IMAGE,
                labels={PROBE_LABEL: "1", OWNER_LABEL: this_process()},
            )
        except ImageNotFoundError as err:
            raise ImageNotFoundError(
                "The engine's host is seen through a container of the `toolbox` image, "
                "which is not there.",
                seen=err.seen,
                do="labkit images build",
            ) from err

    def local_daemon(self) -> int | None:
        """The daemon's pid, if it is a process of this kernel into which we may look."""
        pid = self._peer()
        try:
            if pid is None or Path(f"/proc/{pid}/comm").read_text().strip() != "dockerd":
                return None
            Path(f"/proc/{pid}/ns/net").readlink()
        except OSError:
            return None
        return pid

    def _peer(self) -> int | None:
        """The process that listens on the engine's socket. Source: unix(7), SO_PEERCRED."""
        path = self.endpoint.socket_path
        if path is None or not hasattr(socket, "SO_PEERCRED"):
            return None
        with socket.socket(socket.AF_UNIX) as peer:
            try:
                peer.connect(str(path))
            except OSError:
                return None
            credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        pid = int(struct.unpack("3i", credentials)[0])
        if pid != 1:
            return pid or None
        # systemd listens in the daemon's place, and hands the socket over.
        try:
            return int(Path("/run/docker.pid").read_text())
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        """Let go of the client and of the probe, if there is one; the engine goes on."""
        if "host" in self.__dict__:
            self.__dict__.pop("host").close()
        if "client" in self.__dict__:
            self.__dict__.pop("client").close()


_connected: dict[tuple[str, ...], Engine] = {}


@atexit.register
def _close_all() -> None:
    """Close the streams while there still is an interpreter to do it in."""
    for engine in _connected.values():
        engine.close()


def connect(*, kind: str | None = None) -> Engine:
    """The engine to use on this machine: one that answers, else a private one.

    `kind` or `LABKIT_ENGINE` takes one of "docker", "private" only. The same engine is
    returned again while it answers. Raises NoEngineError. Shell: `docker version`.
    """
    wanted = kind or os.environ.get("LABKIT_ENGINE") or ""
    if wanted not in ("", *KINDS):
        raise BadValueError(
            "There is no such kind of engine.", seen=wanted, do=f"one of {', '.join(KINDS)}"
        )
    key = (wanted, *(os.environ.get(name, "") for name in ("DOCKER_HOST", "LABKIT_HOME")))
    engine = _connected.get(key)
    if engine is None or discovery.why_not(engine.endpoint) is not None:
        if engine is not None:
            engine.close()
        engine = _connected[key] = _connect(wanted)
    return engine


def _connect(wanted: str) -> Engine:
    tried: list[Attempt] = []
    private = PrivateEngine()
    # `labkit engine env` gives out the private engine's address: it stays the private engine.
    chosen = os.environ.get("DOCKER_HOST") == private.endpoint.url and wanted != "docker"
    if wanted in ("", "docker") and not chosen:
        endpoint, tried = discovery.find()
        if endpoint is not None:
            return Engine("docker", endpoint, tried=tried)
        if os.environ.get("DOCKER_HOST"):  # somebody has chosen: another engine would surprise
            raise _no_engine(tried, "correct DOCKER_HOST, or unset it")
    do = remedy()
    if wanted in ("", "private"):
        if why := private.why_not():
            tried.append(Attempt("a private engine", why))
        else:
            try:
                return Engine("private", private.start(), tried=tried)
            except LabError as err:
                tried.append(Attempt("a private engine", f"{err.what} {err.seen}"))
                do = err.do
    raise _no_engine(tried, do)


def _no_engine(tried: list[Attempt], do: str) -> NoEngineError:
    lines = "".join(f"\n        - {line}" for line in discovery.summary(tried))
    return NoEngineError("No container engine could be used.", seen=f"tried{lines}", do=do)


def remedy() -> str:
    """The one command that gets an engine onto this kind of machine."""
    system = os.uname().sysname
    if system == "Darwin":
        return "install Docker Desktop (`brew install --cask docker`) and start it"
    sudo = "" if os.geteuid() == 0 else "sudo "
    if Path("/etc/debian_version").exists():
        join = "" if os.geteuid() == 0 else " && sudo usermod -aG docker $USER && newgrp docker"
        return f"{sudo}{INSTALL}{join}"
    return "install Docker (https://docs.docker.com/engine/install/) and start it"
