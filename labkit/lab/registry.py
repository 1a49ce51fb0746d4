"""The labs that are open on this machine, each with its socket and a note of whose it is."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from labkit import paths
from labkit.engine.endpoint import SOCKET, VARIABLES
from labkit.owner import is_dead
from labkit.proxy.recorder import PLACE

ANSWER = 5.0  # seconds
BACKLOG = 1024  # connections that may wait
# Leads to the lab of the notebook in which a cell ran last. A client says this name where there is
# none.
CURRENT = "notebook-of-the-last-cell.sock"


@dataclass(frozen=True)
class Entry:
    """A lab that is open."""

    lab: str
    session: str
    owner: str
    pid: int
    notebook: str  # its path, where Jupyter tells it
    engine: str  # the address of the engine itself

    @property
    def socket(self) -> Path:
        """Where Docker's clients reach the lab."""
        return folder() / f"{self.lab}.sock"

    def is_served(self) -> bool:
        """Whether somebody answers there."""
        with suppress(OSError, HTTPException):
            self.ask(PLACE)
            return True
        return False

    def ask(self, path: str) -> bytes:
        """What is answered there to a GET. Raises OSError, HTTPException."""
        line = HTTPConnection("docker", timeout=ANSWER)
        line.sock = socket.socket(socket.AF_UNIX)
        with closing(line):
            line.sock.settimeout(ANSWER)
            line.sock.connect(str(self.socket))
            line.request("GET", path)
            return line.getresponse().read()

    @property
    def whose(self) -> str:
        """For people."""
        return self.notebook or f"process {self.pid}"


def folder() -> Path:
    """The folder of the sockets; another one where a path in it would be too long for a socket."""
    usual = paths.sockets()
    if len(os.fsencode(usual / CURRENT)) <= paths.SOCKET_PATH_MAX - 8:
        return usual
    return Path(tempfile.gettempdir()) / f"labkit-labs-{os.geteuid()}"


def listen(entry: Entry) -> socket.socket:
    """The lab's socket, which listens already; nobody serves it yet. Raises OSError."""
    place = folder()
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    listening = socket.socket(socket.AF_UNIX)
    try:
        listening.bind(str(entry.socket))
        found = place.stat()
        if found.st_uid != entry.socket.stat().st_uid or found.st_mode & 0o077:
            raise PermissionError(f"{place} is not this user's own")
        listening.listen(BACKLOG)
        _note(entry.lab).write_text(json.dumps(asdict(entry)))
    except BaseException:
        listening.close()
        raise
    return listening


def lead_to(entry: Entry) -> None:
    """Let a terminal's commands go to this lab from now on."""
    place = folder()
    fresh = place / f"{CURRENT}.{entry.lab}"
    with suppress(OSError):
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(entry.socket.name)
        fresh.replace(place / CURRENT)


def current() -> Path:
    """What leads there."""
    return folder() / CURRENT


def followed() -> Entry | None:
    """The lab to which it leads now."""
    with suppress(OSError):
        lab = current().readlink().stem
        return next((one for one in entries() if one.lab == lab and one.is_served()), None)
    return None


def environ_of(path: Path) -> dict[str, str]:
    """What leads Docker's clients to a lab's socket."""
    address = f"unix://{path}"
    # buildx would speak TLS to this socket where the variables of an engine elsewhere are set.
    others = dict.fromkeys(VARIABLES, "")
    return {**others, "DOCKER_HOST": address, SOCKET: address}


def forget(lab: str) -> None:
    """Remove a lab's socket and its note."""
    for path in (folder() / f"{lab}.sock", _note(lab)):
        with suppress(OSError):
            path.unlink(missing_ok=True)
    link = current()
    with suppress(OSError):
        if link.readlink().name == f"{lab}.sock":
            link.unlink()


def entries() -> list[Entry]:
    """The open labs, and those whose owners have ended and left their note."""
    found = []
    with suppress(OSError):
        for note in sorted(folder().glob("*.json")):
            with suppress(OSError, ValueError, TypeError):
                said: Mapping[str, object] = json.loads(note.read_text())
                found.append(Entry(**said))  # type: ignore[arg-type]
    return found


def forgotten_labs() -> list[str]:
    """The labs of owners that are known to have ended."""
    return [one.lab for one in entries() if is_dead(one.owner)]


def _note(lab: str) -> Path:
    return folder() / f"{lab}.json"
