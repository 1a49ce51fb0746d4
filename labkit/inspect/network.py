"""What can be seen of a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from labkit import labels
from labkit.sdk import translated

if TYPE_CHECKING:
    from labkit.inspect.source import Source


class Network:
    """One network, to look at; it is asked anew each time."""

    def __init__(self, engine: Source, id: str, labelled: Mapping[str, str]) -> None:
        self.engine = engine
        self.id = id  # 64 hexadecimal digits
        self.name = labels.name_of(labelled)  # a network cannot be renamed

    def __repr__(self) -> str:
        return f"<Network {self.name}>"

    def inspect(self) -> dict[str, Any]:
        """All the engine knows of it, now. Shell: `docker network inspect NAME`."""
        with translated(f"inspect network {self.name!r}", kind="network", name=self.name):
            return dict(self.engine.client.api.inspect_network(self.id))

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
