"""The reaper's own end: it serves the labs' sockets until their owner is gone, then sweeps."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Any

from labkit.engine.endpoint import Endpoint
from labkit.lab import registry
from labkit.proxy.policy import Policy
from labkit.proxy.server import LabSocket
from labkit.proxy.upstream import Upstream
from labkit.proxy.world import Identity

MESSAGE = 65536  # bytes that are taken at once
FILES = 8  # descriptors that come with them at most


class Keeper:
    """All labs of one owner."""

    def __init__(
        self, line: socket.socket, endpoint: Endpoint, policy: Policy, *, is_ours: bool
    ) -> None:
        self._line = line
        self._upstream = Upstream(endpoint)
        self._is_ours = is_ours
        self._policy = policy
        self._labs: dict[str, LabSocket | None] = {}
        self._buffer = b""
        self._given: list[int] = []
        self._children: list[subprocess.Popen[bytes]] = []
        self._over = asyncio.Event()

    async def keep(self) -> list[str]:
        """Serve until the owner has gone; return its labs."""
        self._sweep("dead")
        self._line.setblocking(False)
        loop = asyncio.get_running_loop()
        heard: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        loop.add_reader(self._line, self._hear, heard)
        while (message := await heard.get()) is not None:
            await self._take(message)
        loop.remove_reader(self._line)
        for lab, served in self._labs.items():
            if served is not None:
                await served.close()
            registry.forget(lab)
        return list(self._labs)

    def _hear(self, heard: asyncio.Queue[dict[str, Any] | None]) -> None:
        try:
            data, fds, *_ = socket.recv_fds(self._line, MESSAGE, FILES)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        self._given += fds
        if not data:
            heard.put_nowait(None)
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            heard.put_nowait(json.loads(line))

    async def _take(self, message: dict[str, Any]) -> None:
        lab, word = message["lab"], message["word"]
        if word == "open":
            self._labs[lab] = await self._serve(message)
            return
        served = self._labs.pop(lab, None)
        if served is not None:
            await served.close()
        registry.forget(lab)
        if word == "drop":
            self._sweep("lab", lab)

    async def _serve(self, message: dict[str, Any]) -> LabSocket | None:
        if not message["serve"]:
            return None
        identity = Identity(
            message["lab"], message["session"], message["owner"], is_ours=self._is_ours
        )
        served = LabSocket(self._upstream, identity, policy=self._policy)
        await served.serve(socket.socket(fileno=self._given.pop(0)))
        return served

    def _sweep(self, *task: str) -> None:
        self._children = [one for one in self._children if one.poll() is None]
        self._children.append(subprocess.Popen(sweeping(*task), stdin=subprocess.DEVNULL))


def sweeping(*task: str) -> list[str]:
    """The program that sweeps."""
    return [sys.executable, "-m", "labkit.lab.sweeping", *task]


def main() -> None:
    """Its owner's end is the end of standard input."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with suppress(ValueError, OSError):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    endpoint = Endpoint.from_environ()
    assert endpoint is not None
    policy = Policy.parse(sys.argv[1])
    keeper = Keeper(socket.socket(fileno=0), endpoint, policy, is_ours="--ours" in sys.argv)
    labs = asyncio.run(keeper.keep())
    os.execv(sys.executable, sweeping("end", *labs))


if __name__ == "__main__":
    main()
