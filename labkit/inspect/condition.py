"""What has become of a container: the states that an engine's words leave together, told apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from labkit.sizes import show_size

KILLED = 128 + 9  # the exit code of a process that SIGKILL ended
CANNOT_EXECUTE, NOT_FOUND = 126, 127  # of a shell's, and of the engine's
REFUSED = "Operation not permitted"  # errno(3), EPERM, as most programs say it
OWN_END = "correct its command: a container lives as long as its first process"
TOGETHER = 5.0  # seconds in which those who are killed with a namespace's owner end after it


class Kind(StrEnum):
    """The conditions in which a container can be."""

    CREATED = "created, and never started"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting all the time"
    STOPPED = "stopped from outside"
    ENDED = "ended by itself"
    OUT_OF_MEMORY = "killed for want of memory"
    OWNER_ENDED = "killed with the owner of its process numbers"
    KILLED = "killed"


@dataclass(frozen=True)
class Condition:
    """One container's condition, in words: what was seen, and what to do about it."""

    kind: Kind
    seen: str
    advice: str
    last_line: str = ""  # the end of its log

    @property
    def told(self) -> str:
        """What was seen, with its last words."""
        return f"{self.seen}; its log ends: {self.last_line}" if self.last_line else self.seen

    @property
    def is_up(self) -> bool:
        """Whether it has processes."""
        return self.kind in (Kind.RUNNING, Kind.PAUSED)


def condition_of(
    inspected: Mapping[str, Any],
    *,
    name: str,
    events: Iterable[Mapping[str, Any]] = (),
    owner: Mapping[str, Any] | None = None,
    last_line: str = "",
) -> Condition:
    """Tell the condition from what `docker inspect` says of a container, and what happened to it.

    `events` are the engine's of the container, up to its end; `owner` is what is said of the
    container whose process numbers it uses; `last_line` is the end of its log.
    """
    state, code = inspected["State"], int(inspected["State"].get("ExitCode") or 0)
    on_engine = str(inspected.get("Name") or name).lstrip("/")
    again = f"`docker start {on_engine}`, or `reset` and a new one"
    restarts = int(inspected.get("RestartCount") or 0)
    match str(state["Status"]):
        case "created":
            if failed := state.get("Error"):
                return Condition(
                    Kind.CREATED, f"made, but its start failed: {failed}", "correct its command"
                )
            return Condition(Kind.CREATED, "made, and never started", f"start it: {again}")
        case "paused":
            return Condition(
                Kind.PAUSED, "paused: all its processes are frozen", f"`docker unpause {on_engine}`"
            )
        case "running" if not state.get("Restarting"):
            return Condition(Kind.RUNNING, "running", "")
        case "running" | "restarting":
            return Condition(
                Kind.RESTARTING,
                f"it ends, and the engine starts it again: {restarts} times so far, the last time "
                f"with exit code {code}",
                OWN_END,
                last_line,
            )
    limit = int(inspected["HostConfig"].get("Memory") or 0)
    may_use = f"; it may use {show_size(limit)} of memory" if limit else ""
    signals = ", ".join(filter(None, map(_signal, events)))
    if state.get("OOMKilled"):
        kind, seen = Kind.OUT_OF_MEMORY, f"killed by the kernel for want of memory{may_use}"
        advice = "let it use less; or, if it may have more, give it more with `memory=`"
    elif signals:
        kind, seen = (
            Kind.STOPPED,
            f"it ended with exit code {code}, after signal {signals} was sent",
        )
        advice = f"start it again: {again}"
    elif code == KILLED and owner is not None and _ended_with(state, owner):
        kind = Kind.OWNER_ENDED
        seen = (
            "killed: process 1 of the pid namespace it was in has ended, and with it all the rest"
        )
        advice = (
            "start it again, after the container whose process numbers it uses: it goes where that "
            "one is now"
        )
    elif code == KILLED:
        # One death in a hundred for want of memory is not told as one by Engine 20.10.
        kind = Kind.KILLED
        seen = (
            f"it ended with exit code {code}, as SIGKILL leaves it; the engine sent none{may_use}"
        )
        advice = f"start it again: {again}"
    else:
        kind, seen, advice = Kind.ENDED, f"it ended by itself, with exit code {code}", OWN_END
        if REFUSED in last_line:
            advice = "its command wanted what it has no right to: start it anew, with that right"
        elif code in (CANNOT_EXECUTE, NOT_FOUND):
            advice = "correct its command: the image has no such program, or it cannot be run"
        elif code == 0:
            advice = "its command has done its work; give it one that lasts, such as `sleep 1000`"
    return Condition(kind, seen, advice, last_line)


def _signal(event: Mapping[str, Any]) -> str:
    if event.get("Action", event.get("status")) != "kill":
        return ""
    return str(event.get("Actor", {}).get("Attributes", {}).get("signal", ""))


def _ended_with(state: Mapping[str, Any], owner: Mapping[str, Any]) -> bool:
    """Whether it ended when the owner's process 1 did, of this start or the one before."""
    mine, its = ended_at(state), ended_at(owner["State"])
    return mine is not None and its is not None and abs(mine - its) < TOGETHER


def ended_at(state: Mapping[str, Any]) -> float | None:
    """When it ended last, in seconds since 1970 by the engine's clock; None if it never did."""
    return _moment(state, "FinishedAt")


def started_at(state: Mapping[str, Any]) -> float | None:
    """When it was started last, likewise."""
    return _moment(state, "StartedAt")


def _moment(state: Mapping[str, Any], name: str) -> float | None:
    text = str(state.get(name) or "")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if found.year < 1970 else found.timestamp()  # the year 1 is Go's "never"
