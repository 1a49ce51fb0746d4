"""The link to an agent while there is one: messages out, messages in, and the end of it."""

from __future__ import annotations

import json
import selectors
from collections.abc import Callable, Iterator
from typing import Any

from labkit.errors import HostError, LabError
from labkit.host.transport import Transport

AGAIN = "ask again: it is started anew; `labkit doctor` tests the engine"


class LostError(Exception):
    """The agent has gone, and why."""


class Link:
    """One connection at a time; one thread may use it, which waits at `ready` for what comes."""

    def __init__(self, start: Callable[[], Transport], ready: selectors.BaseSelector) -> None:
        self.transport: Transport | None = None
        self._start = start
        self._ready = ready
        self._events = 0
        self._out, self._in = bytearray(), bytearray()
        self._searched = 0  # so far there is no end of a line in what has come

    def open(self) -> bool:
        """Start the agent if there is none; whether that was so. Raises LabError."""
        if self.transport is not None:
            return False
        try:
            transport = self._start()
        except LabError:
            raise
        except Exception as err:
            raise HostError("The host's agent cannot be started.", seen=str(err), do=AGAIN) from err
        self._events = selectors.EVENT_READ
        self._ready.register(transport.fileno(), self._events)
        self.transport = transport
        return True

    def put(self, line: bytes) -> None:
        """Have a line sent by the next `flush`."""
        self._out += line

    def flush(self) -> None:
        """Send what can be sent now; the selector tells when there is room for the rest."""
        if self.transport is None:
            return
        try:
            while self._out and (sent := self.transport.send(self._out)):
                del self._out[:sent]
        except OSError as err:
            raise LostError(str(err)) from err
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0)
        if events != self._events:
            self._ready.modify(self.transport.fileno(), events)
            self._events = events

    def messages(self) -> Iterator[dict[str, Any]]:
        """What has come from the agent, whole messages only."""
        if self.transport is None:
            return
        try:
            data = self.transport.receive()
        except OSError as err:
            raise LostError(str(err)) from err
        if data == b"":
            raise LostError(self.transport.last_words())
        self._in += data or b""
        while (end := self._in.find(b"\n", self._searched)) >= 0:
            line = self._in[:end]
            del self._in[: end + 1]
            self._searched = 0
            try:
                message = json.loads(line)
                message["id"]
            except (ValueError, LookupError, TypeError) as err:
                raise LostError(f"what came was no answer: {bytes(line[:200])!r}") from err
            yield message
        self._searched = len(self._in)

    def close(self, *, lost: bool = False) -> None:
        """Let go of the connection; `lost`: the agent may still be there, and must not be."""
        transport, self.transport = self.transport, None
        if transport is not None:
            self._ready.unregister(transport.fileno())
            transport.close(lost=lost)
        self._out.clear()
        self._in.clear()
        self._searched = 0
