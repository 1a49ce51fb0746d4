"""A network of a lab."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.lab import labels
from labkit.lab.container import Container
from labkit.sdk import translated

if TYPE_CHECKING:
    from docker.models.networks import Network as SdkNetwork


class Network:
    """One network. `docker` is the Docker SDK's own object."""

    def __init__(self, docker: SdkNetwork) -> None:
        self.docker = docker
        self.name = labels.name_of(docker.attrs.get("Labels") or {})

    def __repr__(self) -> str:
        return f"<Network {self.name}>"

    @property
    def id(self) -> str:
        """The network's id, 64 hexadecimal digits."""
        return str(self.docker.id)

    def inspect(self) -> dict[str, Any]:
        """All the engine knows of it, now. Shell: `docker network inspect NAME`."""
        with translated(f"inspect network {self.name!r}"):
            self.docker.reload()
        return dict(self.docker.attrs)

    @property
    def subnet(self) -> str | None:
        """Its addresses, as in "10.77.0.0/28"; None for drivers without any."""
        config = (self.inspect()["IPAM"] or {}).get("Config") or [{}]
        subnet = config[0].get("Subnet")
        return None if subnet is None else str(subnet)

    @property
    def interface(self) -> str:
        """The name of its bridge on the host. Shell: `ip link show type bridge`."""
        options = self.inspect().get("Options") or {}
        return str(options.get("com.docker.network.bridge.name") or f"br-{self.id[:12]}")

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
