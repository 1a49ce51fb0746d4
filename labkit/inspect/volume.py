"""What can be seen of a volume."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from labkit import labels
from labkit.sdk import translated

if TYPE_CHECKING:
    from labkit.inspect.source import Source


class Volume:
    """One volume, to look at; `id` is its name on the engine."""

    def __init__(self, engine: Source, id: str, labelled: Mapping[str, str]) -> None:
        self.engine = engine
        self.id = id
        self.name = labels.name_of(labelled)

    def __repr__(self) -> str:
        return f"<Volume {self.name}>"

    def inspect(self) -> dict[str, Any]:
        """All the engine knows of it, now. Shell: `docker volume inspect NAME`."""
        with translated(f"inspect volume {self.name!r}", kind="volume", name=self.name):
            return dict(self.engine.client.api.inspect_volume(self.id))

    @property
    def mount_point(self) -> str:
        """Where its files are on the engine's machine."""
        return str(self.inspect()["Mountpoint"])
