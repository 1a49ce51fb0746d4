"""The conversation that went through a socket: who asked what, and what it was for."""

from __future__ import annotations

import re
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

KEPT = 1000  # exchanges
PLACE = "/labkit/conversation"  # where the socket tells them
# What Docker's manual says of each, in a few words: Docker Engine API.
PURPOSES = (
    (r"(GET|HEAD) /_ping", "is the engine there, and which API does it speak?"),
    (r"GET /version", "which versions of the engine and its parts?"),
    (r"GET /info", "what can the engine do?"),
    (r"GET /containers/json", "list containers"),
    (r"POST /containers/create", "make the container; nothing of it runs yet"),
    (r"POST /containers/[^/]+/attach", "connect the terminal to its streams"),
    (r"POST /containers/[^/]+/wait", "tell me when it ends, and how"),
    (r"POST /containers/[^/]+/start", "start its first process"),
    (r"POST /containers/[^/]+/resize", "the terminal has another size"),
    (r"POST /containers/[^/]+/exec", "prepare another program in it"),
    (r"POST /exec/[^/]+/start", "start that program, and connect to its streams"),
    (r"GET /exec/[^/]+/json", "how did that program end?"),
    (r"POST /containers/[^/]+/(\w+)", r"\1 it"),
    (r"GET /containers/[^/]+/json", "all that is known of the container"),
    (r"(GET|HEAD|PUT) /containers/[^/]+/archive", "copy files, as a tar archive"),
    (r"GET /containers/[^/]+/(\w+)", r"its \1"),
    (r"DELETE /containers/[^/]+", "remove the container"),
    (r"POST /images/create", "pull the image from its registry"),
    (r"GET /images/json", "list images"),
    (r"GET /images/.+/json", "all that is known of the image"),
    (r"POST /build", "build an image"),
    (r"POST /session", "files and secrets for a build, when it asks for them"),
    (r"POST /grpc", "talk with BuildKit itself"),
    (r"GET /events", "tell me what happens"),
    (r"POST /networks/create", "make the network"),
    (r"POST /networks/[^/]+/(\w+)", r"\1 a container"),
    (r"POST /volumes/create", "make the volume"),
    (r"POST /(\w+)/prune", r"remove the \1 that are not in use"),
    (r"GET /(\w+).*", r"look at \1"),
    (r"DELETE /(\w+).*", r"remove one of the \1"),
)  # fmt: skip


@dataclass
class Exchange:
    """One request and its answer."""

    number: int
    began: float  # seconds since the epoch
    method: str
    path: str
    purpose: str
    status: int = 0
    sent: int = 0  # bytes of bodies and streams, from the client
    received: int = 0  # and to it
    seconds: float = 0.0


class Recorder:
    """Keeps the last exchanges."""

    def __init__(self) -> None:
        self._kept: deque[Exchange] = deque(maxlen=KEPT)
        self._count = 0

    def begin(self, method: str, path: str) -> Exchange:
        """A request has come."""
        self._count += 1
        made = Exchange(self._count, time.time(), method, path, purpose(method, path))
        self._kept.append(made)
        return made

    def after(self, number: int) -> list[dict[str, Any]]:
        """What came after an exchange, by its number."""
        return [asdict(one) for one in self._kept if one.number > number]


def purpose(method: str, path: str) -> str:
    """What a request is for."""
    for pattern, words in PURPOSES:
        if found := re.fullmatch(f"{pattern}(/.*)?", f"{method} {path}"):
            return found.expand(words)
    return ""
