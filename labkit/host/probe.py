"""A host seen through a helper container, for when the engine is elsewhere, or we are not root."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.errors import ImageNotFoundError, LabError
from labkit.host import agent
from labkit.host.conversation import ANSWER_TIMEOUT
from labkit.host.remote import RemoteHost
from labkit.host.transport import SocketTransport, Transport
from labkit.sdk import STDERR, FrameStream, take_frames, translated

if TYPE_CHECKING:
    import docker

# What it takes to look at every process, enter its namespaces, and signal it; never --privileged.
CAPABILITIES = ("SYS_ADMIN", "SYS_PTRACE", "SYS_CHROOT", "NET_ADMIN", "DAC_READ_SEARCH", "KILL")


class ProbeHost(RemoteHost):
    """The agent in one long-lived container, spoken to over the stream attached to it.

    The container ends when the stream closes, however this process ends. `connect` makes a client
    of the probe's own, and `labels` its labels: a forked child starts another one.
    """

    how = "through a probe container"

    def __init__(
        self,
        connect: Callable[[], docker.DockerClient],
        *,
        image: str,
        labels: Callable[[], dict[str, str]],
        patience: float = ANSWER_TIMEOUT,
    ) -> None:
        self._containers: list[str] = []
        containers = self._containers

        def start() -> Transport:
            probe = _Probe(connect, image, labels())
            containers[:] = [probe.container_id]
            return probe

        super().__init__(start, patience=patience)

    @property
    def container_id(self) -> str:
        """The container's id, of the last one that was started."""
        return self._containers[0]


class _Probe(SocketTransport):
    """A started probe container."""

    def __init__(
        self, connect: Callable[[], docker.DockerClient], image: str, labels: dict[str, str]
    ) -> None:
        with translated("start the probe container"):
            self._client = connect()
        try:
            self._stream = self._run(image, labels)
        except ImageNotFoundError as err:
            self._client.close()
            raise ImageNotFoundError(
                "The engine's host is seen through a container of the `toolbox` image, "
                "which is not there.",
                kind="image",
                name=image,
                seen=err.seen,
                do="labkit images build",
            ) from err
        except BaseException:
            self._client.close()
            raise
        super().__init__(self._stream.socket)
        self._frames = bytearray()
        self._said = bytearray()  # on its standard error: it writes there only to die

    def _run(self, image: str, labels: dict[str, str]) -> FrameStream:
        from docker.types import LogConfig

        api = self._client.api
        with translated("start the probe container", kind="image", name=image):
            created = api.create_container(
                image,
                ["python3", "-S", "-u", "-c", Path(agent.__file__).read_text()],
                labels=labels,
                stdin_open=True,  # and, with one attached client, closed when that one goes
                host_config=api.create_host_config(
                    auto_remove=True,
                    pid_mode="host",
                    network_mode="host",
                    userns_mode="host",  # an engine that remaps users refuses the others without it
                    cgroupns="host",  # else /proc/PID/cgroup is told relative to the probe
                    cap_drop=["ALL"],
                    cap_add=list(CAPABILITIES),
                    security_opt=["seccomp=unconfined", "apparmor=unconfined"],
                    read_only=True,
                    mem_limit="256m",
                    log_config=LogConfig(type="none"),
                ),
            )
            self.container_id: str = created["Id"]
            try:
                streams = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
                stream = FrameStream(api.attach_socket(self.container_id, streams))
                api.start(self.container_id)
            except BaseException:
                self._remove()
                raise
        return stream

    def receive(self) -> bytes | None:
        received = super().receive()
        if not received:
            return received
        self._frames += received
        printed = b""
        for stream, data in take_frames(self._frames):
            if stream == STDERR:
                self._said = (self._said + data)[-4096:]
            else:
                printed += data
        return printed or None

    def last_words(self) -> str:
        said = self._said.decode(errors="replace").strip()
        return f"the probe container {self.container_id[:12]} " + (
            f"ended, and said: {said}" if said else "has gone: its stream is closed"
        )

    def close(self, *, lost: bool = False) -> None:
        self._stream.close()
        if lost:
            self._remove()
        self._client.close()

    def _remove(self) -> None:
        with suppress(LabError), translated("remove the probe container"):
            self._client.api.remove_container(self.container_id, force=True)
