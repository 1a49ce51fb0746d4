"""A container of a lab."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from labkit import inspect, kernel
from labkit.errors import (
    BadValueError,
    EngineGoneError,
    EngineRefusedError,
    LabError,
    NoRoomError,
    NotFoundError,
)
from labkit.inspect.condition import KILLED, started_at
from labkit.lab.execution import Output, execute
from labkit.sdk import pack, unpack_one
from labkit.sizes import parse_size
from labkit.waiting import wait_until

if TYPE_CHECKING:
    from docker.models.containers import Container as SdkContainer

    from labkit.engine import Engine
    from labkit.lab.lab import Lab

T = TypeVar("T")
EXEC_TIMEOUT = 60.0  # seconds
WAIT_TIMEOUT = 30.0


class Container(inspect.Container):
    """One container of a lab: all that can be seen of it, and its life.

    `docker` is the Docker SDK's own object, for all that is not here.
    """

    def __init__(self, lab: Lab, docker: SdkContainer) -> None:
        super().__init__(lab.engine, str(docker.id), docker.labels, on_engine=str(docker.name))
        self.engine: Engine = lab.engine
        self.lab = lab  # which lives as long as one of its containers is held
        self.docker = docker

    def inspect(self) -> dict[str, Any]:
        """All the engine knows of it, now. Shell: `docker inspect NAME`."""
        with self._doing("inspect"):
            self.docker.reload()
        return dict(self.docker.attrs)

    # --- its life ------------------------------------------------------------------------------

    def start(self) -> Container:
        """Start it, for the first time or again. Raises NoRoomError. Shell: `docker start`."""
        self.engine.need_room()
        with self._doing("start"):
            self.docker.start()
        return self

    def stop(self, *, timeout: int = 10) -> Container:
        """TERM, then KILL after `timeout` seconds. Shell: `docker stop -t SECONDS`."""
        with self._doing("stop"):
            self.docker.stop(timeout=timeout)
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

    def set_limit(self, name: str, value: int | str) -> Container:
        """Write into a file of its control group, by the name that v2 has for it: "memory.max".

        `value` as the kernel takes it, sizes also as "48m"; on v1 it goes to the file of the
        same meaning. The engine is not told: what it says of the container stays as it was.
        Raises BadValueError where there is no such file here, or the kernel refuses the value.
        Shell: `echo VALUE >/sys/fs/cgroup/.../memory.max`. Source: cgroups(7).
        """
        if name.startswith("memory.") and value != "max":
            value = parse_size(value)
        group, host = self.cgroup(), self.engine.host
        controller = {"io": "blkio", "cgroup": "freezer"}.get(name.partition(".")[0], "memory")
        for file, text in kernel.to_write(name, value, v2=group.is_v2(controller)).items():
            # By the host's own mount: a container has its control groups read-only.
            path = f"/proc/{host.anchor}/root{group.path_of(file)}"
            wrote = host.run(["tee", path], stdin=text)
            if wrote.exit_code:
                raise BadValueError(
                    f"The kernel does not take {text!r} for {file} of {self.name!r}.",
                    value=value,
                    seen=wrote.stderr.strip().rpartition(": ")[2],
                    do="take another value; memory that is in use is taken back only as far as "
                    "it can be, and on v1 memory and swap together are no less than memory alone",
                )
        return self

    def remove(self) -> None:
        """Kill and remove it, with its anonymous volumes. Shell: `docker rm -fv`."""
        with suppress(NotFoundError), self._doing("remove"):
            self.docker.remove(force=True, v=True)

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
        """Run a command in it; after `timeout` seconds, or an interrupt, it is killed.

        Raises ExecTimeoutError, ContainerExitedError, and NoRoomError where the engine's machine
        has run out of memory. Shell: `docker exec NAME COMMAND`.
        """
        began = time.monotonic()
        with self._running(f"run {command!r} in"):
            done = execute(
                self.engine.client.api,
                self.id,
                command,
                host=lambda: self.engine.host,
                timeout=timeout,
                user=user,
                workdir=workdir,
                env=env,
            )
        if full := self._was_full(done.exit_code, since=began):
            raise full
        return done

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
                value=path,
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
                value=self.name,
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
        """Wait until it has ended; return its exit code. Shell: `docker wait`.

        Raises WaitTimeoutError, and NoRoomError where the engine's machine has run out of memory.
        """
        wait_until(
            lambda: self.status in ("exited", "dead"),
            timeout=timeout,
            what=f"the end of {self.name!r}",
            saw=lambda: f"status {self.status}",
        )
        if full := self._was_full_at_its_end(state := self.docker.attrs["State"]):
            raise full
        return int(state["ExitCode"])

    # --- its network ---------------------------------------------------------------------------

    def published(self, port: int | str) -> tuple[str, int]:
        """Where this machine reaches one of its published ports. Shell: `docker port`."""
        key = str(port) if "/" in str(port) else f"{port}/tcp"
        bindings = (self.inspect()["NetworkSettings"]["Ports"] or {}).get(key)
        if not bindings:
            raise BadValueError(
                f"The port {key} of {self.name!r} is not published.",
                value=port,
                seen=", ".join(self.docker.ports) or "no published port",
                do=f"start it with `ports=[{port!r}]`",
            )
        number, protocol = int(bindings[0]["HostPort"]), key.rpartition("/")[2]
        return self.engine.reach(number, protocol, bound_to=bindings[0]["HostIp"])

    def url(self, port: int, *, scheme: str = "http") -> str:
        """The address of a published port, as this machine reaches it."""
        host, number = self.published(port)
        host = f"[{host}]" if ":" in host else host  # IPv6
        return f"{scheme}://{host}:{number}"

    # --- inside --------------------------------------------------------------------------------

    @contextmanager
    def _running(self, what: str) -> Iterator[None]:
        """For what needs a running container: say so when it is not."""
        try:
            with self._doing(what):
                yield
        except (EngineRefusedError, NotFoundError) as err:  # with it, its execs are gone
            if self.inspect()["State"]["Running"]:
                raise
            raise self._exited(f"cannot {what} it") from err

    @contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        """The engine's errors as ours; of an engine that was killed under it, why."""
        began = time.monotonic()
        try:
            with super()._doing(what):
                yield
        except EngineGoneError as err:
            if full := self.engine.was_full(since=began):
                raise full from err
            raise

    def _exited(self, why: str) -> LabError:
        return self._was_full_at_its_end(self.inspect()["State"]) or super()._exited(why)

    def _was_full_at_its_end(self, state: dict[str, Any]) -> NoRoomError | None:
        age = time.time() - (started_at(state) or 0.0)
        return self._was_full(int(state["ExitCode"]), since=time.monotonic() - age)

    def _was_full(self, code: int, *, since: float) -> NoRoomError | None:
        """What to tell where what ended with this code did so for want of memory on its machine."""
        return self.engine.was_full(since=since, container=self.id) if code == KILLED else None
