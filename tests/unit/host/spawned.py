"""The agent as a program of its own, on this machine: no engine is needed."""

from __future__ import annotations

import socket
import subprocess
import sys

from labkit.host import agent
from labkit.host.remote import RemoteHost
from labkit.host.transport import SocketTransport, Transport


class Spawned(RemoteHost):
    """A host whose agent is a child process, joined by a pair of sockets."""

    how = "by a child process"

    def __init__(self, *, patience: float = 30.0) -> None:
        self.children: list[subprocess.Popen[bytes]] = []
        children = self.children

        def start() -> Transport:
            ours, theirs = socket.socketpair()
            with theirs:
                argv = [sys.executable, "-S", str(agent.__file__)]
                end = theirs.fileno()
                children.append(subprocess.Popen(argv, stdin=end, stdout=end))
            return SocketTransport(ours)

        super().__init__(start, patience=patience)

    @property
    def agent_pid(self) -> int:
        return self.children[-1].pid

    def close(self) -> None:
        super().close()
        for child in self.children:
            child.wait(10)
