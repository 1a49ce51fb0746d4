"""The lab's socket itself: takes requests, has each planned, and tells the answers."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from http import HTTPStatus
from typing import Any

import h11

from labkit.proxy.engine import EngineLines, Headers, Stream
from labkit.proxy.exchange import Ask, Call, Change, Plan, Raw, Streamed, Told
from labkit.proxy.lent import take_back
from labkit.proxy.policy import Policy
from labkit.proxy.recorder import PLACE, Exchange, Recorder, purpose
from labkit.proxy.refusal import Refusal
from labkit.proxy.routes import plan, read_target
from labkit.proxy.upstream import Pipe, PlainPipe, Upstream
from labkit.proxy.world import Identity, World

HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade", b"host", b"expect"}
FRAMING = {b"content-length", b"transfer-encoding"}
STREAMS = (b"raw-stream", b"multiplexed-stream")
FULL = 0.1  # seconds in which a connection may have ended
REST = 1 << 30  # bytes of a refused request's body that are read: many clients hear only then


class LabSocket:
    """Serves one lab."""

    def __init__(self, upstream: Upstream, identity: Identity, *, policy: Policy) -> None:
        self.engine = EngineLines(upstream)
        self.world = World(identity, self.engine)
        self._policy = policy
        self._recorder = Recorder()
        self._taking: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, listening: socket.socket) -> None:
        """Take connections from now on."""
        self._taking = asyncio.create_task(self._take(listening))

    async def close(self) -> None:
        """Take no more, and end those that are there."""
        if self._taking is not None:
            self._taking.cancel()
        for task in self._tasks:
            task.cancel()
        with suppress(Refusal, OSError):  # the engine has gone
            await self.world.remove_loose()
        self.engine.close()

    async def _take(self, listening: socket.socket) -> None:
        listening.setblocking(False)
        with listening:
            with suppress(Refusal, OSError, h11.ProtocolError):  # there is no engine now
                await take_back(self.world)
            while True:
                try:
                    connected, _ = await asyncio.get_running_loop().sock_accept(listening)
                except OSError:  # there are too many: some will end
                    await asyncio.sleep(FULL)
                    continue
                task = asyncio.create_task(self._connection(connected))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _connection(self, connected: socket.socket) -> None:
        pipe = PlainPipe(connected)
        client = _Client(pipe)
        try:
            while await self._turn(client):
                pass
        except (OSError, h11.ProtocolError, asyncio.CancelledError):
            pass  # it has gone, or the lab has
        finally:
            pipe.close()

    async def _turn(self, client: _Client) -> bool:
        """One request; whether another may follow on this connection."""
        request = await client.request()
        if request is None:
            return False
        method, target = request.method.decode().upper(), request.target.decode("latin-1")
        if target.startswith(PLACE):  # is no part of it
            after = int(target.rpartition("=")[2]) if re.fullmatch(r".*=\d{1,9}", target) else 0
            return await client.tell(Told(200, self._recorder.after(after)), None)
        record = self._recorder.begin(method, target.partition("?")[0])
        began = time.monotonic()
        try:
            return await self._answer(client, request, method, record)
        except Refusal as err:
            return await client.tell(Told(err.status, {"message": err.message}), record)
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as err:
            # A body of another shape than Docker's; or what we did not think of.
            said = f"labkit's socket cannot read this request: {type(err).__name__}: {err}"
            return await client.tell(Told(400, {"message": said}), record)
        finally:
            record.seconds = time.monotonic() - began

    async def _answer(
        self, client: _Client, request: h11.Request, method: str, record: Exchange
    ) -> bool:
        version, path, query = read_target(request.target.decode("latin-1"))
        record.path = path
        record.purpose = purpose(method, path)
        headers = [
            (k, v)
            for k, v in request.headers.raw_items()
            if k.lower() not in HOP and not _is_form(k, v)
        ]
        ask = Ask(method, version, path, query, headers, client.body(record))
        await self._judge(ask)  # before anything is done for it
        planned: Plan = await plan(ask, self.world, self._policy)
        if isinstance(planned, Told):
            return await client.tell(planned, record)
        await self._judge(planned.ask)  # what goes on, its names resolved
        if isinstance(planned, Call):
            return await self._call(client, planned, record)
        if isinstance(planned, Streamed):
            async with planned.around or _nothing():
                return await self._stream(client, planned, record)
        if planned.hijack:
            async with planned.around or _nothing():
                return await self._hijack(client, planned, request, record)
        return await self._pass(client, planned, record)

    async def _judge(self, ask: Ask) -> None:
        """Raises Refusal where the policy does not allow it."""
        said: dict[str, Any] = {}
        if self._policy.reads(ask.method, ask.path) and (said := await ask.json()):
            ask.put(said)  # what is judged is what goes on: of a field that is there twice, too
        if why := self._policy.why_not(ask.method, ask.path, said, ask.query):
            raise Refusal(403, why)

    # --- the ways of answering -----------------------------------------------------------------

    async def _call(self, client: _Client, planned: Call, record: Exchange) -> bool:
        ask = planned.ask
        body = await ask.body()
        reply = await self.engine.call(ask.method, ask.target, _own(ask.headers), body)
        value: Any = None
        with suppress(ValueError):
            value = reply.value
        if planned.after is not None:
            await planned.after(reply.status, value)
        if value is None:
            said = reply.body
            if reply.status >= 400:
                said = self.world.names.words(said.decode(errors="replace")).encode()
        else:
            said = self._told(reply.status, value, planned)
        length = [] if ask.method == "HEAD" else [(b"Content-Length", b"%d" % len(said))]
        kept = [(k, v) for k, v in reply.headers if k.lower() not in FRAMING | HOP]
        if ask.method == "HEAD":
            kept = [(k, v) for k, v in reply.headers if k.lower() not in HOP]
        return await client.send(reply.status, [*kept, *length], said, record)

    def _told(self, status: int, value: Any, planned: Call) -> bytes:
        if status >= 400 and isinstance(value, dict) and "message" in value:
            value = {**value, "message": self.world.names.words(str(value["message"]))}
        elif planned.shape is not None and status < 300:
            value = planned.shape(value)
        return json.dumps(self.world.names.told(value)).encode() + b"\n"

    async def _stream(self, client: _Client, planned: Streamed, record: Exchange) -> bool:
        ask = planned.ask
        if planned.upload is None:
            body: Any = await ask.body()
        else:
            body = _changed(ask.pieces, planned.upload)
        async with self.engine.stream(ask.method, ask.target, _own(ask.headers), body) as stream:
            bytes_as_told: Change | None = planned.answer
            if stream.status >= 400:
                bytes_as_told = _Lines(None, self.world)
            elif bytes_as_told is None:
                bytes_as_told = _Lines(planned.shape, self.world)
            watching = client.watch() if planned.upload is None else None
            try:
                await client.relay(stream, bytes_as_told, record, watching)
            finally:
                if watching is not None:
                    await _ended(watching)
        if planned.after is not None:
            await planned.after()
        return await client.is_reusable()

    async def _hijack(
        self, client: _Client, planned: Raw, request: h11.Request, record: Exchange
    ) -> bool:
        """An upgrade, if the engine agrees; else an answer like any other."""
        ask = planned.ask
        upgrade = [
            (k, v)
            for k, v in request.headers.raw_items()
            if k.lower() in (b"connection", b"upgrade")
        ]
        headers = _own(ask.headers) + upgrade
        body = await ask.body()
        async with self.engine.begin(ask.method, ask.target, headers, body) as (line, head):
            found = list(head.headers.raw_items())
            record.status = head.status_code
            kinds = {k.lower(): v for k, v in found}
            is_stream = head.status_code == 101 or (
                head.status_code == 200
                and not FRAMING & kinds.keys()
                and any(one in kinds.get(b"content-type", b"") for one in STREAMS)
            )
            if not is_stream:
                assert isinstance(head, h11.Response)
                await client.relay(Stream(line, head), _Lines(None, self.world), record, None)
                return await client.is_reusable()
            await client.pipe.write(_head(head.status_code, found))
            await _join(
                client.pipe,
                line.pipe,
                record,
                early=client.trailing(),
                late=bytes(line.conn.trailing_data[0]),
                outgoing=planned.outgoing,
            )
        return False

    async def _pass(self, client: _Client, planned: Raw, record: Exchange) -> bool:
        """Bytes, unread; one connection each, so that nothing can follow it past us."""
        ask = planned.ask
        headers = [*ask.headers, (b"Host", b"docker"), (b"Connection", b"close")]
        if client.waits_to_continue():
            headers.append((b"Expect", b"100-continue"))
        head = f"{ask.method} {ask.target} HTTP/1.1\r\n".encode()
        lines = b"".join(k + b": " + v + b"\r\n" for k, v in headers)
        upstream = await self.engine.open()
        try:
            await upstream.write(head + lines + b"\r\n")
            await _join(client.pipe, upstream, record, early=client.trailing())
        finally:
            upstream.close()
        return False


def _is_form(header: bytes, value: bytes) -> bool:
    """Whether it says that the body is a form, whose values the engine takes before the query's."""
    return header.lower() == b"content-type" and b"form" in value.lower()


def _own(headers: Headers) -> Headers:
    return [(k, v) for k, v in headers if k.lower() not in FRAMING]


def _head(status: int, headers: Headers) -> bytes:
    phrase = HTTPStatus(status).phrase if status != 101 else "UPGRADED"
    lines = b"".join(k + b": " + v + b"\r\n" for k, v in headers)
    return f"HTTP/1.1 {status} {phrase}\r\n".encode() + lines + b"\r\n"


def _nothing() -> AbstractAsyncContextManager[None]:
    return nullcontext()


async def _changed(pieces: AsyncIterator[bytes], change: Change) -> AsyncIterator[bytes]:
    async for piece in pieces:
        yield change(piece)


async def _join(
    client: Pipe,
    upstream: Pipe,
    record: Exchange,
    *,
    early: bytes = b"",
    late: bytes = b"",
    outgoing: Change | None = None,
) -> None:
    """Carry bytes both ways until the engine has said all; either may end its own way before."""

    async def up() -> None:
        data = early
        while True:
            if data:
                record.sent += len(data)
                await upstream.write(outgoing(data) if outgoing else data)
            data = await client.read()
            if not data:
                await upstream.half_close()
                return

    async def down() -> None:
        data = late
        while True:
            if data:
                if not record.status:
                    record.status = int(data[9:12]) if data[9:12].isdigit() else 0
                record.received += len(data)
                await client.write(data)
            data = await upstream.read()
            if not data:
                return

    going_up, going_down = asyncio.create_task(up()), asyncio.create_task(down())
    try:
        await asyncio.wait([going_up, going_down], return_when=asyncio.FIRST_COMPLETED)
        err = going_up.exception() if going_up.done() else None
        if err is not None and not isinstance(err, OSError):
            raise ConnectionError("that is no conversation with BuildKit") from err
        await going_down  # the engine may close one way, and say why on the other
    finally:
        await _ended(going_up)
        await _ended(going_down)


async def _ended(task: asyncio.Task[None]) -> None:
    """End a task that reads: nobody else may until it has."""
    task.cancel()
    with suppress(asyncio.CancelledError, OSError):
        await task


class _Lines:
    """Tells an answer of JSON line by line, in the learner's names."""

    def __init__(self, shape: Any, world: World) -> None:
        self._shape, self._world = shape, world
        self._rest = b""

    def __call__(self, data: bytes) -> bytes:
        *lines, self._rest = (self._rest + data).split(b"\n")
        return b"".join(self._line(one + b"\n") for one in lines)

    def end(self) -> bytes:
        """What came after the last line's end."""
        rest, self._rest = self._rest, b""
        return self._line(rest) if rest else b""

    def _line(self, line: bytes) -> bytes:
        try:
            value = json.loads(line)
        except ValueError:
            return line
        if self._shape is not None and (value := self._shape(value)) is None:
            return b""
        told = self._world.names.told(value)
        if isinstance(told, dict):  # what is said to a person
            for field in ("message", "stream", "status", "error"):
                if isinstance(told.get(field), str):
                    told[field] = self._world.names.words(told[field])
        end = b"\r\n" if line.endswith(b"\r\n") else b"\n" if line.endswith(b"\n") else b""
        return json.dumps(told).encode() + end


class _Client:
    """A client's end of a connection."""

    def __init__(self, pipe: PlainPipe) -> None:
        self.pipe = pipe
        self._conn = h11.Connection(h11.SERVER)

    async def request(self) -> h11.Request | None:
        """The next request's head; None at the end, or if it was no HTTP and that was said."""
        try:
            event = await self._next()
        except h11.RemoteProtocolError as err:
            said = json.dumps({"message": f"malformed request: {err}"}).encode()
            with suppress(h11.ProtocolError, OSError):
                await self.send(err.error_status_hint, [(b"Content-Type", b"application/json"),
                                (b"Content-Length", b"%d" % len(said))], said, None)  # fmt: skip
            return None
        return event if isinstance(event, h11.Request) else None

    async def body(self, record: Exchange) -> AsyncIterator[bytes]:
        """The pieces of the request's body."""
        if self._conn.they_are_waiting_for_100_continue:
            await self._say(h11.InformationalResponse(status_code=100, headers=[]))
        while True:
            event = await self._next()
            if isinstance(event, h11.Data):
                record.sent += len(event.data)
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return
            else:
                raise ConnectionError("the client has gone")

    def trailing(self) -> bytes:
        """What came after what was read."""
        return bytes(self._conn.trailing_data[0])

    def waits_to_continue(self) -> bool:
        """Whether it wants to hear that it may send the body."""
        return bool(self._conn.they_are_waiting_for_100_continue)

    async def tell(self, told: Told, record: Exchange | None) -> bool:
        """Tell an answer of our own; whether another request may follow."""
        said = json.dumps(told.value).encode() + b"\n"
        headers = [
            *told.headers,
            (b"Content-Type", b"application/json"),
            (b"Content-Length", b"%d" % len(said)),
        ]
        return await self.send(told.status, headers, said, record)

    async def send(
        self, status: int, headers: Headers, body: bytes, record: Exchange | None
    ) -> bool:
        """Tell a whole answer; whether another request may follow."""
        if record is not None:
            record.status, record.received = status, len(body)
        await self._say(h11.Response(status_code=status, headers=headers))
        if body and not self._is_head() and status not in (204, 304):
            await self._say(h11.Data(data=body))
        await self._say(h11.EndOfMessage())
        return await self.is_reusable()

    async def relay(
        self, stream: Stream, change: Any, record: Exchange, watching: asyncio.Task[None] | None
    ) -> None:
        """Tell an answer as it comes, for as long as the client is there."""
        record.status = stream.status
        kept = [(k, v) for k, v in stream.headers if k.lower() not in FRAMING | HOP]
        await self._say(h11.Response(status_code=stream.status, headers=kept))
        pieces = aiter(stream)
        while True:
            piece = asyncio.ensure_future(anext(pieces, None))
            await asyncio.wait(
                [piece, *([watching] if watching else [])], return_when=asyncio.FIRST_COMPLETED
            )
            if not piece.done():
                piece.cancel()
                with suppress(asyncio.CancelledError, OSError):
                    await piece
                raise ConnectionError("the client has gone")
            data = piece.result()
            said = (
                change(data)
                if data is not None
                else change.end()
                if isinstance(change, _Lines)
                else b""
            )
            if said:
                record.received += len(said)
                await self._say(h11.Data(data=said))
            if data is None:
                break
        await self._say(h11.EndOfMessage())

    def watch(self) -> asyncio.Task[None]:
        """A task that ends when the client has gone."""

        async def until_gone() -> None:
            data = await self.pipe.read()
            self._conn.receive_data(data)
            if data:  # the next request, which can wait
                await asyncio.Event().wait()

        return asyncio.create_task(until_gone())

    async def is_reusable(self) -> bool:
        """Whether another request may follow, for which the rest of this one is read."""
        left = REST
        while self._conn.their_state is h11.SEND_BODY and left > 0:
            event = await self._next()
            await asyncio.sleep(0)  # as in `PlainPipe.write`
            left -= len(event.data) if isinstance(event, h11.Data) else 1
        try:
            self._conn.start_next_cycle()
        except h11.LocalProtocolError:
            return False
        return True

    def _is_head(self) -> bool:
        return self._conn._request_method == b"HEAD"

    async def _say(self, event: Any) -> None:
        if data := self._conn.send(event):
            await self.pipe.write(data)

    async def _next(self) -> Any:
        while (event := self._conn.next_event()) is h11.NEED_DATA:
            self._conn.receive_data(await self.pipe.read())
        return event
