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
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING

from labkit.detached import detach
from labkit.engine.endpoint import Endpoint
from labkit.errors import LabError
from labkit.sdk import translated
from labkit.waiting import wait_until

if TYPE_CHECKING:
    import docker

GONE_TIMEOUT = 120.0  # seconds for an engine that is being restarted just when the owner ends

_reapers: dict[tuple[int, Endpoint], Reaper] = {}
_lock = threading.Lock()


class Reaper:
    """The owner's end: one reaper for all labs of this process on one engine."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._said: dict[str, str] = {}  # of each lab, what was said last
        self._writing = -1
        self._start()

    def _start(self) -> None:
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")
        }
        reading, writing = os.pipe()
        environment |= self._endpoint.environ()
        self.pid = detach(__name__, stdin=reading, environ=environment)
        os.close(reading)
        self.let_go()
        self._writing = writing

    def tell(self, word: str, lab: str) -> None:
        """Say `open`, `done` or `drop` of a lab."""
        if self._writing < 0:  # in a fork: the labs are its parent's
            return
        self._said[lab] = word
        if not self._write(word, lab) and word == "open":
            self._start()  # somebody killed it
            for each, said in list(self._said.items()):
                self._write(said, each)
        if word == "done":
            del self._said[lab]

    def _write(self, word: str, lab: str) -> bool:
        try:
            os.write(self._writing, f"{word} {lab}\n".encode())
        except BrokenPipeError:
            return False
        return True

    def let_go(self) -> None:
        """Close this end."""
        if self._writing >= 0:
            os.close(self._writing)
            self._writing = -1


def reaper_for(endpoint: Endpoint) -> Reaper:
    """This process's reaper for an engine, started the first time."""
    key = os.getpid(), endpoint
    with _lock:
        if key not in _reapers:
            _reapers[key] = Reaper(endpoint)
        return _reapers[key]


def _let_go_in_a_fork() -> None:
    """A child that outlives its parent must not hold the pipe, nor speak of its parent's labs."""
    global _lock
    _lock = threading.Lock()  # another thread of the parent's may have held it
    for reaper in _reapers.values():
        reaper.let_go()
    _reapers.clear()


os.register_at_fork(after_in_child=_let_go_in_a_fork)


def main() -> None:
    """The reaper's own end: listen until the owner is gone, then remove its labs."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    from labkit.lab.sweep import SETTLE, sweep_dead, sweep_lab
    from labkit.owner import forget_old

    endpoint = Endpoint.from_environ()
    assert endpoint is not None

    def sweep(what: Callable[[docker.DockerClient], object]) -> bool:
        """Whether the engine was there, and refused nothing."""
        with suppress(LabError), translated("connect"), closing(endpoint.client()) as client:
            what(client)
            return True
        return False

    # An engine that does not answer now is swept when it starts again.
    sweep(sweep_dead)  # what a power cut left
    forget_old()
    labs: dict[str, None] = {}
    for line in sys.stdin:
        word, _, lab = line.strip().partition(" ")
        if word == "open":
            labs[lab] = None
        elif word == "done":
            labs.pop(lab, None)
        else:
            sweep(partial(sweep_lab, lab=lab))

    def sweep_labs() -> bool:
        return False not in [sweep(partial(sweep_lab, lab=lab)) for lab in labs]

    # Again and again: what the owner's last requests still make, and what was refused meanwhile.
    went = True
    for pause in SETTLE if labs else ():
        time.sleep(pause)
        went = sweep_labs()
    if not went:
        with suppress(LabError):
            wait_until(sweep_labs, timeout=GONE_TIMEOUT, what="the engine", interval=2.0)


if __name__ == "__main__":
    main()
