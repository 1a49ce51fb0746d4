"""An engine in a micro-VM of ours, and the entrances that lead to it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from labkit import paths
from labkit.engine.discovery import Attempt
from labkit.engine.endpoint import Endpoint
from labkit.engine.engine import Engine
from labkit.engine.vm import MicroVM
from labkit.errors import LabError, NoRoomError
from labkit.host import GuestHost, Host
from labkit.kernel import parse_victims

PER_CONTAINER = 9 << 20  # bytes that the engine itself needs for one: its shim
# Below it the kernel reads programs from the disk again and again; and a start takes some 40 MiB
# for a moment, for which it would kill what a learner runs.
ROOM_LEFT = 96 << 20

SKEW = 0.2  # seconds by which the clocks of here, of the guest and of its kernel's log may differ
ENGINES = "system"  # the cgroup of engine and entrance: see the guest's `init`

Tell = Callable[[str, float | None], None]


@dataclass(frozen=True)
class Memory:
    """The guest's memory, in bytes."""

    total: int
    available: int

    @property
    def room(self) -> int:
        """How many more containers fit, if they themselves need next to nothing."""
        return max(0, self.available - ROOM_LEFT) // PER_CONTAINER


def _no_room(what: str, memory: Memory) -> NoRoomError:
    fit = f"{memory.room} more containers fit" if memory.room else "no more container fits"
    return NoRoomError(
        what,
        available=memory.available,
        seen=f"{memory.available >> 20} of {memory.total >> 20} MiB are left now, in which {fit}: "
        f"each takes the engine itself about {PER_CONTAINER >> 20} MiB, and what runs in it comes "
        "on top",
        do="let less run at a time; or `labkit engine stop`, then `labkit engine start --memory "
        "MIB` with more",
    )


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
        memory = self._memory()
        if memory.available < ROOM_LEFT:
            raise _no_room(
                "The micro-VM's memory is full: one container more, and all would come to a stand.",
                memory,
            )

    def was_full(self, *, since: float, container: str = "") -> NoRoomError | None:
        """Return what to tell where the guest's kernel killed for want of memory: see `Engine`."""
        with suppress(LabError):  # a guest that does not answer says nothing
            if re.search(r"^oom_kill 0$", self.host.read("/proc/vmstat"), re.M):
                return None
            uptime = float(self.host.read("/proc/uptime").split()[0])
            begin = uptime - (time.monotonic() - since) - SKEW
            log = self.host.run(["dmesg"], timeout=30).stdout
            for one in parse_victims(log):
                if one.at >= begin and (container or ENGINES) in one.cgroup.split("/"):
                    whose = "of the container's" if container else "of the engine's own"
                    return _no_room(
                        "The micro-VM's memory was full, and its kernel killed a process "
                        f"{whose}: {one.name!r}.",
                        self._memory(),
                    )
        return None

    def room(self) -> int:
        """How many more containers fit, if they themselves need next to nothing."""
        return self._memory().room

    def _memory(self) -> Memory:
        """What programs of the guest have, and can still have. Source: proc_meminfo(5)."""
        text = self.host.read("/proc/meminfo")
        found = dict(re.findall(r"^(\w+):\s+(\d+) kB", text, re.M))
        return Memory(int(found["MemTotal"]) << 10, int(found["MemAvailable"]) << 10)

    @property
    def sight(self) -> str:
        return GuestHost.how


def start_vm(*, tried: Sequence[Attempt] = (), **options: Any) -> VmEngine:
    """Start the micro-VM, or join the one that runs; options as for `MicroVM.start`.

    Raises MissingToolError, ImageBuildError, DiskFullError, EngineError.
    """
    vm = the_vm()
    return VmEngine(vm, vm.start(**options), tried=tried)
