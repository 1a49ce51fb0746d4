"""The ports that the guest's swarm publishes for its services.

A container's port has a proxy, which asks for it; a service's port on the ingress network is rules
of the kernel's alone. So the engine is asked which services there are, whenever one has changed.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from .gate import Port
from .mux import READ, Watch

CHANGES = "/events?filters=" + quote('{"type":["service"]}')
SERVICES = "/services"
NO_SWARM = b"503"
LONGEST = 1 << 24  # bytes of an answer that we hear: the guest need not be honest


class Services:
    """Follows the services of one engine; `on_ports` is given all their ports."""

    def __init__(
        self, watch: Watch, dial: Callable[[], socket.socket], on_ports: Callable[[set[Port]], None]
    ) -> None:
        self._watch, self._dial, self._on_ports = watch, dial, on_ports
        self._asking = self._again = False
        self.follows = False

    def look(self) -> None:
        """Ask now: that a swarm is left is no event of a service's."""
        if self.follows:
            self._ask()
        else:
            self.follows = True
            self._request(CHANGES, self._changed, self._ended)

    def _changed(self, data: bytes) -> None:
        """The engine has begun to tell, or tells."""
        self._ask()

    def _ended(self) -> None:
        self.follows = False

    def _ask(self) -> None:
        if self._asking:
            self._again = True
            return
        self._asking, self._again = True, False
        answer: list[bytes] = []
        self._request(SERVICES, answer.append, lambda: self._answered(b"".join(answer)))

    def _answered(self, answer: bytes) -> None:
        self._asking = False
        if (ports := ports_in(answer)) is not None:
            self._on_ports(ports)
        if self._again:
            self._ask()

    def _request(
        self, path: str, on_data: Callable[[bytes], None], on_end: Callable[[], None]
    ) -> None:
        """Ask the engine; HTTP/1.0 has no chunks, and ends with the connection."""
        end = self._dial()
        end.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        end.setblocking(False)
        heard = 0

        def ready(events: int) -> None:
            nonlocal heard
            try:
                data = end.recv(65536)
            except OSError:  # the engine has gone
                data = b""
            heard += len(data)
            if data and heard <= LONGEST:
                on_data(data)
            else:
                self._watch.on(end, 0, ready)
                end.close()
                on_end()

        self._watch.on(end, READ, ready)


def ports_in(answer: bytes) -> set[Port] | None:
    """The ingress ports of all services, in the engine's answer; None where it says nothing."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    if status == [NO_SWARM]:
        return set()
    try:
        services: list[dict[str, Any]] = json.loads(body) if status == [b"200"] else []
        told = [
            (str(port["Protocol"]), int(port["PublishedPort"]))
            for service in services
            for port in (service.get("Endpoint") or {}).get("Ports") or []
            if port.get("PublishMode") == "ingress"
        ]
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return set(told) if status == [b"200"] else None
