"""A container of a lab."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from labkit import host as seen
from labkit.errors import (
    BadValueError,
    ContainerExitedError,
    EngineRefusedError,
    NotFoundError,
)
from labkit.host import Cgroup
from labkit.kernel import CapabilitySets, IdMap
from labkit.lab import labels
from labkit.lab.execution import Output, execute
from labkit.lab.sizes import show_size
from labkit.lab.tarball import pack, unpack_one
from labkit.lab.views import MountTable, NamespaceTable, ProcessTable
from labkit.sdk import translated
from labkit.waiting import wait_until

if TYPE_CHECKING:
    from docker.models.containers import Container as SdkContainer

    from labkit.engine import Engine

T = TypeVar("T")
EXEC_TIMEOUT = 60.0  # seconds
WAIT_TIMEOUT = 30.0
KILLED = 128 + 9  # the exit code of a process that SIGKILL ended
LOG_TAIL = 20  # lines of a dead container's log that its error shows
LISTEN = "0A"  # the state of a listening socket in /proc/net/tcp


class Container:
    """One container. `docker` is the Docker SDK's own object, for all that is not here."""

    def __init__(self, engine: Engine, docker: SdkContainer) -> None:
        self.engine = engine
        self.docker = docker
        self.name = labels.name_of(docker.labels)  # the learner's own
        self._pid = 0

    def __repr__(self) -> str:
        return f"<Container {self.name}>"

    @property
    def id(self) -> str:
        """The container's id, 64 hexadecimal digits."""
        return str(self.docker.id)

    # --- its state -----------------------------------------------------------------------------

    def inspect(self) -> dict[str, Any]:
        """All the engine knows of it, now. Shell: `docker inspect NAME`."""
        with self._doing("inspect"):
            self.docker.reload()
        return dict(self.docker.attrs)

    @property
    def status(self) -> str:
        """created, running, paused, restarting, exited or dead. Shell: `docker ps -a`."""
        return str(self.inspect()["State"]["Status"])

    @property
    def health(self) -> str | None:
        """starting, healthy or unhealthy; None without a health check."""
        health = self.inspect()["State"].get("Health")
        return str(health["Status"]) if health else None

    @property
    def exit_code(self) -> int | None:
        """How its first process ended; None while it runs."""
        state = self.inspect()["State"]
        return None if state["Running"] else int(state["ExitCode"])

    @property
    def pid(self) -> int:
        """Its first process, as the host numbers it. Raises ContainerExitedError.

        Shell: `docker inspect -f '{{.State.Pid}}' NAME`.
        """
        if not self._pid:
            self._pid = int(self.inspect()["State"]["Pid"] or 0)
        if not self._pid:
            raise self._exited("it has no process")
        return self._pid

    # --- what the kernel has of it -------------------------------------------------------------

    def namespaces(self) -> NamespaceTable:
        """The eight namespaces it is in, and with whom it shares each. Shell: `lsns -p PID`."""
        others = {name: pid for name, pid in self._siblings().items() if name != self.name}
        host = self.engine.host
        found = seen.read_namespaces_of(host, [self.pid, host.anchor, *others.values()])
        return NamespaceTable(
            name=self.name,
            own=found[self.pid],
            host=found[host.anchor],
            others={name: found[pid] for name, pid in others.items()},
        )

    def id_maps(self) -> tuple[IdMap, IdMap]:
        """Its user and its group id map. Shell: `cat /proc/PID/uid_map`."""
        return seen.read_id_maps(self.engine.host, self.pid)

    def capabilities(self) -> CapabilitySets:
        """The capability sets of its first process. Shell: `getpcaps PID`."""
        return seen.read_capabilities(self.engine.host, self.pid)

    def mounts(self) -> MountTable:
        """What is mounted in it. Shell: `findmnt --task PID`."""
        return MountTable(name=self.name, mounts=seen.read_mounts(self.engine.host, self.pid))

    def cgroup(self) -> Cgroup:
        """Its control group. Shell: `cat /proc/PID/cgroup`."""
        return Cgroup(self.engine.host, self.pid)

    def processes(self) -> ProcessTable:
        """Its processes, with the pids that it and the host know them by. Shell: `docker top`."""
        host, members = self.engine.host, set(self.cgroup().pids())
        found = seen.read_processes(host)
        return ProcessTable(
            name=self.name, processes=tuple(p for pid, p in sorted(found.items()) if pid in members)
        )

    # --- its life ------------------------------------------------------------------------------

    def start(self) -> Container:
        """Start it, for the first time or again. Shell: `docker start`."""
        with self._doing("start"):
            self.docker.start()
        self._pid = 0
        if self.engine.forwards_ports and self.docker.attrs["HostConfig"].get("PortBindings"):
            # The machine's own process does so as well (engine/vm/publish.py), a moment later.
            for port, bindings in self.inspect()["NetworkSettings"]["Ports"].items():
                if bindings:
                    self.published(port)
        return self

    def stop(self, *, timeout: int = 10) -> Container:
        """TERM, then KILL after `timeout` seconds. Shell: `docker stop -t SECONDS`."""
        with self._doing("stop"):
            self.docker.stop(timeout=timeout)
        self._pid = 0
        return self

    def kill(self, *, signal: str = "KILL") -> Container:
        """Send its first process a signal. Shell: `docker kill -s SIGNAL`."""
        with self._running("kill"):
            self.docker.kill(signal=signal)
        return self

    def restart(self, *, timeout: int = 10) -> Container:
        """Stop it and start it. Shell: `docker restart`."""
        with self._doing("restart"):
            self.docker.restart(timeout=timeout)
        self._pid = 0
        return self

    def pause(self) -> Container:
        """Freeze its processes. Shell: `docker pause`. Source: cgroups(7), freezer."""
        with self._running("pause"):
            self.docker.pause()
        return self

    def unpause(self) -> Container:
        """Let its processes run on. Shell: `docker unpause`."""
        with self._running("unpause"):
            self.docker.unpause()
        return self

    def update(self, **limits: Any) -> Container:
        """Change limits while it runs; names as in the Docker SDK. Shell: `docker update`."""
        with self._doing("update"):
            self.docker.update(**limits)
        return self

    def remove(self) -> None:
        """Kill and remove it, with its anonymous volumes. Shell: `docker rm -fv`."""
        with suppress(NotFoundError), self._doing("remove"):
            self.docker.remove(force=True, v=True)
        self._pid = 0

    # --- talking to it -------------------------------------------------------------------------

    def exec(
        self,
        command: str | Sequence[str],
        *,
        timeout: float = EXEC_TIMEOUT,
        user: str = "",
        workdir: str | None = None,
        env: dict[str, str] | None = None,
    ) -> Output:
        """Run a command in it; after `timeout` seconds it is killed.

        Raises ExecTimeoutError, ContainerExitedError. Shell: `docker exec NAME COMMAND`.
        """
        with self._running(f"run {command!r} in"):
            return execute(
                self.engine.client.api,
                self.id,
                command,
                host=self.engine.host,
                timeout=timeout,
                user=user,
                workdir=workdir,
                env=env,
            )

    def logs(self, *, tail: int | None = None) -> str:
        """What it has printed, stdout and stderr. Shell: `docker logs`."""
        with self._doing("read the logs of"):
            data: bytes = self.docker.logs(tail="all" if tail is None else tail)
        return data.decode(errors="replace")

    def put(self, path: str, content: str | bytes, *, mode: int = 0o644) -> None:
        """Write one file into it, owned by root. Shell: `docker cp - NAME:DIRECTORY`."""
        folder, _, name = path.rpartition("/")
        with self._doing(f"write {path} into"):
            self.docker.put_archive(folder or "/", pack({name: content}, mode=mode).getvalue())

    def get(self, path: str) -> bytes:
        """The content of one file in it. Raises NotFoundError. Shell: `docker cp NAME:PATH -`."""
        with self._doing(f"read {path} from"):
            chunks, _ = self.docker.get_archive(path)
            content = unpack_one(chunks)
        if content is None:
            raise BadValueError(
                f"{path} in {self.name!r} is not a file.",
                seen="a directory, a link or a device",
                do="name a file",
            )
        return content

    # --- waiting for it ------------------------------------------------------------------------

    def wait_until(
        self, predicate: Callable[[], T], *, what: str, timeout: float = WAIT_TIMEOUT
    ) -> T:
        """Wait until `predicate` is true; fail at once if the container ends before.

        Raises WaitTimeoutError, ContainerExitedError.
        """

        def holds_or_ended() -> T:
            value = predicate()
            if not value and self.inspect()["State"]["Status"] in ("exited", "dead"):
                raise self._exited(f"it ended before {what}")
            return value

        return wait_until(
            holds_or_ended,
            timeout=timeout,
            what=f"{what} of {self.name!r}",
            saw=lambda: f"status {self.status}, last log line {self.logs(tail=1).strip()!r}",
        )

    def wait_running(self, *, timeout: float = WAIT_TIMEOUT) -> Container:
        """Wait until it runs."""
        self.wait_until(lambda: self.status == "running", what="the start", timeout=timeout)
        return self

    def wait_healthy(self, *, timeout: float = WAIT_TIMEOUT) -> Container:
        """Wait until its health check passes."""
        if self.health is None:
            raise BadValueError(
                f"The container {self.name!r} has no health check.",
                seen="no State.Health in `docker inspect`",
                do="start it with `healthcheck=`, or wait for a port or a log line",
            )
        self.wait_until(lambda: self.health == "healthy", what="the health", timeout=timeout)
        return self

    def wait_log(self, pattern: str, *, timeout: float = WAIT_TIMEOUT) -> str:
        """Wait until a line of its log matches a regular expression; return that line."""
        line = re.compile(pattern)

        def matching() -> str | None:
            return next((text for text in self.logs().splitlines() if line.search(text)), None)

        found = self.wait_until(matching, what=f"a log line like {pattern!r}", timeout=timeout)
        assert found is not None
        return found

    def wait_port(self, port: int, *, timeout: float = WAIT_TIMEOUT) -> Container:
        """Wait until a process in it listens on a TCP port. Shell: `ss -tln`."""
        self.wait_until(lambda: port in self.listening(), what=f"the port {port}", timeout=timeout)
        return self

    def wait_exit(self, *, timeout: float = WAIT_TIMEOUT) -> int:
        """Wait until it has ended; return its exit code. Shell: `docker wait`."""
        wait_until(
            lambda: self.status in ("exited", "dead"),
            timeout=timeout,
            what=f"the end of {self.name!r}",
            saw=lambda: f"status {self.status}",
        )
        return int(self.docker.attrs["State"]["ExitCode"])

    # --- its network ---------------------------------------------------------------------------

    def listening(self) -> set[int]:
        """The TCP ports on which something in its network namespace listens. Shell: `ss -tln`."""
        paths = [f"/proc/{self.pid}/net/{name}" for name in ("tcp", "tcp6")]
        rows = [
            line.split()
            for text in self.engine.host.read_many(paths).values()
            for line in text.splitlines()[1:]
        ]
        return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == LISTEN}

    def address(self, network: str | None = None) -> str:
        """Its IP address, on one network where it is on several.

        Raises BadValueError where it has none or several.
        """
        settings = self.inspect()["NetworkSettings"]["Networks"] or {}
        mine = labels.engine_name(self.docker.labels[labels.LAB], network or "")
        found = {
            name: end["IPAddress"]
            for name, end in settings.items()
            if end.get("IPAddress") and (network is None or name in (network, mine))
        }
        if len(found) != 1:
            raise BadValueError(
                f"The container {self.name!r} has {len(found)} such addresses.",
                seen=", ".join(f"{name}: {address}" for name, address in found.items()) or "none",
                do="name one of its networks",
            )
        return str(next(iter(found.values())))

    def published(self, port: int | str) -> tuple[str, int]:
        """Where this machine reaches one of its published ports. Shell: `docker port`."""
        key = str(port) if "/" in str(port) else f"{port}/tcp"
        bindings = (self.inspect()["NetworkSettings"]["Ports"] or {}).get(key)
        if not bindings:
            raise BadValueError(
                f"The port {key} of {self.name!r} is not published.",
                seen=", ".join(self.docker.ports) or "no published port",
                do=f"start it with `ports=[{port!r}]`",
            )
        number, protocol = int(bindings[0]["HostPort"]), key.rpartition("/")[2]
        return self.engine.reach(number, protocol, bound_to=bindings[0]["HostIp"])

    def url(self, port: int, *, scheme: str = "http") -> str:
        """The address of a published port, as this machine reaches it."""
        host, number = self.published(port)
        return f"{scheme}://{host}:{number}"

    # --- inside --------------------------------------------------------------------------------

    def _siblings(self) -> dict[str, int]:
        """The running containers of this lab: their pids by name."""
        api = self.engine.client.api
        only = {"label": [f"{labels.LAB}={self.docker.labels[labels.LAB]}"], "status": ["running"]}
        with translated("list the lab's containers"):
            listed = api.containers(filters=only)
            return {
                labels.name_of(item["Labels"]): api.inspect_container(item["Id"])["State"]["Pid"]
                for item in listed
            }

    @contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        with translated(f"{what} container {self.name!r}"):
            yield

    @contextmanager
    def _running(self, what: str) -> Iterator[None]:
        """For what needs a running container: say so when it is not."""
        try:
            with self._doing(what):
                yield
        except EngineRefusedError as err:
            if self.inspect()["State"]["Running"]:
                raise
            raise self._exited(f"cannot {what} it") from err

    def _exited(self, why: str) -> ContainerExitedError:
        state = self.inspect()["State"]
        code, tail = int(state["ExitCode"]), self.logs(tail=LOG_TAIL)
        memory = int(self.docker.attrs["HostConfig"].get("Memory") or 0)
        oom = ""
        if state.get("OOMKilled"):
            oom = ", killed by the kernel for want of memory"
        elif code == KILLED and memory:  # one such death in a hundred escapes Engine 20.10
            oom = f", killed; it may use {show_size(memory)} of memory"
        return ContainerExitedError(
            f"The container {self.name!r} is not running: {why}.",
            exit_code=code,
            logs=tail,
            seen=f"status {state['Status']}, exit code {code}{oom}; its log ends:\n{tail.rstrip()}",
            do="correct its command; a container lives as long as its first process",
        )
