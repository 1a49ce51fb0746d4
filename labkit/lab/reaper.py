"""The reaper: a small detached process that removes labs when their owner ends, however it ends.

It holds one end of a pair of sockets whose other end only the owner has. The kernel closes that
end when the owner dies, `kill -9` and all; then the reaper removes what the owner's labs hold.
The owner says `open` before a lab has anything, and hands over the lab's socket, which the reaper
serves as long as the lab is there; `done` when the owner has removed it, and `drop` when the
reaper shall do that. A reaper that somebody killed is replaced at once: the owner holds the labs'
sockets too, and who had just asked there would wait for ever. Source: unix(7), SCM_RIGHTS.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from typing import Literal

from labkit.detached import detach
from labkit.engine.endpoint import ITSELF, SOCKET, Endpoint
from labkit.lab.registry import Entry
from labkit.proxy.policy import Policy

Word = Literal["open", "done", "drop"]

LIVED = 2.0  # seconds; one that ended sooner would end again, and waits for the next cell

_reapers: dict[tuple[int, Endpoint], Reaper] = {}
_lock = threading.Lock()


class Reaper:
    """The owner's end: one reaper for all labs of this process on one engine.

    Raises BadValueError for a policy that is none.
    """

    def __init__(self, endpoint: Endpoint, *, is_ours: bool) -> None:
        self._endpoint, self._is_ours = endpoint, is_ours
        self._policy = Policy.of_environ()  # here, where who wrote it is told what is wrong
        self._open: dict[str, tuple[Entry, socket.socket | None]] = {}
        self._dropped: dict[str, None] = {}
        self._line: socket.socket | None = None
        self._busy = threading.RLock()  # a collector may drop a lab while we speak
        self._was_replaced = False
        self._start()

    def _start(self) -> None:
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("DOCKER_", SOCKET, ITSELF))
        }
        ours, theirs = socket.socketpair()
        with theirs:
            self.pid = detach(
                "labkit.lab.keeper",
                self._policy.text(),
                *(["--ours"] if self._is_ours else []),
                stdin=theirs.fileno(),
                environ=environment | self._endpoint.environ(),
            )
        self.let_go()
        self._line, self._began = ours, time.monotonic()
        threading.Thread(target=self._watch, args=(ours,), daemon=True).start()

    def _watch(self, line: socket.socket) -> None:
        """Wait for the other end's end, and put another there."""
        with suppress(OSError):
            line.recv(1)  # nothing ever comes from there
        with self._busy:
            if line is self._line and time.monotonic() - self._began > LIVED:
                self._start_again()
                self._was_replaced = True

    def open(self, entry: Entry, listening: socket.socket | None) -> None:
        """A lab begins; `listening` is its socket."""
        with self._busy:
            self._open[entry.lab] = entry, listening
            self._say("open", entry, listening)

    def done(self, lab: str) -> None:
        """A lab was removed."""
        self._end("done", lab)

    def drop(self, lab: str) -> None:
        """A lab is to be removed."""
        self._dropped[lab] = None
        self._end("drop", lab)

    def lives(self) -> bool:
        """Whether it is still the same one; another is started if it has ended."""
        with self._busy:
            if self._line is None:
                return False
            if self._was_replaced:
                self._was_replaced = False
                return False
            try:
                # Nothing ever comes from there but its end.
                self._line.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK)
            except BlockingIOError:
                return True
            except OSError:
                pass
            self._start_again()
            return False

    def _end(self, word: Word, lab: str) -> None:
        with self._busy:
            entry, listening = self._open.pop(lab, (None, None))
            if listening is not None:
                listening.close()
            if entry is not None:
                self._say(word, entry, None)

    def _say(self, word: Word, entry: Entry, listening: socket.socket | None) -> None:
        if self._line is None:  # in a fork: the labs are its parent's
            return
        if not self._send(word, entry, listening):
            self._start_again()  # somebody killed it
            if word == "drop":
                self._send(word, entry, None)

    def _start_again(self) -> None:
        self._start()
        for entry, listening in list(self._open.values()):
            self._send("open", entry, listening)

    def _send(self, word: Word, entry: Entry, listening: socket.socket | None) -> bool:
        assert self._line is not None
        said = {"word": word, "serve": listening is not None, **asdict(entry)}
        fds = [listening.fileno()] if listening is not None else []
        try:
            socket.send_fds(self._line, [json.dumps(said).encode() + b"\n"], fds)
        except OSError:
            return False
        return True

    def let_go(self) -> None:
        """Close this end."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def forget(self) -> None:
        """In a fork: hold nothing of the parent's, not even a lock that another thread had."""
        self._busy = threading.RLock()
        self.let_go()
        for _, listening in self._open.values():
            if listening is not None:
                listening.close()


def reaper_for(endpoint: Endpoint, *, is_ours: bool) -> Reaper:
    """This process's reaper for an engine, started the first time."""
    key = os.getpid(), endpoint
    with _lock:
        if key not in _reapers:
            _reapers[key] = Reaper(endpoint, is_ours=is_ours)
        return _reapers[key]


def revive() -> bool:
    """See that every reaper of this process is there; False if one had to be started anew."""
    alive = [one.lives() for one in list(_reapers.values())]  # each is asked
    return all(alive)


def _let_go_in_a_fork() -> None:
    """A child that outlives its parent must not hold the line, nor speak of its parent's labs."""
    global _lock
    _lock = threading.Lock()  # another thread of the parent's may have held it
    for reaper in _reapers.values():
        reaper.forget()
    _reapers.clear()


os.register_at_fork(after_in_child=_let_go_in_a_fork)
