"""A host: the machine on which an engine's processes live, seen through the agent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from labkit.host.answers import Answer, Entry, Ran, Request, Sample, host_error, value_of
from labkit.host.stream import Chunks, Stream


class Host(ABC):
    """Answers batches of requests; every method below is one batch, or one long look.

    What cannot be asked for (a path that is not absolute, an unknown signal) is a BadValueError.
    """

    how: str  # how the host is seen, for people: "directly", "through a probe container"

    @abstractmethod
    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        """Send one batch, and return one answer for each request, in order."""

    @abstractmethod
    def look(self, request: Request) -> Chunks:
        """Begin a long look. Raises HostError, BadValueError."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what the host needs to be seen; it can be used no more."""

    @property
    def anchor(self) -> int:
        """The pid of a process of the engine's: what "the host's namespaces" means."""
        return int(self._one({"op": "anchor"}))

    def read(self, path: str) -> str:
        """The text of one regular file, of 8 MiB at most. Shell: `cat PATH`."""
        return str(self._one({"op": "read", "path": path}))

    def read_many(self, paths: Sequence[str]) -> dict[str, str]:
        """The texts of the files among `paths` that exist and may be read."""
        requests = [{"op": "read", "path": path} for path in paths]
        found = {}
        for request, answer in zip(requests, self.ask(requests), strict=True):
            if "value" in answer:
                found[request["path"]] = answer["value"]
            elif "bad" in answer:
                raise host_error(request, answer)
        return found

    def link(self, path: str) -> str:
        """Where a symbolic link leads. Shell: `readlink PATH`."""
        return str(self._one({"op": "link", "path": path}))

    def list(self, path: str) -> list[str]:
        """The names in a directory, sorted. Shell: `ls -A PATH`."""
        return list(self._one({"op": "list", "path": path}))

    def stat(self, path: str, *, follow: bool = False) -> dict[str, int]:
        """mode, ino, dev, nlink, uid, gid, size (bytes), rdev, mtime_ns (since 1970).

        `follow`: of what a link leads to.

        Shell: `stat PATH`, `stat --dereference PATH`.
        """
        return dict(self._one({"op": "stat", "path": path, "follow": follow}))

    def xattrs(self, path: str) -> dict[str, str]:
        """The extended attributes of a file, itself and not what a link leads to; man 7 xattr.

        Those of `trusted.` are seen by root alone. Shell: `getfattr --no-dereference -d -m - PATH`.
        """
        return dict(self._one({"op": "xattrs", "path": path}))

    def sweep(
        self, *, read: Sequence[str] = (), link: Sequence[str] = ()
    ) -> dict[int, dict[str, str | None]]:
        """For every process, the files and links asked for below /proc/PID.

        What the kernel refuses is None; a process that refuses all of it is left out.
        """
        found = self._one({"op": "sweep", "read": read, "link": link})
        return {int(pid): seen for pid, seen in found.items()}

    def walk(self, path: str) -> Stream[Entry]:
        """All below a path, itself first, as it is found; no link is followed. Shell: `find PATH`.

        Its reader sets the pace. Raises HostError.
        """
        return Stream(self.look({"op": "walk", "path": path}), Entry._make)

    def sample(self, paths: Sequence[str], *, interval: float = 0.1) -> Stream[Sample]:
        """Some files, read every `interval` seconds. Shell: `watch -p -n SECONDS cat PATH`.

        Tick n is n intervals after the first; what its reader is too slow for is left out.
        """
        request = {"op": "sample", "paths": paths, "interval": interval}
        return Stream(self.look(request), lambda item: Sample(*item))

    def kill(self, pid: int, *, signal: str = "TERM") -> None:
        """Send a signal to a process. Shell: `kill -s SIGNAL PID`."""
        self._one({"op": "kill", "pid": pid, "signal": signal})

    def end(self, pid: int, *, start: int) -> int:
        """Kill a process and all its descendants; return how many they were.

        `start`: when it began, in clock ticks since boot (`Process.start_time`); another process
        that has got its pid is left alone. Raises ProcessGoneError.
        """
        return int(self._one({"op": "end", "pid": pid, "start": start}))

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

        The program is the host's own, unless "mnt" is among the namespaces. An interrupt kills
        it, with all that it has started. Shell: `nsenter --target PID --net ip addr`.
        Raises HostError, MissingToolError.
        """
        request: Request = {"op": "run", "argv": argv, "stdin": stdin, "timeout": timeout}
        if namespaces:
            request.update(pid=pid, namespaces=namespaces)
        return Ran(**self._one(request))

    def _one(self, request: Request) -> Any:
        return value_of(request, self.ask([request])[0])
