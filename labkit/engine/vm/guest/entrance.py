"""The guest's end of the wire: its engine, its containers' ports, and programs that are brought.

Whoever holds the other end is the owner of this machine. A channel leads to a Unix socket, to a
port, or to a program: its client sends one JSON line, {"size": bytes, "argv": [...]}, then so many
bytes of Python; from then on the channel is the program's standard input and output. It is forked
from this process, whose modules are loaded: no interpreter has to start. Its standard error goes to
the serial line.
"""

import base64  # noqa: F401  loaded once, before the snapshot, for the programs that come
import contextlib
import ctypes  # noqa: F401
import fcntl
import hashlib  # noqa: F401
import json
import os
import re  # noqa: F401
import select
import signal
import socket
import stat  # noqa: F401
import struct
import subprocess  # noqa: F401
import sys
import threading  # noqa: F401
import time
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.engine.vm.mux import READ, Channel, Mux, Watch, WireEndedError
else:  # it stands beside this file in the guest
    from mux import READ, Channel, Mux, Watch, WireEndedError

PORTS = Path("/sys/class/virtio-ports")
ASKED = "/run/labkit/publish"  # a line for each port that an engine publishes: see labkit-publish
ANSWERS = Path("/run/labkit/published")
FAMILIES = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
# random_device(4): credit these bits, and use them from now on.
RNDADDENTROPY, RNDRESEEDCRNG = 0x40085203, 0x5207


class SerialPort:
    """The wire: virtio's serial port of our name; nobody reads at the other end after `b""`."""

    def __init__(self) -> None:
        named = (port for port in PORTS.iterdir() if (port / "name").read_text() == "labkit\n")
        self._fd = os.open(f"/dev/{next(named).name}", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        return self._fd

    def recv(self, size: int) -> bytes:
        return os.read(self._fd, size)

    def send(self, data: memoryview) -> int:
        return os.write(self._fd, data)

    def wait_for_reader(self) -> None:
        """Wait for the other end; its coming raises no event."""
        poll = select.poll()
        poll.register(self._fd, 0)  # POLLHUP is always told
        while poll.poll(0):
            time.sleep(0.05)


class Entrance:
    """What the other end may ask for."""

    def __init__(self) -> None:
        self._watch = Watch()
        self._wire = SerialPort()
        self._mux = Mux(self._wire, self._watch, on_open=self._opened, on_note=self._told)
        self._published: dict[int, dict[str, Any]] = {}
        ANSWERS.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkfifo(ASKED, 0o600)
        # Open at both ends: it never says that there is nobody any more.
        self._asked = os.open(ASKED, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._watch.on(self._asked, READ, self._asks)

    def serve(self) -> None:
        """Serve one client after another, for ever."""
        while True:
            try:
                self._watch.run_once()
            except WireEndedError:
                self._mux.begin_anew()
                self._wire.wait_for_reader()

    # --- channels --------------------------------------------------------------------------------

    def _opened(self, channel: Channel, what: dict[str, Any]) -> None:
        if what.get("to") == "program":
            self._run(channel)
            return
        if what.get("to") == "unix":
            end = socket.socket(socket.AF_UNIX)
            address: Any = what["path"]
        else:
            address = (what["address"], what["port"])
            family = socket.AF_INET6 if ":" in what["address"] else socket.AF_INET
            end = socket.socket(family, FAMILIES[what["to"]])
        end.setblocking(False)
        try:
            end.connect(address)
        except BlockingIOError:
            channel.join(end, connecting=True)
        except OSError:
            end.close()
            channel.reset()
        else:
            channel.join(end)

    def _run(self, channel: Channel) -> None:
        ours, theirs = socket.socketpair()
        if (pid := os.fork()) == 0:
            become_program(theirs)
        theirs.close()

        def end() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

        channel.on_end = end
        channel.join(ours, half_closes=False)

    # --- notes -----------------------------------------------------------------------------------

    def _told(self, what: dict[str, Any]) -> None:
        if "hello" in what:
            self._mux.begin_anew(with_zeros=True)
            self._mux.note({"hello": what["hello"], "published": list(self._published.values())})
        if "seed" in what:
            reseed(bytes.fromhex(what["seed"]))
        if "clock" in what:
            if abs(what["clock"] - time.time_ns()) > what["tolerated"]:
                time.clock_settime_ns(time.CLOCK_REALTIME, what["clock"])
            self._mux.note({"clock": time.time_ns()})
        if "answer" in what:
            self._answer(what["answer"], what["why"])

    # --- published ports -------------------------------------------------------------------------

    def _asks(self, events: int) -> None:
        """An engine publishes ports: its proxies wait for what the other end says of them."""
        for line in os.read(self._asked, 65536).decode().splitlines():
            pid, *words = line.split()
            try:
                told = dict(zip(words[::2], words[1::2], strict=True))
                port = {
                    "publish": int(pid),
                    "protocol": told["-proto"],
                    "address": told["-host-ip"],
                    "port": int(told["-host-port"]),
                    "to": [told["-container-ip"], int(told["-container-port"])],
                }
                process = os.pidfd_open(int(pid))
            except ProcessLookupError:
                continue
            except (KeyError, ValueError):  # another engine's way of calling its proxy
                self._answer(int(pid), f"labkit does not understand {line!r}")
                continue
            self._published[int(pid)] = port
            self._watch.on(process, READ, partial(self._gone, int(pid), process))
            self._mux.note(port)

    def _gone(self, pid: int, process: int, events: int) -> None:
        """A proxy has ended, and with it what was published."""
        self._watch.on(process, 0, lambda _: None)
        os.close(process)
        (ANSWERS / str(pid)).unlink(missing_ok=True)
        self._published.pop(pid, None)
        self._mux.note({"unpublish": pid})

    def _answer(self, pid: int, why: str | None) -> None:
        with contextlib.suppress(OSError):  # it has gone
            fd = os.open(ANSWERS / str(pid), os.O_WRONLY | os.O_NONBLOCK)
            os.write(fd, f"{why or 'ok'}\n".encode())
            os.close(fd)


def become_program(end: socket.socket) -> None:
    """Read a program from its client, and be it."""
    code = 1
    try:
        os.setsid()
        os.dup2(end.fileno(), 0)
        os.dup2(end.fileno(), 1)
        os.closerange(3, 65536)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        raw = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115  it must read no more than it is asked
        head = b""
        while not head.endswith(b"\n"):
            head += raw.read(1) or sys.exit(1)
        told = json.loads(head)
        source = b""
        while len(source) < told["size"]:
            source += raw.read(told["size"] - len(source)) or sys.exit(1)
        sys.argv = told["argv"]
        sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115  they live as long as we do
        exec(compile(source, sys.argv[0], "exec"), {"__name__": "__main__"})
        code = 0
    except SystemExit as end_of_program:
        code = end_of_program.code if isinstance(end_of_program.code, int) else 0
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(code)


def reseed(seed: bytes) -> None:
    """What a restored guest knows of chance, others know as well."""
    with Path("/dev/urandom").open("wb") as random:
        fcntl.ioctl(random, RNDADDENTROPY, struct.pack("ii", len(seed) * 8, len(seed)) + seed)
        fcntl.ioctl(random, RNDRESEEDCRNG)


signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the children, wait(2)
Entrance().serve()
