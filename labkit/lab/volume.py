"""A volume of a lab."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.lab import labels
from labkit.sdk import translated

if TYPE_CHECKING:
    from docker.models.volumes import Volume as SdkVolume


class Volume:
    """One volume. `docker` is the Docker SDK's own object."""

    def __init__(self, docker: SdkVolume) -> None:
        self.docker = docker
        self.name = labels.name_of(docker.attrs.get("Labels") or {})

    def __repr__(self) -> str:
        return f"<Volume {self.name}>"

    @property
    def mount_point(self) -> str:
        """Where its files are on the engine's machine. Shell: `docker volume inspect NAME`."""
        return str(self.docker.attrs["Mountpoint"])

    def remove(self) -> None:
        """Remove it and its data. Raises EngineRefusedError while it is in use."""
        with translated(f"remove volume {self.name!r}"):
            self.docker.remove()
