"""How many processes and threads a cgroup has and may have (cgroup-v2.rst "PID")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labkit.kernel._text import flat_keyed, integer, limit, need

PIDS_FILES_V1: tuple[str, ...] = ("pids.current", "pids.max", "pids.events")
PIDS_FILES_V2: tuple[str, ...] = PIDS_FILES_V1


@dataclass(frozen=True)
class PidsState:
    """Tasks, that is threads of all processes, of a cgroup and all below it."""

    current: int
    max: int | None  # None: no limit
    max_events: int | None = None  # forks refused by the limit; None: Linux before 4.7


def pids_state(files: Mapping[str, str]) -> PidsState:
    """Make the state from the texts of `PIDS_FILES_V1` or `PIDS_FILES_V2`: they are the same.

    Raises `BadValueError` where one is missing (in the root cgroup) or malformed.
    """
    current, highest = (need(files, name, v1=name) for name in PIDS_FILES_V2[:2])
    events = flat_keyed(files.get("pids.events", ""), name="pids.events")
    return PidsState(
        current=integer(current, name="pids.current"),
        max=limit(highest, name="pids.max"),
        max_events=events.get("max"),
    )
