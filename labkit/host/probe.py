"""A host seen through a helper container, for when the engine is elsewhere, or we are not root."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.errors import HostError
from labkit.host import agent
from labkit.host.host import ANSWER_TIMEOUT, Answer, Host, Request
from labkit.sdk import STDERR, FrameStream, translated

if TYPE_CHECKING:
    import docker

# What it takes to look at every process, enter its namespaces, and signal it; never --privileged.
CAPABILITIES = ("SYS_ADMIN", "SYS_PTRACE", "SYS_CHROOT", "NET_ADMIN", "DAC_READ_SEARCH", "KILL")


class ProbeHost(Host):
    """The agent in one long-lived container, spoken to over the stream attached to it.

    The container ends when the stream closes, however this process ends.
    """

    how = "through a probe container"

    def __init__(self, client: docker.DockerClient, *, image: str, labels: dict[str, str]) -> None:
        from docker.types import LogConfig

        self._lock = threading.Lock()
        api = client.api
        with translated("start the probe container"):
            created = api.create_container(
                image,
                ["python3", "-S", "-u", "-c", Path(agent.__file__).read_text()],
                labels=labels,
                stdin_open=True,  # and, with one attached client, closed when that one goes
                host_config=api.create_host_config(
                    auto_remove=True,
                    pid_mode="host",
                    network_mode="host",
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
            streams = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            self._stream = FrameStream(api.attach_socket(self.container_id, streams))
            api.start(self.container_id)

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        line = json.dumps(list(requests)).encode() + b"\n"
        # Commands have timeouts of their own, which the agent keeps.
        patience = ANSWER_TIMEOUT + sum(request.get("timeout", 0) for request in requests)
        with self._lock, translated("look at the host"):
            self._stream.send(line)
            return list(json.loads(self._read_line(patience)))

    def close(self) -> None:
        self._stream.close()

    def _read_line(self, timeout: float) -> bytes:
        line = b""
        for stream, payload in self._stream.frames(timeout=timeout):
            if stream == STDERR:  # the agent writes there only to die
                raise _ended(payload.decode(errors="replace").strip())
            line += payload
            if line.endswith(b"\n"):
                return line
        raise _ended("its stream is closed")


def _ended(seen: str) -> HostError:
    return HostError(
        "The probe container has ended.",
        seen=seen,
        do="create the lab again; `labkit doctor` tests the engine",
    )
