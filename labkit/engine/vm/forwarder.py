"""A small detached process at this machine's end of the wire: whatever leads into the guest.

It listens for the engine's and the runner's clients on Unix sockets, and on loopback for whatever
the guest's containers publish, whoever runs them: the engine asks for each port before it says that
the container has started. It keeps the guest's clock right, and ends when the machine does.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from labkit.errors import WaitTimeoutError
from labkit.waiting import wait_until

from .gate import Gate, Port
from .ingress import Services
from .mux import READ, Channel, Mux, Watch, WireEndedError
from .qmp import connect

WIRE = "wire.sock"
LOCK = "forwarder.lock"  # held for as long as one runs: see `boot.follow`
AWAITED = "awaited.json"  # services' ports that this machine has given away
ENGINE, RUNNER = "docker.sock", "runner.sock"
ENGINE_INSIDE = {"to": "unix", "path": "/run/docker.sock"}
CONNECT_TIMEOUT = 30.0  # seconds
BACKLOG = 1024  # at most net.core.somaxconn, listen(2)
HELLO_EVERY = 1.0  # seconds between two attempts to be heard, or to have a port
CLOCK_EVERY = 20.0
CLOCK_OFF = 50_000_000  # nanoseconds that the guest's clock may be off
CLOCK_TRIES = 10
UDP_IDLE = 60.0  # seconds after which an exchange of datagrams is forgotten
# What "all addresses" of the guest means here: ours alone, not what others on our network reach.
LOOPBACK = "127.0.0.1"
OURS = {"0.0.0.0": LOOPBACK, "::": "::1"}
TAKEN = "address already in use"
FAMILIES = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class Forwarder:
    """The wire of one machine, and all that is carried over it."""

    def __init__(self, wire: socket.socket, folder: Path, sockets: Path) -> None:
        self._folder, self._sockets = folder, sockets
        self._watch = Watch()
        wire.setblocking(False)
        self._mux = Mux(wire, self._watch, on_open=_refuse, on_note=self._told)
        self._nonce = secrets.token_hex(16)
        self._heard = False
        self._clock_tries = 0
        self._published: dict[int, Listener] = {}
        self._services = Services(self._watch, self._dial_engine, self._ingress)
        self._services_want: set[Port] = set()
        self._service_ports: dict[Port, Listener] = {}
        self._awaited: set[Port] = set()

    def serve(self) -> None:
        """Be heard, set the clock, and carry; raises WireEndedError when the machine ends."""
        while not self._heard:
            self._mux.begin_anew(with_zeros=True)
            self._mux.note({"hello": self._nonce})
            until = time.monotonic() + HELLO_EVERY
            while not self._heard and (left := until - time.monotonic()) > 0:
                self._watch.run_once(left)
        # A restored guest's random numbers were given out before.
        self._mux.note({"seed": os.urandom(64).hex()})
        self._set_clock(tolerated=0)
        self._listen_here(ENGINE, self._serve_client)
        self._listen_here(RUNNER, lambda end: self._mux.open({"to": "program"}).join(end))
        self._services.look()
        clock = tried = time.monotonic()
        while True:
            # An engine that boots is asked again soon, and a port that is awaited tried.
            impatient = bool(self._awaited) or not self._services.follows
            due = clock + CLOCK_EVERY
            if impatient:
                due = min(due, tried + HELLO_EVERY)
            self._watch.run_once(max(0.0, due - time.monotonic()))
            now = time.monotonic()
            if impatient and now >= tried + HELLO_EVERY:
                tried = now
                self._ingress(self._services_want)
                if not self._services.follows:
                    self._services.look()
            if now >= clock + CLOCK_EVERY:
                clock = now
                self._clock_tries = 0
                self._set_clock(tolerated=CLOCK_OFF)
                for listener in self._listeners():
                    listener.forget_idle(now)
                if self._services_want:
                    self._services.look()

    def _listeners(self) -> list[Listener]:
        return [*self._published.values(), *self._service_ports.values()]

    def close(self) -> None:
        """Stop listening."""
        for listener in self._listeners():
            listener.close()
        for path in (self._sockets / ENGINE, self._sockets / RUNNER, self._folder / AWAITED):
            path.unlink(missing_ok=True)

    # --- Unix sockets ----------------------------------------------------------------------------

    def _listen_here(self, name: str, serve: Callable[[socket.socket], None]) -> None:
        """Listen at a Unix socket; it is there under its name only when it listens."""
        path = self._sockets / name
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(new))
        listener.listen(BACKLOG)
        listener.setblocking(False)
        self._watch.on(listener, READ, lambda _: accept_all(listener, serve))
        new.rename(path)

    def _serve_client(self, end: socket.socket) -> None:
        """Lead a client to the engine; what cannot be had outside is refused on the way."""
        channel, gate = self._mux.open(ENGINE_INSIDE), Gate(self._why_not)

        def hear(data: bytes) -> bytes:
            passed, answer = gate.hear(data)
            if answer:
                end.send(answer)
                channel.reset()
            return b"" if answer else passed

        channel.join(end, hear=hear)

    # --- services' ports -------------------------------------------------------------------------

    def _dial_engine(self) -> socket.socket:
        """A connection of our own to the guest's engine."""
        ours, theirs = socket.socketpair()
        self._mux.open(ENGINE_INSIDE).join(theirs)
        return ours

    def _ingress(self, ports: set[Port]) -> None:
        """Listen for these ports of services; note those that are taken here: they are awaited."""
        self._services_want = ports
        for port in self._service_ports.keys() - ports:
            self._service_ports.pop(port).close()
        awaited = set()
        for protocol, number in sorted(ports - self._service_ports.keys()):
            if protocol not in FAMILIES:
                continue
            to = {"to": protocol, "address": LOOPBACK, "port": number}
            try:
                self._service_ports[protocol, number] = Listener(
                    self._mux, protocol, LOOPBACK, number, to
                )
            except OSError:
                awaited.add((protocol, number))
            except OverflowError:  # no port at all
                continue
        if awaited != self._awaited:
            self._awaited = awaited
            new = self._folder / f"{AWAITED}.new"
            new.write_text(json.dumps(sorted(awaited)))
            new.rename(self._folder / AWAITED)

    def _why_not(self, ports: set[Port]) -> str | None:
        """Why a service cannot have these ports; those of services that are there are their own."""
        for protocol, number in sorted(ports - self._services_want):
            try:
                if protocol in FAMILIES:
                    bound(protocol, LOOPBACK, number).close()
            except OSError as err:
                return refused(protocol, LOOPBACK, number, err)
            except OverflowError:  # which the engine refuses
                continue
        return None

    # --- notes -----------------------------------------------------------------------------------

    def _told(self, what: dict[str, Any]) -> None:
        """Hear the guest, which need not be honest: nothing that it says may stop us."""
        with suppress(KeyError, TypeError, ValueError):
            if what.get("hello") == self._nonce and not self._heard:
                self._heard = True
                for port in what["published"]:
                    self._told(port)  # some may still wait for an answer
            elif not self._heard:
                return  # said to another, before us
            elif "clock" in what:
                off = abs(time.time_ns() - int(what["clock"]))
                if off > CLOCK_OFF and self._clock_tries < CLOCK_TRIES:  # it was long under way
                    self._set_clock(tolerated=0)
            elif "publish" in what:
                why = self._publish(what)
                self._mux.note({"answer": what["publish"], "why": why})
            elif "unpublish" in what and (port := self._published.pop(what["unpublish"], None)):
                port.close()

    def _set_clock(self, *, tolerated: int) -> None:
        self._clock_tries += 1
        self._mux.note({"clock": time.time_ns(), "tolerated": tolerated})

    def _publish(self, port: dict[str, Any]) -> str | None:
        """Listen for a container's port; return why it cannot be had, if it cannot."""
        number, protocol, bound_to = int(port["port"]), str(port["protocol"]), str(port["address"])
        to = {"to": protocol, "address": str(port["to"][0]), "port": int(port["to"][1])}
        address = OURS.get(bound_to, bound_to)
        is_ours = address == "::1" or address.startswith("127.")
        if not is_ours or protocol not in FAMILIES:
            return None  # an address of the guest's own; SCTP is none that we could carry
        try:
            listener = Listener(self._mux, protocol, address, number, to)
        except OSError as err:
            if bound_to == "::" and TAKEN not in str(err).lower():
                return None  # this machine has no IPv6
            return refused(protocol, address, number, err)
        self._published[int(port["publish"])] = listener
        return None


def bound(protocol: str, address: str, port: int) -> socket.socket:
    """A socket that has this port. Raises OSError, OverflowError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, FAMILIES[protocol])
    try:
        if protocol == "tcp":  # connections that are over may still be in TIME_WAIT
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        if protocol == "tcp":
            made.listen(BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def refused(protocol: str, address: str, port: int, err: OSError) -> str:
    """Why a port cannot be had, in an engine's words."""
    return (
        f"listen {protocol} {address}:{port}: {str(err.strerror).lower()}, "
        "on the machine outside the micro-VM"
    )


class Listener:
    """A port of this machine that leads to a container's."""

    def __init__(
        self, mux: Mux, protocol: str, address: str, port: int, to: dict[str, Any]
    ) -> None:
        self._mux, self._to = mux, to
        self._is_udp = protocol == "udp"
        self._exchanges: dict[Any, Exchange] = {}
        self._socket = bound(protocol, address, port)
        self._socket.setblocking(False)
        mux.watch.on(self._socket, READ, self._ready)

    def close(self) -> None:
        """Stop listening; connections that are open go on, datagrams do not."""
        self._mux.watch.on(self._socket, 0, self._ready)
        self._socket.close()
        for exchange in list(self._exchanges.values()):
            exchange.channel.reset()
        self._exchanges.clear()

    def _ready(self, events: int) -> None:
        if self._is_udp:
            self._hear_datagrams()
        else:
            accept_all(self._socket, lambda end: self._mux.open(self._to).join(end))

    def _hear_datagrams(self) -> None:
        with suppress(BlockingIOError, ConnectionRefusedError):
            while True:
                data, client = self._socket.recvfrom(65536)
                if client not in self._exchanges:
                    self._exchanges[client] = Exchange(self._mux, self._socket, client, self._to)
                self._exchanges[client].hear(data)

    def forget_idle(self, now: float) -> None:
        """Forget the clients that have fallen silent."""
        for client, exchange in list(self._exchanges.items()):
            if exchange.last + UDP_IDLE < now:
                exchange.channel.reset()
                del self._exchanges[client]


class Exchange:
    """Datagrams between one client and a container."""

    def __init__(self, mux: Mux, port: socket.socket, client: Any, to: dict[str, Any]) -> None:
        self._port, self._client = port, client
        self.last = time.monotonic()
        self.channel = mux.open({**to, "datagrams": True}, datagrams=True)
        self.channel.join_call(self._deliver)

    def hear(self, data: bytes) -> None:
        self.last = time.monotonic()
        self.channel.send(data)

    def _deliver(self, data: bytes) -> None:
        self.last = time.monotonic()
        with suppress(OSError):  # a datagram may be lost
            self._port.sendto(data, self._client)


def accept_all(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    """Serve all clients that wait."""
    with suppress(BlockingIOError, ConnectionAbortedError):
        while True:
            end, _ = listener.accept()
            if end.family != socket.AF_UNIX:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            serve(end)


def _refuse(channel: Channel, what: dict[str, Any]) -> None:
    """Refuse what the guest opens: nothing here is for it."""
    channel.reset()


def wire_of(folder: Path) -> socket.socket:
    """The wire of the machine in this folder, which may be about to start."""

    def wire() -> socket.socket | None:
        with suppress(OSError):
            return connect(folder, WIRE)
        return None

    found = wait_until(wire, timeout=CONNECT_TIMEOUT, what="the machine", interval=0.01)
    assert found is not None
    return found


def main(folder: Path, sockets: Path) -> None:
    """Forward for one machine to its end."""
    with (
        suppress(WaitTimeoutError, WireEndedError, ConnectionError),
        wire_of(folder) as wire,
        closing(Forwarder(wire, folder, sockets)) as forwarder,
    ):
        forwarder.serve()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
