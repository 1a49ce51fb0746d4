"""One look: what an engine and its host answer, each question asked once, until a deadline.

All that is judged from it is judged of one moment. It reads and never changes. What was answered
can be kept, and judged again without an engine.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from labkit.engine import Engine
from labkit.errors import LabError, LookTimeoutError
from labkit.host import Host, RememberedHost
from labkit.inspect import Source

DEADLINE = 30.0  # seconds for all that one check asks
PATIENCE = 15.0  # seconds for one answer
READING = frozenset({
    "containers", "diff", "events", "history", "images", "inspect_container", "inspect_image",
    "inspect_network", "inspect_volume", "logs", "networks", "top", "volumes",
})  # fmt: skip


@dataclass
class Memory:
    """The answers of one look, by question."""

    engine: dict[str, Any] = field(default_factory=dict)
    host: dict[str, Any] = field(default_factory=dict)

    def dump(self) -> str:
        """As JSON; what the engine refused is left out, and so is a log."""
        kept = {key: value for key, value in self.engine.items() if _is_plain(value)}
        return json.dumps({"engine": kept, "host": self.host}, indent=1, sort_keys=True)

    @classmethod
    def load(cls, text: str) -> Memory:
        """What `dump` made."""
        return cls(**json.loads(text))


class Look:
    """A source of looks that remembers. `source` may be None where `memory` holds all answers."""

    def __init__(
        self, source: Source | None, memory: Memory, *, until: float | None = None
    ) -> None:
        self.memory = memory
        self._until = time.monotonic() + DEADLINE if until is None else until
        api = None if source is None else lambda: _patient(source).api
        self.client = SimpleNamespace(api=_Api(api, memory.engine, self._in_time))
        host: Callable[[], Host] | None = None if source is None else self._host_of(source)
        self.host: Host = RememberedHost(host, memory.host)

    def _host_of(self, source: Source) -> Callable[[], Host]:
        def host() -> Host:
            self._in_time()
            return source.host

        return host

    def _in_time(self) -> None:
        if time.monotonic() > self._until:
            raise LookTimeoutError(
                f"Looking took more than {DEADLINE:g} s, and was given up.",
                timeout=DEADLINE,
                seen=f"{len(self.memory.engine)} answers of the engine, "
                f"{len(self.memory.host)} of its host",
                do="see whether the machine is busy, then check again",
            )


class _Api:
    """The reading half of docker-py's APIClient, each call made once."""

    def __init__(
        self,
        api: Callable[[], Any] | None,
        answers: dict[str, Any],
        in_time: Callable[[], None],
    ) -> None:
        self._api, self._answers, self._in_time = api, answers, in_time

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in READING:
            raise AttributeError(f"whoever only looks cannot {name}")

        def ask(*words: Any, **options: Any) -> Any:
            key = json.dumps([name, words, options], sort_keys=True)
            if key not in self._answers:
                if self._api is None:
                    raise LabError("This was not asked when the look was recorded.", seen=key)
                self._in_time()
                try:
                    answer = getattr(self._api(), name)(*words, **options)
                    self._answers[key] = list(answer) if isinstance(answer, Iterator) else answer
                except Exception as err:
                    self._answers[key] = err
            if isinstance(found := self._answers[key], Exception):
                raise found
            return found

        return ask


def _patient(source: Source) -> Any:
    """The engine's client that waits no longer than a check may; a source of another kind's own."""
    return source.patient(PATIENCE) if isinstance(source, Engine) else source.client


def _is_plain(value: Any) -> bool:
    return not isinstance(value, Exception | bytes)
