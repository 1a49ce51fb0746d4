"""What an engine says as it happens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from labkit.inspect.source import Source
from labkit.sdk import translated


class Events(AbstractContextManager["Events", None]):
    """The events of objects with a label, until `close`; to be read by one thread.

    Each is a mapping as the engine has it: `Type`, `Action`, `Actor`. Raises EngineError.
    Shell: `docker events --filter label=LABEL`. Source: Docker Engine API, `/events`.
    """

    def __init__(self, engine: Source, *, label: str) -> None:
        with translated("follow the engine's events"):
            self._stream: Any = engine.client.events(decode=True, filters={"label": label})

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        with translated("follow the engine's events"):
            yield from self._stream

    def close(self) -> None:
        """End it, from whichever thread."""
        self._stream.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
