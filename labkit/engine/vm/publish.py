"""A small detached process that forwards what the guest's containers publish, whoever runs them.

`docker run -p 8080:80` in a terminal says nothing to labkit, but the engine's events do. It ends
when the machine does.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import docker

from labkit.errors import LabError
from labkit.sdk import translated

from .microvm import MicroVM


class Publisher:
    """What is forwarded for which container."""

    def __init__(self, vm: MicroVM, client: docker.DockerClient) -> None:
        self._vm = vm
        self._api = client.api
        self._held: dict[str, list[tuple[int, str]]] = {}

    def follow(self) -> None:
        """Forward for every container that starts, until the engine is gone."""
        wanted = {"type": "container", "event": ["start", "die"]}
        events = self._api.events(decode=True, filters=wanted)
        for one in self._api.containers():  # those that started before we listened
            self.look_at(one["Id"])
        for event in events:
            if event["Action"] == "start" or event["Actor"]["ID"] in self._held:
                self.look_at(event["Actor"]["ID"])

    def look_at(self, container: str) -> None:
        """Forward what this container publishes now, and no longer what it did before."""
        ports: dict[str, list[dict[str, str]] | None] = {}
        with suppress(docker.errors.NotFound):  # one of `docker run --rm` has gone already
            ports = self._api.inspect_container(container)["NetworkSettings"]["Ports"] or {}
        before = self._held.pop(container, [])
        bound = [(key.rpartition("/")[2], one) for key, ones in ports.items() for one in ones or ()]
        now = []
        for protocol, binding in bound:
            port, address = int(binding["HostPort"]), binding["HostIp"]
            with suppress(LabError):  # sctp, or no port is free: nothing that we could do
                now.append((self._vm.publish(port, protocol, bound_to=address), protocol))
        for host_port, protocol in set(before) - set(now):
            self._vm.unforward(host_port, protocol)
        if now:
            self._held[container] = now


def main(folder: Path, cache: Path) -> None:
    """Follow one machine to its end."""
    vm = MicroVM(folder, cache=cache)
    with suppress(LabError), translated("follow the micro-VM's containers"):
        Publisher(vm, vm.endpoint.client()).follow()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
