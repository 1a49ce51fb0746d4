"""A stand-in for testcontainers' reaper: removes what carries a label, when its clients have gone.

It runs in a container that has the engine's socket, with the standard library alone.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
import time
from urllib.parse import quote

FIRST_TIMEOUT = 60.0  # seconds within which somebody comes
TIMEOUT = float(os.environ.get("RYUK_RECONNECTION_TIMEOUT", "10s").removesuffix("s"))
KINDS = (
    ("/containers/json?all=1&", "/containers/{Id}?force=1&v=1"),
    ("/networks?", "/networks/{Id}"),
    ("/volumes?", "/volumes/{Name}?force=1"),
    ("/images/json?", "/images/{Id}?force=1"),
)

filters: set[str] = set()
connected: set[socket.socket] = set()
idle_from = time.monotonic() + FIRST_TIMEOUT - TIMEOUT


class Engine(http.client.HTTPConnection):
    """A connection to the engine."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/var/run/docker.sock")


def ask(method: str, path: str) -> bytes:
    engine = Engine("engine")
    engine.request(method, path)
    answer = engine.getresponse().read()
    engine.close()
    return answer


def serve(end: socket.socket) -> None:
    """Hear one client: a line is a filter, `label=key=value`."""
    global idle_from
    with end, end.makefile("rb") as lines:
        for line in lines:
            filters.add(line.decode().strip().removeprefix("label="))
            end.sendall(b"ACK\n")
    idle_from = time.monotonic()
    connected.discard(end)


def reap(label: str) -> None:
    wanted = "filters=" + quote(json.dumps({"label": [label]}))
    for listed, removed in KINDS:
        found = json.loads(ask("GET", listed + wanted))
        for one in (found.get("Volumes") if isinstance(found, dict) else found) or []:
            ask("DELETE", removed.format_map(one))


def main() -> None:
    """Wait until all have gone, and remove what was theirs."""
    with socket.create_server(("", 8080)) as server:
        server.settimeout(0.05)
        print("the reaper has Started!", flush=True)
        while connected or time.monotonic() < idle_from + TIMEOUT:
            try:
                end, _ = server.accept()
            except TimeoutError:
                continue
            end.settimeout(None)
            connected.add(end)
            threading.Thread(target=serve, args=(end,), daemon=True).start()
    for label in filters:
        reap(label)


if __name__ == "__main__":
    main()
