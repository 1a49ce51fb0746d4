"""An engine in a micro-VM of ours, and the entrances that lead to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from labkit import paths
from labkit.engine.discovery import Attempt
from labkit.engine.endpoint import Endpoint
from labkit.engine.engine import Engine
from labkit.engine.vm import MicroVM, find_image
from labkit.host import GuestHost, Host

Tell = Callable[[str, float | None], None]


def the_vm() -> MicroVM:
    """The micro-VM of this LABKIT_HOME, running or not."""
    return MicroVM(paths.home() / "vm", cache=paths.cache() / "vm")


class VmEngine(Engine):
    """The engine of a micro-VM that runs."""

    forwards_ports = True

    def __init__(self, vm: MicroVM, endpoint: Endpoint, *, tried: Sequence[Attempt] = ()) -> None:
        super().__init__("vm", endpoint, tried=tried)
        self.vm = vm

    @classmethod
    def running(cls) -> VmEngine | None:
        """This LABKIT_HOME's, if it runs."""
        vm = the_vm()
        return cls(vm, vm.endpoint) if vm.pid() else None

    @cached_property
    def host(self) -> Host:
        """The guest, seen by an agent in it; no probe container is needed."""
        vm = self.vm
        return GuestHost(lambda source: vm.runner.open(source))  # where it is by then

    @property
    def sight(self) -> str:
        return GuestHost.how

    def environ(self) -> dict[str, str]:
        """As every engine's; where there is no `docker`, with ours, its Compose and its buildx."""
        environ = super().environ()
        image = find_image(self.vm.cache)
        if shutil.which("docker") or image is None:
            return environ
        config = paths.home() / "docker-cli"
        config.mkdir(parents=True, exist_ok=True, mode=0o700)
        link = config / f"cli-plugins.{os.getpid()}"
        link.symlink_to(image.tools / "cli-plugins")
        link.replace(config / "cli-plugins")  # at once, for whoever asks at the same time
        path = os.pathsep.join((str(image.tools), os.environ.get("PATH", os.defpath)))
        return {**environ, "PATH": path, "DOCKER_CONFIG": str(config)}

    @property
    def publish_address(self) -> str:
        return "127.0.0.1"  # of the guest: QEMU leads there from our own

    def reach(self, port: int, protocol: str = "tcp", *, bound_to: str = "") -> tuple[str, int]:
        """Forward a port of the guest's to loopback: the same one, if that is free."""
        return "127.0.0.1", self.vm.publish(port, protocol, bound_to=bound_to)


def start_vm(*, tried: Sequence[Attempt] = (), **options: Any) -> VmEngine:
    """Start the micro-VM, or join the one that runs; options as for `MicroVM.start`.

    Raises MissingToolError, ImageBuildError, DiskFullError, EngineError.
    """
    vm = the_vm()
    return VmEngine(vm, vm.start(**options), tried=tried)
