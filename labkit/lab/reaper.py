"""The reaper: a small detached process that removes labs when their owner ends, however it ends.

It holds the reading end of a pipe whose other end only the owner has. The kernel closes that
end when the owner dies, `kill -9` and all; then the reaper removes what the owner's labs hold.
Over the pipe the owner says `open LAB` before a lab has anything, `done LAB` when it has removed
it, and `drop LAB` when the reaper shall do that. Source: pipe(7).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress

from labkit.detached import detach
from labkit.engine.endpoint import Endpoint
from labkit.errors import LabError
from labkit.sdk import translated

_reapers: dict[tuple[int, Endpoint], Reaper] = {}
_lock = threading.Lock()


class Reaper:
    """The owner's end: one reaper for all labs of this process on one engine."""

    def __init__(self, endpoint: Endpoint) -> None:
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")
        }
        reading, self._writing = os.pipe()
        self.pid = detach(__name__, stdin=reading, environ={**environment, **endpoint.environ()})
        os.close(reading)

    def tell(self, word: str, lab: str) -> None:
        """Say `open`, `done` or `drop` of a lab."""
        with suppress(BrokenPipeError):
            os.write(self._writing, f"{word} {lab}\n".encode())


def reaper_for(endpoint: Endpoint) -> Reaper:
    """This process's reaper for an engine, started the first time."""
    key = os.getpid(), endpoint
    with _lock:
        if key not in _reapers:
            _reapers[key] = Reaper(endpoint)
        return _reapers[key]


def main() -> None:
    """The reaper's own end: listen until the owner is gone, then remove its labs."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    from labkit.lab.sweep import sweep_dead, sweep_lab, sweep_until_quiet

    endpoint = Endpoint.from_environ()
    assert endpoint is not None
    # An engine that does not answer now is swept when it starts again.
    with suppress(LabError), translated("connect"):
        sweep_dead(endpoint.client())  # what a power cut left
    labs: dict[str, None] = {}
    for line in sys.stdin:
        word, _, lab = line.strip().partition(" ")
        if word == "open":
            labs[lab] = None
        elif word == "done":
            labs.pop(lab, None)
        else:
            with suppress(LabError), translated("connect"):
                sweep_lab(endpoint.client(), lab)
    with suppress(LabError), translated("connect"):
        if labs:
            sweep_until_quiet(endpoint.client(), labs)


if __name__ == "__main__":
    main()
