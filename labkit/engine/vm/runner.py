"""The client's side of the guest's runner: a Python program brought along, run in the guest.

Standard library only is a rule for the program, too: the guest has python3 and nothing else.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path

from labkit.errors import EngineGoneError

# In a session of its own, for what the runner starts ends with the connection.
_HALT = """
from subprocess import DEVNULL, Popen
Popen(["/usr/sbin/labkit-halt"], start_new_session=True, stdin=DEVNULL, stdout=DEVNULL)
"""


@dataclass(frozen=True)
class GuestRunner:
    """Where the runner of one guest is."""

    path: Path

    def open(self, source: str, *argv: str, timeout: float | None = 30.0) -> socket.socket:
        """Run a program in the guest; the socket is its standard input and output.

        It runs as root in the guest's own namespaces, in a process of its own, which is killed
        when the socket closes. `timeout`: seconds that one read may take. Raises
        `EngineGoneError` if the runner does not answer.
        """
        program = source.encode()
        head = {"size": len(program), "argv": list(argv) or ["agent.py"]}
        end = socket.socket(socket.AF_UNIX)
        end.settimeout(timeout)
        try:
            end.connect(str(self.path))
            end.sendall(json.dumps(head).encode() + b"\n" + program)
        except OSError as err:
            end.close()
            raise EngineGoneError(
                "The guest's runner does not answer.",
                seen=str(err),
                do="`labkit engine start`; if that does not help: `labkit engine stop`, and again",
            ) from err
        return end

    def run(self, source: str, *, timeout: float = 30.0) -> str:
        """Run a program to its end and return what it prints."""
        with self.open(source, timeout=timeout) as end, end.makefile("rb") as stream:
            try:
                return stream.read().decode()
            except OSError as err:
                raise EngineGoneError(
                    "The guest's runner fell silent.",
                    seen=str(err),
                    do="look at serial.log in the machine's folder",
                ) from err

    def halt(self) -> None:
        """Ask the guest to shut down cleanly; returns when it has begun to."""
        self.run(_HALT)
