"""What Docker's clients and the engine have said to each other through a lab's socket."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http.client import HTTPException

from labkit.errors import EngineGoneError
from labkit.lab.registry import Entry
from labkit.proxy import recorder
from labkit.table import Table, Tabular

ID = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")  # the twelve digits that people read


@dataclass(frozen=True, repr=False)
class Conversation(Tabular):
    """Requests and their answers, in the order of asking. Source: Docker Engine API."""

    exchanges: tuple[recorder.Exchange, ...]

    @property
    def last(self) -> int:
        """The number of the last one; what comes later is asked for with it."""
        return max((one.number for one in self.exchanges), default=0)

    def table(self) -> Table:
        rows = [
            (
                one.method,
                ID.sub(r"\1", one.path),
                one.purpose,
                one.status or "-",
                one.sent,
                one.received,
                f"{1000 * one.seconds:.0f}" if one.seconds else "goes on",
            )
            for one in self.exchanges
        ]
        columns = ("method", "path", "what it is for", "status", "bytes sent", "received", "ms")
        return Table(columns, rows)


def read_conversation(entry: Entry, *, since: int) -> Conversation:
    """What was said after the exchange of that number. Raises EngineGoneError."""
    try:
        told = json.loads(entry.ask(f"{recorder.PLACE}?after={since}"))
    except (OSError, HTTPException, ValueError) as err:
        raise EngineGoneError(
            "The lab's socket does not answer.",
            seen=str(err),
            do="run a cell again: that starts what serves it anew",
        ) from err
    return Conversation(tuple(recorder.Exchange(**one) for one in told))
