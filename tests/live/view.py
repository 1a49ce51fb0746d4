"""What a host shows of a process, in a form that goes from one process to another."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from labkit.host import Host
from labkit.inspect import (
    Cgroup,
    read_capabilities,
    read_id_maps,
    read_mounts,
    read_namespaces,
    read_process,
)
from labkit.waiting import wait_until


def view(host: Host, pid: int) -> dict[str, Any]:
    """Everything that can be read of an idle process."""
    cgroup = Cgroup(host, pid)
    usage = cgroup.usage()
    assert usage.memory.current > 0
    assert usage.cpu.usage_ns > 0
    # Counters move between two looks, of an idle container too; all the rest must be equal.
    memory = replace(usage.memory, current=0, peak=None)
    cpu = replace(usage.cpu, usage_ns=0, nr_periods=0)
    return {
        "namespaces": {kind: str(found) for kind, found in read_namespaces(host, pid).items()},
        "process": read_process(host, pid),
        "id maps": read_id_maps(host, pid),
        "capabilities": read_capabilities(host, pid),
        "mounts": read_mounts(host, pid),
        "cgroup": (cgroup.version, cgroup.directories, memory, cpu, cgroup.pids()),
    }


def settle(host: Host, pid: int) -> None:
    """Wait until a process that has just begun is idle, so that nothing changes between views."""

    def is_idle() -> bool:
        before = view(host, pid)
        time.sleep(0.3)
        return view(host, pid) == before

    wait_until(is_idle, timeout=15, what=f"process {pid} to be idle")
