"""This machine as a host: the agent in this very process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from labkit.errors import HostError
from labkit.host.agent import Agent, processes, refused
from labkit.host.answers import Answer, Request, host_error
from labkit.host.host import Host
from labkit.host.stream import Chunks


class LocalHost(Host):
    """This machine, seen by this process: for root on the engine's own kernel.

    `anchor` is a process of the engine's, this one if it is left out; `renew` finds it again when
    it has ended, as it has when the engine was restarted.
    """

    how = "directly"

    def __init__(
        self, *, anchor: int | None = None, renew: Callable[[], int | None] | None = None
    ) -> None:
        self._agent = Agent(anchor or os.getpid())
        self._start = _start(self._agent.anchor)
        self._renew = renew

    @property
    def anchor(self) -> int:
        if self._renew and _start(self._agent.anchor) != self._start:
            found = self._renew()
            if found is None:
                raise HostError(
                    "The engine has ended.",
                    seen=f"its process {self._agent.anchor} is gone",
                    do="start it again; `labkit doctor` tests the engine",
                )
            self._agent.anchor, self._start = found, _start(found)
        return self._agent.anchor

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        return self._agent.answers(list(requests))

    def look(self, request: Request) -> Chunks:
        def translated(chunks: Iterator[list[Any]]) -> Iterator[list[Any]]:
            try:
                yield from chunks
            except OSError as err:
                raise host_error(request, refused(err)) from err

        try:
            return translated(self._agent.stream(request, time.sleep))  # type: ignore[return-value]
        except Exception as err:
            raise host_error(request, refused(err)) from err

    def close(self) -> None:
        pass


def _start(pid: int) -> int | None:
    """When a process began, in clock ticks since boot; None if it has ended."""
    return processes([pid]).get(pid, (0, "", None))[2]
