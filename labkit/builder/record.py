"""What a build did, step by step: a pure model of what BuildKit tells of its progress."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from labkit.table import Table, Tabular

INTERNAL = "[internal] "  # what a Dockerfile does not say, as sending the context
CONTEXT = "[internal] load build context"
# "[2/3] RUN make", or "[web 2/3] RUN make"; a stage without a name is stage-0, or none is told.
INSTRUCTION = re.compile(r"^\[(?:(?P<stage>\S+) )?\d+/\d+\] (?P<words>.*)$", re.DOTALL)
NAMELESS = re.compile(r"^stage-\d+$")
# What BuildKit writes out of the name of an image, and what labkit adds to the learner's.
LONG_NAME = re.compile(
    r"^FROM (?:docker\.io/)?(?:library/)?(?:labkit-[0-9a-f]{8}[:/])?"
    r"(?P<name>\S+?)(?::latest)?(?:@\S+)?$"
)
CANCELED = "context canceled"  # because another step failed

Outcome = Literal["cached", "ran", "failed", "not reached"]


@dataclass(frozen=True)
class Step:
    """One step of a build: a vertex of BuildKit's graph."""

    name: str  # "[2/3] RUN make"; in a file of several stages "[web 2/3] RUN make"
    outcome: Outcome  # cached: its result was there before, by an earlier build or pull
    seconds: float  # from its beginning to its end; 0 if that is not known
    bytes: int  # that were moved for it: sent, pulled or unpacked
    log: str  # what it printed, stdout and stderr as they came
    error: str  # why it failed, or ""
    needs: tuple[str, ...]  # the names of the steps whose results it starts from

    @property
    def stage(self) -> str:
        """The name of its stage, "" for one without a name."""
        told = INSTRUCTION.match(self.name)
        return "" if told is None or NAMELESS.match(told["stage"] or "") else told["stage"] or ""

    @property
    def instruction(self) -> str:
        """The Dockerfile's words, its variables filled in; "" for a step of BuildKit's own."""
        told = INSTRUCTION.match(self.name)
        return LONG_NAME.sub(r"FROM \g<name>", told["words"]) if told else ""


@dataclass(frozen=True, repr=False)
class Build(Tabular):
    """How an image was built. Shell: `docker buildx build --progress plain .`"""

    builder: str  # "BuildKit", or the name of an engine that has none
    steps: tuple[Step, ...]  # each after those that it needs
    seconds: float  # of the whole build, as the clock of the one who waits for it shows

    @property
    def context_bytes(self) -> int:
        """Bytes of the context, the files beside the Dockerfile, that were sent to the builder."""
        return sum(step.bytes for step in self.steps if step.name == CONTEXT)

    @property
    def instructions(self) -> tuple[Step, ...]:
        """The steps that are instructions of the Dockerfile."""
        return tuple(step for step in self.steps if step.instruction)

    @property
    def failed(self) -> Step | None:
        """The step that failed, if one did."""
        return next((step for step in self.steps if step.outcome == "failed"), None)

    def table(self) -> Table:
        """Each instruction, and whether it ran: what is the same from one run to the next."""
        rows = [(step.stage, step.instruction, step.outcome) for step in self.instructions]
        if any(step.stage for step in self.instructions):
            return Table(("stage", "instruction", "outcome"), rows)
        return Table(("instruction", "outcome"), [row[1:] for row in rows])


@dataclass
class _Vertex:
    """What is known so far of a step."""

    name: str = ""
    inputs: Sequence[str] = ()
    cached: bool = False
    error: str = ""
    started: str = ""
    completed: str = ""
    log: list[bytes] = field(default_factory=list)
    moved: dict[str, int] = field(default_factory=dict)  # bytes so far, by what is moved

    @property
    def outcome(self) -> Outcome:
        if self.error:
            return "not reached" if CANCELED in self.error else "failed"
        if not self.completed:
            return "not reached"
        # An image that was there is told as the one or the other, from time to time.
        was_there = "] FROM " in self.name and not sum(self.moved.values())
        return "cached" if self.cached or was_there else "ran"


class Progress:
    """What a build has told so far: feed it BuildKit's JSON as it comes, whole or in pieces.

    Source: `docker buildx build --progress rawjson`; moby/buildkit, client.SolveStatus.
    """

    def __init__(self, *, on_message: Callable[[str], object] = lambda line: None) -> None:
        self.messages: list[str] = []  # what was told beside the JSON: at the end, the error
        self._on_message = on_message
        self._text = ""
        self._vertices: dict[str, _Vertex] = {}

    def feed(self, text: str) -> None:
        """Take a piece of the stream."""
        self._text += text
        for event in self._whole():
            self._take(event)

    def build(self, *, seconds: float) -> Build:
        """The record of what was told."""
        self.messages += self._text.split("\n")  # a last line may have no end
        self._text = ""
        self.messages = [line for line in self.messages if line.strip()]
        steps = tuple(self._step(self._vertices[one]) for one in self._ordered())
        return Build("BuildKit", steps, seconds)

    def _ordered(self) -> list[str]:
        """The steps in an order that is the same each time: BuildKit tells of them as they come."""
        needed = {one for vertex in self._vertices.values() for one in vertex.inputs}
        ordered: dict[str, None] = {}

        def add(digest: str) -> None:
            for before in self._vertices[digest].inputs:
                if before in self._vertices and before not in ordered:
                    add(before)
            ordered[digest] = None

        for digest in self._vertices:
            if digest not in needed:
                add(digest)
        return list(ordered)

    def _whole(self) -> Iterator[dict[str, Any]]:
        """Each JSON value that is whole by now; buildx 0.13 spreads one over many lines."""
        while self._text:
            if self._text[0].isspace():
                self._text = self._text.lstrip()
            elif self._text[0] == "{":
                try:
                    event, end = json.JSONDecoder().raw_decode(self._text)
                except ValueError:
                    return  # the rest is to come
                self._text = self._text[end:]
                yield event
            else:
                line, newline, rest = self._text.partition("\n")
                if not newline:
                    return
                self.messages.append(line)
                self._text = rest

    def _take(self, event: dict[str, Any]) -> None:
        for told in event.get("vertexes") or ():
            vertex = self._vertices.setdefault(told["digest"], _Vertex())
            begins = not vertex.started and bool(told.get("started"))
            vertex.name = told.get("name") or vertex.name
            vertex.inputs = told.get("inputs") or vertex.inputs
            vertex.cached = vertex.cached or bool(told.get("cached"))
            vertex.error = told.get("error") or vertex.error
            vertex.started = vertex.started or told.get("started") or ""
            vertex.completed = told.get("completed") or vertex.completed
            if begins:
                self._on_message(f"{vertex.name}{' (cached)' if vertex.cached else ''}")
        for told in event.get("statuses") or ():
            vertex = self._vertices.setdefault(told["vertex"], _Vertex())
            moved = int(told.get("current") or 0)
            vertex.moved[told["id"]] = max(moved, vertex.moved.get(told["id"], 0))
        for told in event.get("logs") or ():
            data = base64.b64decode(told.get("data") or "")
            self._vertices.setdefault(told["vertex"], _Vertex()).log.append(data)
            for line in data.decode(errors="replace").splitlines():
                self._on_message(line)

    def _step(self, vertex: _Vertex) -> Step:
        return Step(
            name=vertex.name,
            outcome=vertex.outcome,
            seconds=_seconds(vertex.started, vertex.completed),
            bytes=sum(vertex.moved.values()),
            log=b"".join(vertex.log).decode(errors="replace"),
            error=vertex.error,
            needs=tuple(self._vertices[one].name for one in vertex.inputs if one in self._vertices),
        )


def _seconds(started: str, completed: str) -> float:
    """Seconds between two times as Go writes them: RFC 3339, with up to nine decimals."""
    if not started or not completed:
        return 0.0
    return (_time(completed) - _time(started)).total_seconds()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(re.sub(r"\.(\d{1,6})\d*", r".\1", text))
