"""The engine, asked by the proxy: whole answers, or answers as they come; idle lines are kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import h11

from labkit.proxy.refusal import Refusal
from labkit.proxy.upstream import Pipe, Upstream

IDLE = 8  # connections that are kept
LARGEST = 64 << 20  # bytes of an answer that is read as a whole
Headers = list[tuple[bytes, bytes]]
Query = Mapping[str, list[str]]
Body = bytes | AsyncIterator[bytes]


@dataclass(frozen=True)
class Reply:
    """A whole answer."""

    status: int
    headers: Headers
    body: bytes

    @property
    def value(self) -> Any:
        """What its JSON says; None if it is empty."""
        return json.loads(self.body) if self.body.strip() else None


class Stream:
    """An answer that comes bit by bit."""

    def __init__(self, line: Line, head: h11.Response) -> None:
        self._line = line
        self.status, self.headers = head.status_code, list(head.headers.raw_items())

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            event = await self._line.next_event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return
            else:
                raise ConnectionError("the engine closed the connection in its answer")


class Line:
    """One connection on which requests and answers take turns."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.conn = h11.Connection(h11.CLIENT)
        self.used = False
        self.refused: Refusal | None = None  # why a request's body was not sent to its end

    async def say(self, event: Any) -> None:
        """Send a part of a request."""
        if data := self.conn.send(event):
            await self.pipe.write(data)

    async def say_all(self, body: bytes) -> None:
        """Send the rest of a request."""
        if body:
            await self.say(h11.Data(data=body))
        await self.say(h11.EndOfMessage())

    async def say_pieces(self, body: AsyncIterator[bytes]) -> None:
        """Send the rest of a request as it comes; who does not read on has answered already."""
        try:
            async for piece in body:
                if piece:
                    with suppress(OSError):
                        await self.say(h11.Data(data=piece))
        except (OSError, h11.ProtocolError, Refusal) as err:
            # The client has gone, or what it sends is refused: who waits for the answer is told.
            self.refused = err if isinstance(err, Refusal) else None
            self.pipe.break_off()
            return
        with suppress(OSError):
            await self.say(h11.EndOfMessage())

    async def next_event(self) -> Any:
        """The next part of the answer."""
        while True:
            event = self.conn.next_event()
            if event is not h11.NEED_DATA:
                if isinstance(event, h11.InformationalResponse) and event.status_code != 101:
                    continue
                return event
            self.conn.receive_data(await self.pipe.read())

    def is_reusable(self) -> bool:
        """Whether another request can follow, for which all is made ready."""
        try:
            self.conn.start_next_cycle()
        except h11.LocalProtocolError:
            return False
        return True


class EngineLines:
    """Asks one engine."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._idle: list[Line] = []

    async def open(self) -> Pipe:
        """A connection of its own. Raises Refusal where the engine does not answer."""
        try:
            return await self._upstream.open()
        except (OSError, TimeoutError) as err:
            said = err or type(err).__name__
            raise Refusal(
                502,
                f"the engine behind this lab's socket does not answer ({said}): "
                "`labkit doctor` says what is there, and `labkit engine start` starts one",
            ) from err

    @asynccontextmanager
    async def stream(
        self, method: str, target: str, headers: Headers, body: Body = b""
    ) -> AsyncIterator[Stream]:
        """Ask, and have the answer as it comes. Raises Refusal, OSError."""
        async with self.begin(method, target, headers, body) as (line, head):
            if not isinstance(head, h11.Response):
                raise Refusal(502, "the engine wants to speak another protocol")
            yield Stream(line, head)

    @asynccontextmanager
    async def begin(
        self, method: str, target: str, headers: Headers, body: Body = b""
    ) -> AsyncIterator[tuple[Line, h11.Response | h11.InformationalResponse]]:
        """A line, and the head of its answer; a 101 too. Raises Refusal, OSError."""
        line, head, sending = await self._begin(method, target, headers, body)
        done = False
        try:
            yield line, head
            done = line.conn.their_state is h11.DONE
        finally:
            if sending is not None:
                sending.cancel()
            if done and len(self._idle) < IDLE and line.is_reusable():
                self._idle.append(line)
            else:
                line.pipe.close()

    async def call(
        self, method: str, target: str, headers: Headers | None = None, body: bytes = b""
    ) -> Reply:
        """Ask, and have the whole answer. Raises Refusal, OSError."""
        async with self.stream(method, target, headers or [], body) as stream:
            parts, size = [], 0
            async for data in stream:
                parts.append(data)
                size += len(data)
                if size > LARGEST:
                    raise Refusal(502, f"the engine's answer has more than {LARGEST} bytes")
            return Reply(stream.status, stream.headers, b"".join(parts))

    async def json(
        self, method: str, path: str, query: Query | None = None, body: Any = None
    ) -> tuple[int, Any]:
        """Ask for our own sake: the status, and what the answer says. Raises Refusal, OSError."""
        sent = b"" if body is None else json.dumps(body).encode()
        headers = [(b"Content-Type", b"application/json")] if sent else []
        reply = await self.call(method, target(path, query or {}), headers, sent)
        try:
            return reply.status, reply.value
        except ValueError:
            return reply.status, {"message": reply.body.decode(errors="replace")}

    def close(self) -> None:
        """Let go of the idle connections."""
        while self._idle:
            self._idle.pop().pipe.close()

    async def _begin(
        self, method: str, target: str, headers: Headers, body: Body
    ) -> tuple[Line, h11.Response | h11.InformationalResponse, asyncio.Task[None] | None]:
        whole = isinstance(body, bytes)
        framing = (
            (b"Content-Length", b"%d" % len(body))
            if isinstance(body, bytes)
            else (b"Transfer-Encoding", b"chunked")
        )
        sent = h11.Request(
            method=method, target=target, headers=[(b"Host", b"docker"), *headers, framing]
        )
        while True:
            # An idle line may have been closed meanwhile, and a body is read once.
            line = self._idle.pop() if self._idle and whole else Line(await self.open())
            fresh, line.used = not line.used, True
            sending: asyncio.Task[None] | None = None
            try:
                await line.say(sent)
                if isinstance(body, bytes):
                    await line.say_all(body)
                else:
                    sending = asyncio.create_task(line.say_pieces(body))
                head = await line.next_event()
                if isinstance(head, h11.Response | h11.InformationalResponse):
                    return line, head, sending
                raise ConnectionError("the engine closed the connection")
            except (OSError, h11.RemoteProtocolError) as err:
                _end(line, sending)
                if line.refused is not None:
                    raise line.refused from err
                if fresh:
                    raise Refusal(502, f"the engine has gone: {err}") from err
            except BaseException:
                _end(line, sending)
                raise


def _end(line: Line, sending: asyncio.Task[None] | None) -> None:
    if sending is not None:
        sending.cancel()
    line.pipe.close()


def target(path: str, query: Query) -> str:
    """The target of a request."""
    said = urlencode([(name, one) for name, many in query.items() for one in many])
    return quote(path, safe="/:@+,=~!$&'()*;") + (f"?{said}" if said else "")
