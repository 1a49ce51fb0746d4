"""An engine in use: its address, its client, what it can do, and the host behind it."""

from __future__ import annotations

import os
import socket
import struct
import weakref
from collections.abc import Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.engine import discovery, publishing, tools
from labkit.engine.discovery import Attempt
from labkit.engine.endpoint import Endpoint
from labkit.engine.facts import EngineFacts, read_facts
from labkit.errors import EngineTimeoutError, LabError, NoRoomError
from labkit.host import Host, LocalHost, ProbeHost
from labkit.sdk import translated
from labkit.table import Table, Tabular

if TYPE_CHECKING:
    import docker

PROBE_IMAGE = "labkit/toolbox"


_MEANING = {
    "docker": "one that was already running",
    "private": "one of labkit's own; to end it: labkit engine stop",
    "vm": "in a micro-VM of labkit's own; to end it: labkit engine stop",
}


_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def _forget_connections_in_a_fork() -> None:
    """Two processes on one connection would take each other's answers, and break its TLS."""
    for engine in _engines:
        for client in engine._clients.values():
            client.api.close()  # which keeps the client: it connects anew


os.register_at_fork(after_in_child=_forget_connections_in_a_fork)


class Engine(Tabular):
    """A Docker-compatible engine that answers."""

    def __init__(self, kind: str, endpoint: Endpoint, *, tried: Sequence[Attempt] = ()) -> None:
        self.kind = kind  # "docker", "private" or "vm"
        self.endpoint = endpoint
        self.tried = tuple(tried)  # what was tried before it
        self._published_at: str | None = None
        self._clients: dict[float | None, docker.DockerClient] = {}
        _engines.add(self)

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

    @property
    def client(self) -> docker.DockerClient:
        """The Docker SDK's client, for whatever labkit does not do."""
        with translated("connect"):
            return self._client(None)

    def patient(self, timeout: float) -> docker.DockerClient:
        """A client that waits so many seconds for an answer and no longer."""
        return self._client(timeout)

    def _client(self, timeout: float | None) -> docker.DockerClient:
        if timeout not in self._clients:
            options = {} if timeout is None else {"timeout": timeout}
            self._clients[timeout] = self.endpoint.client(**options)
        return self._clients[timeout]

    def answers(self) -> bool:
        """Whether the engine is there now; over a connection that is kept, since it is asked often.

        Raises EngineTimeoutError if it is there and silent. Shell: `docker version`.
        """

        def ask(timeout: float) -> None:
            if timeout == discovery.PING_TIMEOUT:
                self.patient(timeout).ping()
            else:
                with closing(self.endpoint.client(timeout=timeout)) as patient:
                    patient.ping()

        do = f"{discovery.RESTART}, or {discovery.CHOOSE}"
        if self.kind != "docker":
            do = "`labkit engine stop`, then start it again"
        try:
            discovery.await_answer(f"the engine at {self.endpoint.url}", ask, do=do)
        except EngineTimeoutError:
            raise
        except LabError:
            return False
        return True

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
        if daemon is None:
            return self.probe()
        return LocalHost(anchor=daemon, renew=self.local_daemon)

    @property
    def sight(self) -> str:
        """How the host is seen, told without looking: a probe needs an image."""
        return ProbeHost.how if self._daemon is None else LocalHost.how

    @property
    def _daemon(self) -> int | None:
        return None if os.environ.get("LABKIT_HOST") == "probe" else self.local_daemon()

    def probe(self) -> ProbeHost:
        """A new probe container on this engine. Raises ImageNotFoundError, HostError."""
        from labkit import labels
        from labkit.owner import this_process

        return ProbeHost(
            self.endpoint.client,
            image=PROBE_IMAGE,
            labels=lambda: {labels.PROBE: "1", labels.OWNER: this_process()},
        )

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

    def environ(self) -> dict[str, str]:
        """The environment in which `docker`, Compose and buildx are there, and talk to this engine.

        Whatever this machine has not, and labkit has, is added: see `tools`.
        """
        return {**tools.environ(), **self.endpoint.environ()}

    @property
    def publish_address(self) -> str:
        """Where ports are published: on loopback; on a distant engine, where we reach it.

        Whoever reaches a distant engine at that address reaches the port as well.
        """
        if self._published_at is None:
            self._published_at = publishing.address_for(self.endpoint)
        return self._published_at

    def must_publish_everywhere(self, err: LabError) -> bool:
        """Whether `err` says that the engine has not the address at which we reach it.

        Then it is behind another's address, and from now on publishes on all of its own.
        """
        if publishing.CANNOT_BIND not in err.seen or not publishing.is_distant(
            self.publish_address
        ):
            return False
        publishing.warn(self.endpoint, self.publish_address)
        self._published_at = publishing.EVERYWHERE
        return True

    def reach(self, port: int, protocol: str = "tcp", *, bound_to: str = "") -> tuple[str, int]:
        """The address and port at which this machine reaches a published port of the engine's.

        `bound_to` is the engine's address that it is published at.
        """
        return publishing.reached_at(self.endpoint, bound_to), port

    def need_room(self) -> None:
        """Raise NoRoomError where one more container would be too much for the engine's machine.

        A machine of somebody else's is theirs to watch.
        """

    def was_full(self, *, since: float, container: str = "") -> NoRoomError | None:
        """Return what to tell where the engine's machine has run out of memory.

        That is: where its kernel has killed something of this container's for it, or of the
        engine's own, since a moment of `time.monotonic`. None where nothing of the kind is known.
        """
        return None

    def room(self) -> int | None:
        """How many more containers fit; None where that is not ours to say."""
        return None

    def close(self) -> None:
        """Let go of the clients and of the probe, if there are any; the engine goes on."""
        if "host" in self.__dict__:
            self.__dict__.pop("host").close()
        while self._clients:
            self._clients.popitem()[1].close()
