"""The way to an agent: bytes there and back, without ever waiting."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import Protocol

BLOCK = 1 << 16
NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Transport(Protocol):
    """A connection whose other end is an agent's standard input and output."""

    def fileno(self) -> int:
        """What to wait on with select(2)."""

    def send(self, data: bytes | bytearray) -> int:
        """Send what can be sent now; say how many bytes. Raises OSError."""

    def receive(self) -> bytes | None:
        """What has come from the agent; None for nothing, b"" at the end. Raises OSError."""

    def last_words(self) -> str:
        """Why it ended, as far as can be told."""

    def close(self, *, lost: bool = False) -> None:
        """Let go of it; `lost`: the agent may still be there, and must not be."""


class SocketTransport:
    """A socket, TLS or not, that is connected to an agent; one thread may use it."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._socket.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, data: bytes | bytearray) -> int:
        try:
            return self._socket.send(data)
        except NOT_NOW:
            return 0

    def receive(self) -> bytes | None:
        received = b""
        while True:
            try:
                part = self._socket.recv(BLOCK)
            except NOT_NOW:
                return received or None
            received += part
            # What TLS has decrypted already, no select would tell of.
            if not part or not (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()):
                return received

    def last_words(self) -> str:
        return "its connection is closed"

    def close(self, *, lost: bool = False) -> None:
        with suppress(OSError):
            self._socket.close()
