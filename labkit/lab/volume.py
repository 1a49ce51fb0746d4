"""A volume of a lab."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit import inspect
from labkit.sdk import translated

if TYPE_CHECKING:
    from docker.models.volumes import Volume as SdkVolume

    from labkit.lab.lab import Lab


class Volume(inspect.Volume):
    """One volume of a lab. `docker` is the Docker SDK's own object."""

    def __init__(self, lab: Lab, docker: SdkVolume) -> None:
        super().__init__(lab.engine, str(docker.name), docker.attrs.get("Labels") or {})
        self.lab = lab
        self.docker = docker

    def remove(self) -> None:
        """Remove it and its data. Raises EngineRefusedError while it is in use."""
        with translated(f"remove volume {self.name!r}"):
            self.docker.remove()
