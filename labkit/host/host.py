"""A host: the machine on which an engine's processes live, seen through the agent."""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labkit.errors import HostError, HostPermissionError, MissingToolError, ProcessGoneError
from labkit.host.agent import Agent

ANSWER_TIMEOUT = 30.0  # seconds; most answers take less than one millisecond
Request = dict[str, Any]
Answer = dict[str, Any]


@dataclass(frozen=True)
class Ran:
    """What a command that ran on the host returned."""

    exit_code: int
    stdout: str
    stderr: str


class Host(ABC):
    """Answers batches of requests; every method below is one batch."""

    how: str  # how the host is seen, for people: "directly", "through a probe container"

    @abstractmethod
    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        """Send one batch, and return one answer for each request, in order."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what the host needs to be seen; it can be used no more."""

    @property
    def anchor(self) -> int:
        """The pid of a process of the engine's: what "the host's namespaces" means."""
        return int(self._one({"op": "anchor"}))

    def read(self, path: str) -> str:
        """The text of one file. Shell: `cat PATH`."""
        return str(self._one({"op": "read", "path": path}))

    def read_many(self, paths: Sequence[str]) -> dict[str, str]:
        """The texts of the files among `paths` that exist and may be read."""
        answers = self.ask([{"op": "read", "path": path} for path in paths])
        return {
            path: answer["value"]
            for path, answer in zip(paths, answers, strict=True)
            if "value" in answer
        }

    def link(self, path: str) -> str:
        """Where a symbolic link leads. Shell: `readlink PATH`."""
        return str(self._one({"op": "link", "path": path}))

    def list(self, path: str) -> list[str]:
        """The names in a directory, sorted. Shell: `ls -A PATH`."""
        return list(self._one({"op": "list", "path": path}))

    def stat(self, path: str) -> dict[str, int]:
        """mode, ino, dev, nlink, uid, gid, size (bytes), rdev. Shell: `stat PATH`."""
        return dict(self._one({"op": "stat", "path": path}))

    def sweep(
        self, *, read: Sequence[str] = (), link: Sequence[str] = ()
    ) -> dict[int, dict[str, str | None]]:
        """For every process, the files and links asked for below /proc/PID.

        What the kernel refuses is None; a process that refuses all of it is left out.
        """
        found = self._one({"op": "sweep", "read": list(read), "link": list(link)})
        return {int(pid): seen for pid, seen in found.items()}

    def kill(self, pid: int, *, signal: str = "TERM") -> None:
        """Send a signal to a process. Shell: `kill -s SIGNAL PID`."""
        self._one({"op": "kill", "pid": pid, "signal": signal.removeprefix("SIG")})

    def run(
        self,
        argv: Sequence[str],
        *,
        pid: int | None = None,
        namespaces: Sequence[str] = (),
        stdin: str = "",
        timeout: float = 10,
    ) -> Ran:
        """Run a command inside some namespaces of a process; `timeout` is in seconds.

        The program is the host's own, unless "mnt" is among the namespaces.
        Shell: `nsenter --target PID --net ip addr`. Raises HostError.
        """
        request = {"op": "run", "argv": list(argv), "stdin": stdin, "timeout": timeout}
        if namespaces:
            request.update(pid=pid, namespaces=list(namespaces))
        return Ran(**self._one(request))

    def _one(self, request: Request) -> Any:
        answer = self.ask([request])[0]
        if "errno" in answer:
            raise host_error(request, answer)
        return answer["value"]


def host_error(request: Request, answer: Answer) -> HostError | MissingToolError:
    """The error that an agent's answer stands for."""
    what = request.get("path") or request.get("pid") or " ".join(request.get("argv", ()))
    doing = f"{request['op']} {what}"
    number, seen = answer["errno"], answer["error"]
    if request["op"] == "run" and number == errno.ENOENT:
        return MissingToolError(
            f"The host has no such program: cannot {doing}.",
            seen=seen,
            do="install it there, or run it in a container of the `toolbox` image",
        )
    if number in (errno.ESRCH, errno.ENOENT) and ("/proc/" in doing or request["op"] == "kill"):
        return ProcessGoneError(
            f"The process has ended: cannot {doing}.",
            seen=seen,
            do="start the container again, and look at its logs if it should have been running",
        )
    if number in (errno.EACCES, errno.EPERM):
        return HostPermissionError(
            f"The kernel does not allow this user to {doing}.",
            seen=seen,
            do="run as root, or let labkit look through its probe container",
        )
    return HostError(f"The host cannot {doing}.", seen=seen, do="see `labkit doctor`")


class LocalHost(Host):
    """This machine, seen by this process: for root on the engine's own kernel."""

    how = "directly"

    def __init__(self, *, anchor: int | None = None) -> None:
        self._agent = Agent(anchor or os.getpid())

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        return [self._agent.answer(request) for request in requests]

    def close(self) -> None:
        pass
