"""The line to an agent: one thread that owns the connection, and whom all others ask.

An interrupt is raised in the main thread, between any two steps of it. So the callers hold no
lock and touch no connection: they leave a note in the inbox, which is one step, and wait at a
queue of their own. Whatever ends their waiting, the conversation goes on.
"""

from __future__ import annotations

import _thread
import json
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Literal

from labkit.errors import HostError, LabError
from labkit.host.link import AGAIN, Link, LostError
from labkit.host.transport import Transport

CLOSE_TIMEOUT = 5.0  # seconds
LONGEST_WAIT = 3600.0  # seconds at once, for a selector
Note = Literal["ask", "credit", "cancel", "stop"]


class Asked:
    """One message on its way to the agent, and where what it answers arrives."""

    def __init__(self, number: int, message: dict[str, Any], *, patience: float, reads: bool):
        self.number = number
        # What JSON does not know becomes an object, which no field of a request may be.
        text = json.dumps({"id": number, **message}, default=lambda value: {"not": repr(value)})
        self.line = text.encode() + b"\n"
        self.patience = patience  # seconds
        self.reads = reads  # it changes nothing, and may be sent twice
        self.again = False  # it has been
        self.deadline: float | None = None  # on the monotonic clock, for the first answer
        self.outcome: SimpleQueue[dict[str, Any] | LabError] = SimpleQueue()


class Line:
    """Starts the agent when it is first needed, and anew when it has gone."""

    def __init__(self, start: Callable[[], Transport]) -> None:
        self.restarts: deque[str] = deque()  # why, each until somebody has been told
        self._inbox: deque[tuple[Note, Asked | None]] = deque()
        self._ears, self._mouth = socket.socketpair()  # the thread's, and everybody's to wake it
        self._mouth.setblocking(False)
        self._ready = selectors.DefaultSelector()
        self._ready.register(self._ears, selectors.EVENT_READ)
        self._link = Link(start, self._ready)
        self._claim = threading.Lock()  # of the thread that serves
        self._served = self._closed = self._stopping = False
        self._end = threading.Event()
        self._gone = ""  # why there is no agent any more
        self._under_way: dict[int, Asked] = {}

    # --- what any thread may do ----------------------------------------------------------------

    def post(self, note: Note, asked: Asked | None = None) -> None:
        """Leave a note for the thread that owns the connection. Raises HostError if it ended."""
        self._inbox.append((note, asked))
        if self._closed:
            raise HostError(
                "This view of the host is closed.", do="take `lab.engine.host`, which is a new one"
            )
        if not self._served and note != "stop":
            # Not threading.Thread, whose start can be interrupted half-way, with its locks held.
            # If two are started, one finds nothing to do.
            _thread.start_new_thread(self._serve, ())
        with suppress(OSError):  # full: it is awake already
            self._mouth.send(b"!")

    def stop(self) -> None:
        """Have the connection closed, soon."""
        with suppress(HostError):
            self.post("stop")

    def close(self) -> None:
        """Have the connection closed, now."""
        self.stop()
        if self._served:
            self._end.wait(CLOSE_TIMEOUT)
        elif self._claim.acquire(blocking=False):
            self._finish()

    def forget(self) -> None:
        """In a forked child: let go of all that is the parent's, and disturb nothing of it."""
        self._closed = True
        null = os.open(os.devnull, os.O_RDWR)
        for held in (self._ears, self._mouth, self._link.transport):
            if held is not None and held.fileno() >= 0:
                os.dup2(null, held.fileno(), inheritable=False)
        os.close(null)

    # --- what its own thread does --------------------------------------------------------------

    def _serve(self) -> None:
        if not self._claim.acquire(blocking=False):
            return
        self._served = True
        try:
            while not self._stopping:
                try:
                    self._turn()
                except Exception as err:  # LostError; or what nobody thought of, which is as bad
                    self._lose(str(err))
        finally:
            self._finish()

    def _turn(self) -> None:
        """Wait until there is something to do, and do it."""
        deadlines = [a.deadline for a in self._under_way.values() if a.deadline is not None]
        left = min(deadlines, default=time.monotonic() + LONGEST_WAIT) - time.monotonic()
        for key, events in self._ready.select(min(max(left, 0), LONGEST_WAIT)):
            if key.fileobj is self._ears:
                self._ears.recv(4096)
            elif events & selectors.EVENT_READ:
                for message in self._link.messages():
                    self._hand_out(message)
        while self._inbox:
            self._take(*self._inbox.popleft())
        self._link.flush()
        now = time.monotonic()
        late = [a for a in self._under_way.values() if a.deadline is not None and a.deadline <= now]
        for asked in late:
            why = f"no answer for {asked.patience:g} s"
            asked.outcome.put(HostError("The host did not answer in time.", seen=why, do=AGAIN))
            del self._under_way[asked.number]
        if late:
            raise LostError(why)

    def _take(self, note: Note, asked: Asked | None) -> None:
        if note == "stop" or asked is None:
            self._stopping = True
        elif note == "ask":
            self._send(asked)
        elif asked.number in self._under_way:
            if note == "cancel":  # what may still come for it is for nobody
                del self._under_way[asked.number]
            self._link.put(json.dumps({"id": asked.number, note: 1}).encode() + b"\n")

    def _send(self, asked: Asked) -> None:
        try:
            if self._link.open() and self._gone:
                self.restarts.append(self._gone)
                self._gone = ""
        except LabError as err:
            asked.outcome.put(err)
            return
        self._under_way[asked.number] = asked
        asked.deadline = time.monotonic() + asked.patience
        self._link.put(asked.line)

    def _hand_out(self, message: dict[str, Any]) -> None:
        asked = self._under_way.get(message["id"])
        if asked is None:
            return  # who asked did not wait for it
        asked.deadline = None
        if "items" not in message:  # it is the last
            del self._under_way[asked.number]
        asked.outcome.put(message)

    def _lose(self, why: str) -> None:
        """The agent has gone: ask anew what can be asked anew."""
        self._gone = f"{why}, at {time.strftime('%H:%M:%S')}"
        self._link.close(lost=True)
        waiting, self._under_way = self._under_way, {}
        for asked in waiting.values():
            if asked.reads and not asked.again:
                asked.again = True
                self._send(asked)
            else:
                done = "" if asked.reads else " It is not known whether what was asked was done."
                what = f"The host's agent has gone before it had answered.{done}"
                asked.outcome.put(HostError(what, seen=why, do=AGAIN))
        with suppress(OSError):
            self._mouth.send(b"!")  # for a turn that sends them

    def _finish(self) -> None:
        """From here on nobody leaves a note and waits."""
        self._closed = True
        self._link.close()
        for asked in (*self._under_way.values(), *(asked for _, asked in list(self._inbox))):
            if asked is not None:
                asked.outcome.put(HostError("This view of the host was closed.", do=AGAIN))
        self._ready.close()
        self._ears.close()
        self._mouth.close()
        self._end.set()
