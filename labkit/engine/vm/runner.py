"""The client's side of the guest's runner: a Python program brought along, run in the guest.

Standard library only is a rule for the program, too: the guest has python3 and nothing else.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from labkit.errors import EngineGoneError, EngineRefusedError

from .tls import client_context

# What a restored guest must be told, random_device(4) and clock_settime(2): the time, and that
# its random state has been used before. RNDADDENTROPY, then RNDRESEEDCRNG.
_SET_CLOCK = """
import fcntl, struct, time
time.clock_settime(time.CLOCK_REALTIME, {now})
seed = bytes.fromhex("{seed}")
with open("/dev/urandom", "wb") as random:
    fcntl.ioctl(random, 0x40085203, struct.pack("ii", len(seed) * 8, len(seed)) + seed)
    fcntl.ioctl(random, 0x5207)
print("done")
"""
# In a session of its own, for what the runner starts ends with the connection.
_HALT = """
from subprocess import DEVNULL, Popen
Popen(["/usr/sbin/labkit-halt"], start_new_session=True, stdin=DEVNULL, stdout=DEVNULL)
"""


@dataclass(frozen=True)
class GuestRunner:
    """Where the runner of one guest is, and the folder of the client certificate."""

    port: int  # on 127.0.0.1
    certificates: Path

    def open(self, source: str, *argv: str, timeout: float | None = 30.0) -> ssl.SSLSocket:
        """Run a program in the guest; the socket is its standard input and output.

        It runs as root in the guest's own namespaces, in a process of its own, which is killed
        when the socket closes. `timeout`: seconds that one read may take. Raises
        `EngineGoneError` if the runner does not answer, `EngineRefusedError` if it does not let
        us in. One thread may use the socket at a time.
        """
        context = client_context(self.certificates)
        program = source.encode()
        head = {"size": len(program), "argv": list(argv) or ["agent.py"]}
        try:
            raw = socket.create_connection(("127.0.0.1", self.port), timeout=timeout)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tls = context.wrap_socket(raw, server_hostname="127.0.0.1")
            tls.sendall(json.dumps(head).encode() + b"\n" + program)
        except ssl.SSLError as err:
            raise EngineRefusedError(
                "The guest's runner does not know us.",
                seen=str(err),
                do="`labkit engine stop`, then start it again",
            ) from err
        except OSError as err:
            raise EngineGoneError(
                "The guest's runner does not answer.",
                seen=str(err),
                do="`labkit engine stop`, then start it again",
            ) from err
        return tls

    def run(self, source: str, *, timeout: float = 30.0) -> str:
        """Run a program to its end and return what it prints."""
        with self.open(source, timeout=timeout) as tls, tls.makefile("rb") as stream:
            try:
                return stream.read().decode()
            except OSError as err:
                raise EngineGoneError(
                    "The guest's runner fell silent.",
                    seen=str(err),
                    do="look at serial.log in the machine's folder",
                ) from err

    def set_clock_and_reseed(self, *, timeout: float) -> None:
        """Set the guest's clock and reseed its random numbers; both are old after a restore."""
        source = _SET_CLOCK.format(now=repr(time.time()), seed=os.urandom(64).hex())
        if (said := self.run(source, timeout=timeout)) != "done\n":
            raise EngineGoneError(
                "The guest's clock could not be set.",
                seen=said or "no answer",
                do="look at serial.log in the machine's folder",
            )

    def halt(self) -> None:
        """Ask the guest to shut down cleanly; returns when it has begun to."""
        self.run(_HALT)
