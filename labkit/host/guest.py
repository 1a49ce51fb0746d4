"""A host that is a guest of ours: the agent runs in it, and answers over a connection."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from labkit.errors import HostError
from labkit.host import agent
from labkit.host.host import ANSWER_TIMEOUT, Answer, Host, Request
from labkit.sdk import translated


class GuestHost(Host):
    """The agent in a virtual machine; `start` runs a program there, connected to its stdin."""

    how = "by an agent in the micro-VM"

    def __init__(self, start: Callable[[str], socket.socket]) -> None:
        self._lock = threading.Lock()
        self._socket = start(Path(agent.__file__).read_text())
        self._buffer = bytearray()

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        line = json.dumps(list(requests)).encode() + b"\n"
        with self._lock, translated("look at the host"):
            # Commands have timeouts of their own, which the agent keeps.
            self._socket.settimeout(ANSWER_TIMEOUT + sum(r.get("timeout", 0) for r in requests))
            self._socket.sendall(line)
            return list(json.loads(self._read_line()))

    def close(self) -> None:
        with suppress(OSError):
            self._socket.close()

    def _read_line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            received = self._socket.recv(1 << 20)
            if not received:
                raise HostError(
                    "The agent in the micro-VM has ended.",
                    seen="its connection is closed",
                    do="create the lab again; `labkit doctor` tests the engine",
                )
            self._buffer += received
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        return line
