"""A conversation with an agent, by many threads at once, that survives what happens to it."""

from __future__ import annotations

import itertools
import os
import warnings
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from labkit.errors import HostError, LabError
from labkit.host.agent import CHANGES
from labkit.host.answers import Answer, Request, host_error
from labkit.host.line import Asked, Line
from labkit.host.link import AGAIN
from labkit.host.stream import Chunks
from labkit.host.transport import Transport

ANSWER_TIMEOUT = 30.0  # seconds; most answers take less than one millisecond
LONGEST = 1e9  # seconds; what is beyond, the agent refuses
_numbers = itertools.count(1)
_all: weakref.WeakSet[Conversation] = weakref.WeakSet()


class HostRestartedWarning(UserWarning):
    """What sees the engine's host for us had gone, and was started anew."""


class Conversation:
    """Requests to an agent that `start` connects to, now and whenever it has gone.

    An interrupt, or a request that is not answered in `patience` seconds, costs that answer and
    no other. `start` must not hold the conversation, whose end it would prevent.
    """

    def __init__(self, start: Callable[[], Transport], *, patience: float = ANSWER_TIMEOUT) -> None:
        self.patience = patience
        self._start = start
        self._new_line()
        _all.add(self)

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer for each request, in order. Raises HostError."""
        ops = [request.get("op") for request in requests]
        asked = Asked(
            next(_numbers),
            {"ask": list(requests)},
            # Commands have timeouts of their own, which the agent keeps.
            patience=self.patience + sum(map(_own_timeout, requests)),
            reads=not set(CHANGES) & {op for op in ops if isinstance(op, str)},
        )
        line = self._line
        try:
            line.post("ask", asked)
            answers: list[Answer] = self.wait(line, asked)["answers"]
        except BaseException:
            with suppress(HostError):
                line.post("cancel", asked)  # and if it has been answered, this does nothing
            raise
        return answers

    def look(self, request: Request) -> Chunks:
        """Begin a long look. Raises HostError, BadValueError."""
        return _RemoteChunks(self, self._line, request)

    def wait(self, line: Line, asked: Asked) -> dict[str, Any]:
        """What the agent answers next; says so if it was started anew for that."""
        outcome = asked.outcome.get()
        with suppress(IndexError):
            why = line.restarts.popleft()
            what = f"What sees the engine's host had gone, and was started anew: {why}."
            warnings.warn(HostRestartedWarning(what), stacklevel=5)
        if isinstance(outcome, LabError):
            raise outcome
        if "bad" in outcome:
            raise HostError("The agent does not understand us.", seen=str(outcome), do=AGAIN)
        return outcome

    def close(self) -> None:
        """End it, and the agent with it."""
        self._line.close()

    def _new_line(self) -> None:
        self._line = Line(self._start)
        weakref.finalize(self, self._line.stop)

    def _after_fork(self) -> None:
        """In the child: the parent's conversation is the parent's."""
        self._line.forget()
        self._new_line()


def _own_timeout(request: Request) -> float:
    timeout = request.get("timeout")
    return timeout if isinstance(timeout, int | float) and 0 < timeout < LONGEST else 0


def _in_child() -> None:
    for conversation in list(_all):
        conversation._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


class _RemoteChunks:
    """A long look of an agent's: each step asks for one chunk more, so that no more can come."""

    def __init__(self, conversation: Conversation, line: Line, request: Request) -> None:
        self._conversation, self._line, self._request = conversation, line, request
        self._open = True
        self._asked = Asked(
            next(_numbers), {"stream": request}, patience=conversation.patience, reads=False
        )
        try:
            line.post("ask", self._asked)
            self._receive()
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> _RemoteChunks:
        return self

    def __next__(self) -> list[Any]:
        if not self._open:
            raise StopIteration
        self._line.post("credit", self._asked)
        return self._receive()

    def _receive(self) -> list[Any]:
        message = self._conversation.wait(self._line, self._asked)
        if "items" in message:
            return list(message["items"])
        self._open = False
        if "value" not in message["end"]:
            raise host_error(self._request, message["end"])
        raise StopIteration

    def close(self) -> None:
        if self._open:
            self._open = False
            with suppress(HostError):
                self._line.post("cancel", self._asked)

    __del__ = close
