"""Many connections carried over one stream of bytes, between this machine and the guest.

The same code runs at both ends, in the guest with the standard library alone. A frame is a head
and its bytes; each direction of a channel has a window, so what waits in memory is bounded, and a
slow reader holds up nobody else. One thread, one selector, no encryption: the stream is a Unix
socket in a folder of ours, and a serial port of the guest's that its root alone may open.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

WINDOW = 1 << 18  # bytes under way in one direction of a channel
CHUNK = 1 << 15  # bytes read at once
# What a frame begins with. Zeros between frames are skipped: so many of them complete whatever
# frame was broken off when the other end went, and the next frame is seen as one.
MARK, HEAD = 0x4C, struct.Struct(">BBII")
LARGEST = 1 << 16  # bytes in one frame
ZEROS = bytes(LARGEST + HEAD.size)
OPEN, DATA, END, RESET, CREDIT, NOTE = range(6)
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Wire(Protocol):
    """The stream: non-blocking, and ended by an empty read."""

    def fileno(self) -> int: ...

    def recv(self, size: int, /) -> bytes: ...

    def send(self, data: memoryview, /) -> int: ...


class WireEndedError(Exception):
    """The other end has gone."""


class Watch:
    """A selector whose files are called back, so that several parties can share one loop."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def on(self, file: Any, events: int, call: Callable[[int], None]) -> None:
        """Call `call` when `file` is ready; no events: no longer."""
        known = self._selector.get_map().get(file)
        if known is None:
            if events:
                self._selector.register(file, events, call)
        elif not events:
            self._selector.unregister(file)
        elif known.events != events or known.data != call:
            self._selector.modify(file, events, call)

    def run_once(self, timeout: float | None = None) -> None:
        """Wait, and call those that are ready."""
        for key, events in self._selector.select(timeout):
            # One that was called before may have closed this one.
            if self._selector.get_map().get(key.fd) is key:
                key.data(events)


class Channel:
    """One connection: a socket here, joined with one at the other end."""

    def __init__(self, mux: Mux, number: int, *, datagrams: bool = False) -> None:
        self.number = number
        self.on_end: Callable[[], None] = lambda: None
        self._mux = mux
        self._datagrams = datagrams
        self._socket: socket.socket | None = None
        self._deliver: Callable[[bytes], None] | None = None
        self._hear: Callable[[bytes], bytes] = bytes
        self._connecting = False
        self._half_closes = True
        self._waiting: deque[memoryview] = deque()  # for the socket
        self._held = 0  # bytes that wait
        self._room = WINDOW  # what the other end still takes
        self._taken = 0  # what the socket took since we said so
        self._read_all = self._wrote_all = self._told_end = False

    # --- this end --------------------------------------------------------------------------------

    def join(
        self,
        end: socket.socket,
        *,
        connecting: bool = False,
        half_closes: bool = True,
        hear: Callable[[bytes], bytes] = bytes,
    ) -> None:
        """Carry what this socket says and hears; it may still be on its way to its peer.

        Where half a close is the end of it, `half_closes` is False. `hear` is given what it says,
        and returns what of that is carried.
        """
        end.setblocking(False)
        self._socket, self._connecting, self._half_closes = end, connecting, half_closes
        self._hear = hear
        self._look()

    def join_call(self, deliver: Callable[[bytes], None]) -> None:
        """Call `deliver` with each message; what goes the other way is handed to `send`."""
        self._deliver = deliver

    def send(self, data: bytes) -> None:
        """Send one message; a datagram for which there is no room is lost, as on any wire."""
        if len(data) <= self._room:
            self._room -= len(data)
            self._mux.send(self.number, DATA, data)

    def reset(self, *, tell: bool = True) -> None:
        """Break the connection off, at both ends; ours sees ECONNRESET."""
        if tell:
            self._mux.send(self.number, RESET)
        if self._socket is not None and not self._datagrams:
            with contextlib.suppress(OSError):  # socket(7), SO_LINGER: a socket's is none
                self._socket.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
        self._close()

    def _close(self) -> None:
        self._mux.forget(self.number)
        if self._socket is not None:
            self._mux.watch.on(self._socket, 0, self._ready)
            self._socket.close()
            self._socket = None
        self._deliver = None
        self.on_end()

    def _look(self) -> None:
        """Watch the socket for what can be done now."""
        if self._socket is None:
            return
        events = 0
        if not self._connecting and not self._read_all and self._room > 0:
            events |= READ
        if self._connecting or self._waiting or (self._told_end and not self._wrote_all):
            events |= WRITE
        self._mux.watch.on(self._socket, events, self._ready)

    def _ready(self, events: int) -> None:
        assert self._socket is not None
        try:
            if self._connecting:
                if error := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(error, "connect")
                self._connecting = False
            if events & WRITE:
                self._write()
            if events & READ:
                self._read()
        except BlockingIOError:
            pass
        except OSError:
            if self._datagrams:  # a port that nobody has yet: udp(7), ECONNREFUSED
                self._waiting.clear()
                self._took(self._held)
            else:
                self._read_last()
                self.reset()
                return
        self._look()
        self._close_if_done()

    def _read(self) -> None:
        assert self._socket is not None
        data = self._socket.recv(65536 if self._datagrams else min(CHUNK, self._room))
        if self._datagrams:
            self.send(data)
        elif data:
            self._room -= len(data)
            if data := self._hear(data):
                self._mux.send(self.number, DATA, data)
        else:
            self._read_all = True
            self._mux.send(self.number, END)

    def _read_last(self) -> None:
        """Carry what was said by one who takes no more: an answer that came before its time."""
        with contextlib.suppress(OSError):
            while self._socket and not self._connecting and not self._read_all and self._room > 0:
                self._read()

    def _write(self) -> None:
        assert self._socket is not None
        while self._waiting:
            sent = self._socket.send(self._waiting[0])
            self._took(sent)
            if self._datagrams or sent == len(self._waiting[0]):
                self._waiting.popleft()
            else:
                self._waiting[0] = self._waiting[0][sent:]
        if self._told_end and not self._wrote_all:
            self._wrote_all = True
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

    def _took(self, size: int) -> None:
        self._held -= size
        self._taken += size
        if self._taken >= WINDOW // 4:
            self._mux.send(self.number, CREDIT, struct.pack(">I", self._taken))
            self._taken = 0

    def _close_if_done(self) -> None:
        if self._read_all and self._wrote_all:
            self._close()

    # --- the other end ---------------------------------------------------------------------------

    def heard(self, kind: int, data: bytes) -> None:
        """Take a frame for this channel."""
        if kind == RESET:
            with contextlib.suppress(OSError):
                if self._socket and not self._connecting:
                    self._write()
            self.reset(tell=False)
        elif kind == CREDIT and len(data) == 4:
            self._room += struct.unpack(">I", data)[0]
            self._look()
        elif kind == END and not self._half_closes:
            self._close()
        elif kind == END:
            self._told_end = True
            self._ready(WRITE) if self._socket and not self._connecting else self._look()
        elif kind == DATA and self._deliver is not None:
            self._held += len(data)
            self._took(len(data))
            self._deliver(data)
        elif kind == DATA:
            self._held += len(data)
            if self._held > WINDOW:  # more than was allowed: no mux of ours
                self.reset()
                return
            self._waiting.append(memoryview(data))
            if self._socket and not self._connecting:
                self._ready(WRITE)


class Mux:
    """All channels of one stream, and notes between the two ends."""

    def __init__(
        self,
        wire: Wire,
        watch: Watch,
        *,
        on_open: Callable[[Channel, dict[str, Any]], None],
        on_note: Callable[[dict[str, Any]], None],
    ) -> None:
        self.watch = watch
        self._wire = wire
        self._on_open, self._on_note = on_open, on_note
        self._channels: dict[int, Channel] = {}
        self._last = 0
        self._out: deque[memoryview] = deque()
        self._in = bytearray()
        self._look()

    def open(self, what: dict[str, Any], *, datagrams: bool = False) -> Channel:
        """Open a channel to what the other end knows by `what`."""
        self._last += 1
        channel = self._channels[self._last] = Channel(self, self._last, datagrams=datagrams)
        self.send(channel.number, OPEN, json.dumps(what).encode())
        return channel

    def note(self, what: dict[str, Any]) -> None:
        """Tell the other end something."""
        self.send(0, NOTE, json.dumps(what).encode())

    def begin_anew(self, *, with_zeros: bool = False) -> None:
        """Drop all channels, and what was to be sent; zeros end what the other end still awaits."""
        for channel in list(self._channels.values()):
            channel.reset(tell=False)
        self._out.clear()
        if with_zeros:
            self._out.append(memoryview(ZEROS))
        self._look()

    def close(self) -> None:
        """Drop all channels, and let go of the wire."""
        self.begin_anew()
        self.watch.on(self._wire, 0, self._ready)

    # --- for channels ----------------------------------------------------------------------------

    def send(self, number: int, kind: int, data: bytes = b"") -> None:
        """Send a frame, as soon as the wire takes it."""
        self._out.append(memoryview(HEAD.pack(MARK, kind, number, len(data)) + data))
        if len(self._out) == 1:
            self._flush()

    def forget(self, number: int) -> None:
        """Frames for this channel mean nothing from now on."""
        self._channels.pop(number, None)

    # --- the wire --------------------------------------------------------------------------------

    def _look(self) -> None:
        self.watch.on(self._wire, READ | (WRITE if self._out else 0), self._ready)

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        if events & READ:
            self._receive()

    def _flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._out:
                sent = self._wire.send(self._out[0])
                if sent == len(self._out[0]):
                    self._out.popleft()
                else:
                    self._out[0] = self._out[0][sent:]
        self._look()

    def _receive(self) -> None:
        try:
            data = self._wire.recv(CHUNK)
        except BlockingIOError:
            return
        if not data:
            raise WireEndedError
        self.feed(data)

    def feed(self, data: bytes) -> None:
        """Take bytes of the wire's, in whatever pieces they come."""
        self._in += data
        at = 0
        while at < len(self._in):
            if self._in[at] != MARK:
                at += 1
                continue
            if len(self._in) - at < HEAD.size:
                break
            _, kind, number, size = HEAD.unpack_from(self._in, at)
            if size > LARGEST:  # not a frame of ours
                at += 1
                continue
            if len(self._in) - at < HEAD.size + size:
                break
            begin = at + HEAD.size
            at = begin + size
            self._hear(number, kind, bytes(self._in[begin:at]))
        del self._in[:at]

    def _hear(self, number: int, kind: int, data: bytes) -> None:
        if kind in (OPEN, NOTE):
            try:
                what = json.loads(data)
            except ValueError:
                return
            if not isinstance(what, dict):
                return
            if kind == NOTE:
                self._on_note(what)
            else:
                channel = Channel(self, number, datagrams=bool(what.get("datagrams")))
                self._channels[number] = channel
                self._on_open(channel, what)
        elif channel := self._channels.get(number):  # type: ignore[assignment]
            channel.heard(kind, data)
