"""The stream on which an engine sends a program's stdout and stderr, frame by frame."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedReader
from typing import Any

STDOUT, STDERR = 1, 2
HEADER = 8  # bytes: which stream, three of nothing, and the length of what follows


def take_frames(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """(STDOUT or STDERR, bytes) of each frame that is whole, taken out of what has come.

    Source: Docker API, "Attach to a container", stream format.
    """
    while len(buffer) >= HEADER:
        end = HEADER + int.from_bytes(buffer[4:HEADER], "big")
        if len(buffer) < end:
            return
        frame = buffer[0], bytes(buffer[HEADER:end])
        del buffer[:end]
        yield frame


class FrameStream:
    """A connection that the engine has handed over to one container's streams."""

    def __init__(self, stream: Any) -> None:
        # For a Unix socket or TCP the SDK wraps the socket; for TLS it is the socket itself.
        self.socket: socket.socket = getattr(stream, "_sock", stream)
        self._response = stream._response
        # Not the socket: what came right behind the response's header is in this buffer already.
        self._reader: BufferedReader = self._response.raw._fp.fp
        self._buffer = bytearray()

    def send(self, data: bytes) -> None:
        """Write to the program's stdin."""
        self.socket.sendall(data)

    def frames(self, *, timeout: float) -> Iterator[tuple[int, bytes]]:
        """(STDOUT or STDERR, bytes) until the stream ends; TimeoutError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            yield from take_frames(self._buffer)
            left = deadline - time.monotonic()
            self.socket.settimeout(None if left == math.inf else max(left, 0.001))
            received = self._reader.read1(1 << 20)
            if not received:
                return
            self._buffer += received

    def close(self) -> None:
        """Let go of the connection; the engine closes the program's stdin."""
        # The response first: it would flush a stream that is closed under it, and complain.
        for closing in (self._response, self._reader, self.socket):
            with suppress(OSError, ValueError):
                closing.close()
