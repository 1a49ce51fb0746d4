"""An image, as the engine tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.sdk import translated

if TYPE_CHECKING:
    from docker.models.images import Image as SdkImage


@dataclass(frozen=True)
class HistoryStep:
    """One step of an image's making."""

    created_by: str  # the instruction, or the shell command it ran
    size: int  # bytes that its files added
    is_layer: bool  # whether it changed files; the others are configuration alone


class Image:
    """One image. `docker` is the Docker SDK's own object."""

    def __init__(self, docker: SdkImage, *, name: str) -> None:
        self.docker = docker
        self.name = name

    def __repr__(self) -> str:
        return f"<Image {self.name}>"

    @property
    def id(self) -> str:
        """The digest of its configuration, "sha256:..."."""
        return str(self.docker.id)

    @property
    def size(self) -> int:
        """Bytes of all its layers. Shell: `docker image ls`."""
        return int(self.docker.attrs["Size"])

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """The digests of its layers, uncompressed, lowest first. Source: OCI image spec, rootfs."""
        return tuple(self.docker.attrs["RootFS"].get("Layers") or ())

    def history(self) -> tuple[HistoryStep, ...]:
        """How it was made, first step first. Shell: `docker history --no-trunc NAME`."""
        with translated(f"tell the history of image {self.name!r}"):
            steps: list[dict[str, Any]] = self.docker.history()
        return tuple(
            HistoryStep(step["CreatedBy"], int(step["Size"]), int(step["Size"]) > 0)
            for step in reversed(steps)
        )
