"""QEMU's monitor, spoken without an event loop: QMP over a Unix socket.

The `qemu.qmp` package runs an asyncio loop, which a notebook's cell already has; a request and
its answer are a line of JSON each. Source: https://www.qemu.org/docs/master/interop/qmp-spec.html
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRWPair
from pathlib import Path
from typing import Any

from labkit.errors import EngineGoneError, EngineRefusedError

SOCKET = "qmp.sock"
TIMEOUT = 30.0  # seconds that one answer may take


class Qmp:
    """An open monitor: one client at a time, so open it for a request and close it again."""

    def __init__(self, stream: BufferedRWPair) -> None:
        self._stream = stream
        self._read()  # the greeting
        self.command("qmp_capabilities")

    def _read(self) -> dict[str, Any]:
        try:
            line = self._stream.readline()
        except OSError as err:
            raise _gone(f"{err}") from err
        if not line:
            raise _gone("it closed the connection")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def command(self, name: str, **arguments: object) -> Any:
        """Execute a command and return its result; raises `EngineRefusedError`."""
        request = {"execute": name, "arguments": arguments}
        try:
            self._stream.write(json.dumps(request).encode() + b"\n")
            self._stream.flush()
        except OSError as err:
            raise _gone(f"{err}") from err
        while "return" not in (answer := self._read()):
            if error := answer.get("error"):
                raise EngineRefusedError(
                    f"QEMU refused `{name}`.",
                    seen=error["desc"],
                    do="see qemu.log in the machine's folder",
                )
        return answer["return"]


def connect(folder: Path, name: str) -> socket.socket:
    """Connect to a Unix socket of the machine in `folder`. Raises OSError."""
    # A Unix socket's path has 107 bytes at most, unix(7); through the folder's descriptor it fits.
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(TIMEOUT)
    try:
        connection.connect(f"/proc/self/fd/{fd}/{name}")
    except OSError:
        connection.close()
        raise
    finally:
        os.close(fd)
    return connection


@contextmanager
def monitor(folder: Path) -> Iterator[Qmp]:
    """Open the monitor of the machine in `folder`; raises `EngineGoneError` if none listens."""
    try:
        connection = connect(folder, SOCKET)
    except OSError as err:
        raise _gone(f"{err}") from err
    with connection, connection.makefile("rwb") as stream:
        yield Qmp(stream)


def _gone(seen: str) -> EngineGoneError:
    return EngineGoneError(
        "The micro-VM's monitor does not answer.",
        seen=seen,
        do="`labkit engine stop`, then start it again",
    )
