"""How a container ended before it was started again: what the engine sent, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ending:
    """One end of a container, as far as the engine remembers it."""

    signals: tuple[int, ...]  # that the engine sent to its first process, in their order
    seconds: float  # from the first of them to the end; 0 without one
    exit_code: int


def last_ending(events: Iterable[Mapping[str, Any]], *, ended_at: float) -> Ending | None:
    """The last end among the engine's events of one container; None if there is none.

    `ended_at`: when it was, in seconds since 1970. Shell: `docker events --filter container=NAME`.
    """
    found: Ending | None = None
    sent: list[tuple[int, float]] = []
    for event in events:
        about = event.get("Actor", {}).get("Attributes", {})
        match event.get("Action"):
            case "start":
                sent = []
            case "kill":
                sent.append((int(about.get("signal", 0)), int(event["timeNano"]) / 1e9))
            case "die":
                # The engine tells of a signal when it has sent it: the end may have been before.
                took = max(ended_at - sent[0][1], 0.0) if sent else 0.0
                numbers = tuple(signal for signal, _ in sent)
                found = Ending(numbers, took, int(about.get("exitCode", 0)))
    return found
