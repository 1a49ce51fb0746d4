"""A host that is asked each question once: whoever looks several times sees one moment."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from labkit.errors import BadValueError
from labkit.host.answers import Answer, Request
from labkit.host.host import Host
from labkit.host.stream import Chunks

READING = frozenset({"anchor", "read", "link", "list", "stat", "sweep", "walk", "xattrs"})
# Programs that tell and change nothing, with all their words.
TELLING = frozenset({("ip", "-o", "-4", "address", "show"), ("uname", "-n")})


class RememberedHost(Host):
    """The answers of another host, as they were when each question was first asked.

    It reads and never changes. `answers` may be those of an earlier look, and `host` None: then
    what was not asked before is a KeyError.
    """

    how = "as it was at one moment"

    def __init__(self, host: Callable[[], Host] | None, answers: dict[str, Answer]) -> None:
        self._host = host
        self._answers = answers

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        keys = [_key(request) for request in requests]
        new = {key: r for key, r in zip(keys, requests, strict=True) if key not in self._answers}
        if new:
            if self._host is None:
                raise KeyError(next(iter(new)))
            answered = self._host().ask(list(new.values()))
            self._answers.update(zip(new, answered, strict=True))
        return [self._answers[key] for key in keys]

    def look(self, request: Request) -> Chunks:
        """A walk, remembered whole; a look that has no end of its own belongs to no moment."""
        if request["op"] != "walk":
            raise _not_reading(request)
        key = _key(request)
        if key not in self._answers:
            if self._host is None:
                raise KeyError(key)
            chunks = self._host().look(request)
            try:
                self._answers[key] = {"value": [item for chunk in chunks for item in chunk]}
            finally:
                chunks.close()
        return (chunk for chunk in [self._answers[key]["value"]])

    def close(self) -> None:
        """Nothing: the other host goes on."""


def _key(request: Request) -> str:
    if request["op"] not in READING and tuple(request.get("argv", ())) not in TELLING:
        raise _not_reading(request)
    return json.dumps(request, sort_keys=True)


def _not_reading(request: Request) -> BadValueError:
    return BadValueError(
        f"Whoever only looks cannot {request['op']}.",
        value=request,
        seen=" ".join(map(str, request.get("argv", ()))),
        do=f"ask for one of: {', '.join(sorted(READING))}",
    )
