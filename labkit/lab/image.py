"""An image, as a lab uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit import inspect

if TYPE_CHECKING:
    from docker.models.images import Image as SdkImage

    from labkit.builder import Build
    from labkit.lab.lab import Lab


class Image(inspect.Image):
    """One image. `docker` is the Docker SDK's own object."""

    def __init__(
        self, lab: Lab, docker: SdkImage, *, name: str, build: Build | None = None
    ) -> None:
        super().__init__(lab.engine, str(docker.id), name=name)
        self.lab = lab
        self.docker = docker
        self.build = build  # how it was built: its steps, their outcome, seconds and bytes
