"""An engine in a micro-VM of ours, and the entrances that lead to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from labkit import paths
from labkit.engine.discovery import Attempt
from labkit.engine.endpoint import Endpoint
from labkit.engine.engine import Engine
from labkit.engine.vm import MicroVM
from labkit.errors import NoRoomError
from labkit.host import GuestHost, Host

PER_CONTAINER = 9 << 20  # bytes that the engine itself needs for one: its shim
# Below it the kernel reads programs from the disk again and again; and a start takes some 40 MiB
# for a moment, for which it would kill what a learner runs.
ROOM_LEFT = 96 << 20

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

    def need_room(self) -> None:
        """Raise NoRoomError where the guest would come to a stand: it has no swap."""
        available = self._memory_available()
        if available >= ROOM_LEFT:
            return
        raise NoRoomError(
            "The micro-VM's memory is full: one container more, and all would come to a stand.",
            available=available,
            seen=f"{available >> 20} MiB of memory left; each container takes the engine itself "
            f"about {PER_CONTAINER >> 20} MiB, and what runs in it comes on top",
            do="remove some; or `labkit engine stop`, then `labkit engine start --memory MIB` "
            "with more",
        )

    def room(self) -> int:
        """How many more containers fit, if they themselves need next to nothing."""
        return max(0, self._memory_available() - ROOM_LEFT) // PER_CONTAINER

    def _memory_available(self) -> int:
        """Bytes that programs of the guest can still have. Source: proc_meminfo(5)."""
        found = re.search(r"^MemAvailable:\s+(\d+) kB", self.host.read("/proc/meminfo"), re.M)
        assert found is not None  # since Linux 3.14
        return int(found[1]) << 10

    @property
    def sight(self) -> str:
        return GuestHost.how


def start_vm(*, tried: Sequence[Attempt] = (), **options: Any) -> VmEngine:
    """Start the micro-VM, or join the one that runs; options as for `MicroVM.start`.

    Raises MissingToolError, ImageBuildError, DiskFullError, EngineError.
    """
    vm = the_vm()
    return VmEngine(vm, vm.start(**options), tried=tried)
