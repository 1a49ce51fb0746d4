"""A host that is a guest of ours: the agent runs in it, and answers over a connection."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from labkit.host import agent
from labkit.host.conversation import ANSWER_TIMEOUT
from labkit.host.remote import RemoteHost
from labkit.host.transport import SocketTransport, Transport


class GuestHost(RemoteHost):
    """The agent in a virtual machine; `open` runs a program there, connected to its stdin."""

    how = "by an agent in the micro-VM"

    def __init__(
        self, open: Callable[[str], socket.socket], *, patience: float = ANSWER_TIMEOUT
    ) -> None:
        def start() -> Transport:
            return SocketTransport(open(Path(agent.__file__).read_text()))

        super().__init__(start, patience=patience)
