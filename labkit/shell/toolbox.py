"""The host's shell: one long-lived container of the image `toolbox` in the host's namespaces."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import Any

from labkit import labels
from labkit.engine import Endpoint, Engine
from labkit.errors import LabError, NotFoundError
from labkit.owner import this_process
from labkit.sdk import FrameStream, translated

IMAGE = "labkit/toolbox"
# Beyond what any container has: to enter and make namespaces, to look into all processes, to change
# the network. By name: where the machine lacks one more, it is not missed.
CAPABILITIES = (
    "SYS_ADMIN", "SYS_PTRACE", "SYS_CHROOT", "NET_ADMIN", "NET_RAW", "DAC_READ_SEARCH", "SYS_NICE",
    "SYSLOG",
)  # fmt: skip

_started: dict[tuple[int, Endpoint], Toolbox] = {}
_lock = threading.Lock()


def toolbox_of(engine: Engine) -> str:
    """The id of this process's container on an engine, started if there is none.

    Raises ImageNotFoundError, EngineError. Shell: `docker run --pid host --network host ...`.
    """
    key = os.getpid(), engine.endpoint
    with _lock:
        there = _started.get(key)
        if there is None or not there.runs():
            _started[key] = there = Toolbox(engine)
        return there.id


class Toolbox:
    """It ends when the stream attached to it closes: when this process ends, however it ends."""

    def __init__(self, engine: Engine) -> None:
        self._api: Any = engine.endpoint.client().api  # its own: the stream is held for good
        with translated("start the host's shell", kind="image", name=IMAGE):
            self.id: str = self._api.create_container(
                IMAGE,
                ["cat"],
                labels={labels.PROBE: "1", labels.OWNER: this_process()},
                stdin_open=True,
                host_config=self._api.create_host_config(
                    auto_remove=True,
                    init=True,  # what a cell leaves behind is reaped
                    pid_mode="host",
                    network_mode="host",
                    ipc_mode="host",
                    uts_mode="host",
                    userns_mode="host",
                    cgroupns="host",
                    cap_add=list(CAPABILITIES),
                    security_opt=["seccomp=unconfined", "apparmor=unconfined"],
                ),
            )["Id"]
            try:
                self._stream = FrameStream(
                    self._api.attach_socket(self.id, {"stdin": 1, "stream": 1})
                )
                self._api.start(self.id)
            except BaseException:
                with suppress(LabError), translated("remove the host's shell"):
                    self._api.remove_container(self.id, force=True)
                raise

    def runs(self) -> bool:
        """Whether it is there; somebody may have removed it, or the engine was started again."""
        try:
            with translated("look at the host's shell"):
                return bool(self._api.inspect_container(self.id)["State"]["Running"])
        except NotFoundError:
            return False
