"""An engine in a micro-VM of ours, and the entrances that lead to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from labkit import paths
from labkit.engine.discovery import Attempt
from labkit.engine.endpoint import Endpoint
from labkit.engine.engine import Engine
from labkit.engine.vm import MicroVM
from labkit.host import GuestHost, Host

Tell = Callable[[str, float | None], None]


def the_vm() -> MicroVM:
    """The micro-VM of this LABKIT_HOME, running or not."""
    return MicroVM(paths.home() / "vm", cache=paths.cache() / "vm")


class VmEngine(Engine):
    """The engine of a micro-VM that runs."""

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


def start_vm(*, tried: Sequence[Attempt] = (), **options: Any) -> VmEngine:
    """Start the micro-VM, or join the one that runs; options as for `MicroVM.start`.

    Raises MissingToolError, ImageBuildError, DiskFullError, EngineError.
    """
    vm = the_vm()
    return VmEngine(vm, vm.start(**options), tried=tried)
