"""Many connections over one stream: whole, in order, apart from each other, and bounded."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from labkit.engine.vm.mux import (
    HEAD,
    LARGEST,
    MARK,
    NOTE,
    WINDOW,
    ZEROS,
    Channel,
    Mux,
    Watch,
    WireEndedError,
)  # fmt: skip


class End:
    """One end of a wire, served by a thread; what is opened there is joined with `socket`."""

    def __init__(self, wire: socket.socket) -> None:
        wire.setblocking(False)
        self.wire, self.watch = wire, Watch()
        self.notes: list[dict[str, Any]] = []
        self.sockets: dict[str, socket.socket] = {}
        self.half_closes = True
        self.mux = Mux(wire, self.watch, on_open=self._opened, on_note=self.notes.append)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def _opened(self, channel: Channel, what: dict[str, Any]) -> None:
        if what["name"] == "nobody":
            channel.reset()
            return
        ours, self.sockets[what["name"]] = socket.socketpair()
        channel.join(ours, half_closes=self.half_closes)

    def open(self, name: str) -> socket.socket:
        """A socket that is joined with one at the other end. Before the thread runs."""
        ours, theirs = socket.socketpair()
        theirs.settimeout(10)
        self.mux.open({"name": name}).join(ours)
        return theirs

    def start(self) -> None:
        self._thread.start()

    def _serve(self) -> None:
        with suppress(WireEndedError, ConnectionError):
            while not self._stop.is_set():
                self.watch.run_once(0.02)

    def stop(self) -> None:
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        self.mux.close()
        self.wire.close()
        for one in self.sockets.values():
            one.close()


@pytest.fixture
def ends() -> Iterator[tuple[End, End]]:
    """Two ends, not yet served."""
    here, there = map(End, socket.socketpair())
    yield here, there
    there.stop()
    here.stop()


def start(*ends: End) -> None:
    for end in ends:
        end.start()


def wait_for(there: End, name: str) -> socket.socket:
    for _ in range(1000):
        if name in there.sockets:
            there.sockets[name].settimeout(10)
            return there.sockets[name]
        threading.Event().wait(0.005)
    raise AssertionError(f"{name} was not opened")


def read_all(end: socket.socket) -> bytes:
    data = b""
    while part := end.recv(65536):
        data += part
    return data


def test_each_connection_carries_its_own_bytes_both_ways(ends: tuple[End, End]) -> None:
    here, there = ends
    near = {f"{number}": here.open(f"{number}") for number in range(30)}
    start(here, there)
    sent = {name: os.urandom(3 * WINDOW + int(name)) for name in near}

    def echo(name: str) -> None:
        far = wait_for(there, name)
        far.sendall(hashlib.sha256(read_all(far)).digest())
        far.shutdown(socket.SHUT_WR)

    def say(name: str) -> None:
        near[name].sendall(sent[name])
        near[name].shutdown(socket.SHUT_WR)  # the other direction goes on: half a close

    threads = [threading.Thread(target=work, args=(name,)) for name in near for work in (echo, say)]
    for thread in threads:
        thread.start()
    for name, end in near.items():
        assert read_all(end) == hashlib.sha256(sent[name]).digest()
        end.close()
    for thread in threads:
        thread.join()


def test_who_does_not_read_holds_up_nobody_and_is_held_up(ends: tuple[End, End]) -> None:
    here, there = ends
    deaf, other = here.open("deaf"), here.open("other")
    start(here, there)
    deaf.settimeout(0.5)
    sent = 0
    with suppress(TimeoutError):
        while sent < 64 * WINDOW:
            sent += deaf.send(bytes(65536))
    assert sent < 8 * WINDOW  # the window, and what the sockets hold
    other.sendall(b"hello")
    assert wait_for(there, "other").recv(100) == b"hello"
    deaf.close()
    other.close()


def test_a_refused_connection_is_reset_and_a_whole_close_ends_the_other_side(
    ends: tuple[End, End],
) -> None:
    here, there = ends
    there.half_closes = False
    refused, ended = here.open("nobody"), here.open("somebody")
    start(here, there)
    with suppress(ConnectionResetError):
        assert refused.recv(10) == b""
    far = wait_for(there, "somebody")
    ended.close()
    assert far.recv(10) == b""
    refused.close()


def test_datagrams_stay_whole_and_may_be_lost_alone(ends: tuple[End, End]) -> None:
    here, there = ends
    heard: list[bytes] = []
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    theirs.settimeout(10)

    def opened(channel: Channel, what: dict[str, Any]) -> None:
        channel.join(ours)

    there.mux._on_open = opened
    channel = here.mux.open({"datagrams": True}, datagrams=True)
    channel.join_call(heard.append)
    channel.send(b"")
    channel.send(b"one")
    channel.send(b"x" * 60_000)
    for _ in range(10):  # far more than the window takes: lost, and nothing breaks
        channel.send(b"y" * 60_000)
    start(here, there)
    assert [len(theirs.recv(65536)) for _ in range(3)] == [0, 3, 60_000]
    theirs.send(b"answer")
    for _ in range(500):
        if heard:
            break
        threading.Event().wait(0.01)
    assert heard == [b"answer"]
    theirs.close()


@pytest.mark.parametrize("kept", [0, 1, 5, HEAD.size, HEAD.size + 1, HEAD.size + LARGEST - 1])
def test_zeros_end_whatever_was_broken_off(ends: tuple[End, End], kept: int) -> None:
    """As when the process at one end is killed in the midst of a frame, and another comes."""
    _, there = ends
    broken = (HEAD.pack(MARK, NOTE, 0, LARGEST) + bytes(LARGEST))[:kept]
    there.mux.feed(broken)
    there.mux.feed(ZEROS)
    note = b'{"hello": 1}'
    whole = HEAD.pack(MARK, NOTE, 0, len(note)) + note
    for number in range(len(whole)):  # in whatever pieces
        there.mux.feed(whole[number : number + 1])
    assert there.notes == [{"hello": 1}]


@pytest.mark.parametrize(
    "frame",
    [
        HEAD.pack(MARK, 99, 7, 0),
        HEAD.pack(MARK, NOTE, 0, 3) + b"\xff{[",
        HEAD.pack(MARK, NOTE, 0, 2) + b"[]",
        HEAD.pack(MARK, 1, 12345, 5) + b"hello",  # for a channel that is none
        HEAD.pack(MARK, 4, 1, 1) + b"x",  # a credit of another size
        HEAD.pack(MARK, 1, 1, 0xFFFFFFFF),  # larger than a frame can be
        bytes(range(MARK)) * 9,
    ],
    ids=["kind", "text", "list", "channel", "credit", "size", "bytes"],
)
def test_nonsense_from_the_other_end_stops_nothing(ends: tuple[End, End], frame: bytes) -> None:
    here, there = ends
    there.mux.feed(frame)
    end = here.open("after")
    start(here, there)
    end.sendall(b"hello")
    assert wait_for(there, "after").recv(100) == b"hello"
    end.close()


def test_more_than_the_window_is_no_mux_of_ours(ends: tuple[End, End]) -> None:
    here, there = ends
    channel = here.mux.open({"name": "flood"})
    for _ in range(WINDOW // LARGEST + 40):
        here.mux.send(channel.number, 1, bytes(LARGEST))
    start(here, there)
    far = wait_for(there, "flood")
    got = 0
    with suppress(ConnectionResetError):
        threading.Event().wait(0.5)  # it does not read: what waits is bounded
        while part := far.recv(65536):
            got += len(part)
    assert got < 2 * WINDOW
