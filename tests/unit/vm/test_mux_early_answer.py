"""A server that answers and goes before it has read all: its answer arrives, as without a mux."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from labkit.engine.vm.mux import WINDOW, Channel, Mux, Watch, WireEndedError

ANSWER = b"413 too large"


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client's socket and a server's, with two muxes and a wire between them."""
    watches, muxes, far = [], [], socket.socketpair()

    def opened(channel: Channel, what: dict[str, Any]) -> None:
        channel.join(far[0])

    for wire in socket.socketpair():
        wire.setblocking(False)
        watches.append(Watch())
        muxes.append(Mux(wire, watches[-1], on_open=opened, on_note=lambda what: None))
    ours, client = socket.socketpair()
    muxes[0].open({}).join(ours)
    stop = threading.Event()

    def serve(watch: Watch) -> None:
        with suppress(WireEndedError, ConnectionError):
            while not stop.is_set():
                watch.run_once(0.02)

    threads = [threading.Thread(target=serve, args=(watch,)) for watch in watches]
    for thread in threads:
        thread.start()
    client.settimeout(10)
    yield client, far[1]
    stop.set()
    for thread in threads:
        thread.join()
    for mux in muxes:
        mux.close()
        mux._wire.close()  # type: ignore[attr-defined]
    for end in (client, far[1]):
        end.close()


def test_the_answer_of_a_server_that_reads_no_further_arrives(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    client, server = pair
    sent = 0
    client.settimeout(0.3)
    with suppress(TimeoutError):  # until all is full
        while sent < 8 * WINDOW:
            sent += client.send(bytes(65536))
    server.sendall(ANSWER)
    server.close()
    client.settimeout(10)
    said = b""
    with suppress(ConnectionError):
        while part := client.recv(100):
            said += part
    assert said == ANSWER
    with pytest.raises(OSError, match=r"Broken pipe|reset by peer"):
        while True:  # and who sends on is told
            client.send(bytes(65536))
