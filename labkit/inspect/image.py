"""What can be seen of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.sdk import translated

if TYPE_CHECKING:
    from labkit.inspect.source import Source


@dataclass(frozen=True)
class HistoryStep:
    """One step of an image's making."""

    created_by: str  # the instruction, or the shell command it ran
    size: int  # bytes that its files added
    is_layer: bool  # whether it changed files; the others are configuration alone


class Image:
    """One image, to look at; `id` is the digest of its configuration, "sha256:..."."""

    def __init__(self, engine: Source, id: str, *, name: str) -> None:
        self.engine = engine
        self.id = id
        self.name = name

    def __repr__(self) -> str:
        return f"<Image {self.name}>"

    def inspect(self) -> dict[str, Any]:
        """All the engine knows of it. Shell: `docker image inspect NAME`."""
        with translated(f"inspect image {self.name!r}", kind="image", name=self.name):
            api: Any = self.engine.client.api  # its stubs lack types here
            return dict(api.inspect_image(self.id))

    @property
    def size(self) -> int:
        """Bytes of all its layers. Shell: `docker image ls`."""
        return int(self.inspect()["Size"])

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """The digests of its layers, uncompressed, lowest first. Source: OCI image spec, rootfs."""
        return tuple(self.inspect()["RootFS"].get("Layers") or ())

    def history(self) -> tuple[HistoryStep, ...]:
        """How it was made, first step first. Shell: `docker history --no-trunc NAME`."""
        with translated(f"tell the history of image {self.name!r}", kind="image", name=self.name):
            api: Any = self.engine.client.api
            steps: list[dict[str, Any]] = api.history(self.id)
        return tuple(
            HistoryStep(step["CreatedBy"], int(step["Size"]), int(step["Size"]) > 0)
            for step in reversed(steps)
        )
