"""What a client asks of the guest's engine, read on its way there.

An engine takes a service's port without asking anybody: it has it by rules of the kernel's. So the
request that publishes one is the place to refuse a port that this machine has given away. All else
passes, and nothing is held back but such a request, until its text is whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

Port = tuple[str, int]  # tcp or udp, and its number

SERVICE = re.compile(rb"POST (/v[\d.]+)?/services/(create|[^/ ]+/update)[? ]")
LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)\s*(?:\r\n|$)", re.IGNORECASE)
# From these on it cannot be said, or is not worth saying, where the next request begins.
UNMEASURED = re.compile(rb"\r\n(upgrade|transfer-encoding):", re.IGNORECASE)
LONGEST = 1 << 15  # bytes of a request that is read


class Gate:
    """The requests of one connection; `why_not` says why ports cannot be had, if they cannot."""

    def __init__(self, why_not: Callable[[set[Port]], str | None]) -> None:
        self._why_not = why_not
        self._held = b""  # of a service's request that is not whole yet
        self._left = 0  # bytes of a body that passes
        self._open = False  # all passes unread from now on

    def hear(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what of it passes, and what is answered in the engine's place: the end of it."""
        passed: list[bytes] = []
        data, self._held = self._held + data, b""
        while data:
            if self._open:
                cut = len(data)
            elif self._left:
                cut = min(self._left, len(data))
                self._left -= cut
            elif (whole := self._begins(data)) > len(data):
                self._held = data
                break
            elif whole and (why := self._why_not(ports_asked(data[:whole]))):
                return b"".join(passed), refusal(why)
            else:
                cut = whole
            passed.append(data[:cut])
            data = data[cut:]
        return b"".join(passed), b""

    def _begins(self, data: bytes) -> int:
        """The bytes of the service's request with which `data` begins, 0 if it is another."""
        head, end, _ = data.partition(b"\r\n\r\n")
        if not end or UNMEASURED.search(head):  # the conversation of an exec, say
            self._open = True
            return 0
        found = LENGTH.search(head)
        whole = len(head) + len(end) + (int(found[1]) if found else 0)
        if SERVICE.match(head) and whole <= LONGEST:
            return whole
        self._left = whole
        return 0


def ports_asked(request: bytes) -> set[Port]:
    """The ports on the ingress network that a service is to have, those by number."""
    try:
        spec = json.loads(request.partition(b"\r\n\r\n")[2])
        return {
            (str(port.get("Protocol") or "tcp"), int(port["PublishedPort"]))
            for port in (spec.get("EndpointSpec") or {}).get("Ports") or []
            if port.get("PublishedPort") and port.get("PublishMode", "ingress") == "ingress"
        }
    except (AttributeError, KeyError, TypeError, ValueError):
        return set()  # the engine says what is wrong with it


def refusal(why: str) -> bytes:
    """The answer that an engine gives where it cannot have a container's port."""
    body = json.dumps({"message": why}).encode()
    head = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n" \
           f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"  # fmt: skip
    return head.encode() + body
