"""A network of a lab."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from labkit import inspect
from labkit.lab.container import Container
from labkit.sdk import translated

SUBNET_TRIES = 20
OVERLAPS = ("overlap", "already used", "already in use")  # what engines say of a taken subnet

if TYPE_CHECKING:
    from docker.models.networks import Network as SdkNetwork

    from labkit.lab.lab import Lab


class Network(inspect.Network):
    """One network of a lab. `docker` is the Docker SDK's own object."""

    def __init__(self, lab: Lab, docker: SdkNetwork) -> None:
        super().__init__(lab.engine, str(docker.id), docker.attrs.get("Labels") or {})
        self.lab = lab
        self.docker = docker

    def connect(self, container: Container) -> None:
        """Give a container an interface here, and its own name. Shell: `docker network connect`."""
        with translated(f"connect {container.name!r} to network {self.name!r}"):
            self.docker.connect(container.docker, aliases=[container.name])

    def disconnect(self, container: Container) -> None:
        """Take a container's interface away. Shell: `docker network disconnect`."""
        with translated(f"disconnect {container.name!r} from network {self.name!r}"):
            self.docker.disconnect(container.docker, force=True)

    def remove(self) -> None:
        """Remove it. Raises EngineRefusedError while it is in use. Shell: `docker network rm`."""
        with translated(f"remove network {self.name!r}"):
            self.docker.remove()


def random_subnet() -> str:
    """Sixteen addresses somewhere in 10.0.0.0/8."""
    second, third = 100 + secrets.randbelow(100), secrets.randbelow(256)
    return f"10.{second}.{third}.{16 * secrets.randbelow(16)}/28"
