"""What a micro-VM costs: one is started in a folder of its own, looked at, and ended."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from labkit import paths
from labkit.engine.vm import boot, process
from labkit.engine.vm.base import hold_base
from labkit.engine.vm.machine import Machine, memory_available
from labkit.engine.vm.microvm import DISK
from labkit.errors import LabError
from labkit.linux import other_system

__all__ = ["Start", "memory_available", "prepare", "start"]

_WHO = """
for name in ("osrelease", "random/boot_id"):
    print(open(f"/proc/sys/kernel/{name}").read().strip())
"""


@dataclass(frozen=True)
class Start:
    """One start of a micro-VM, up to the first answer of the engine in it, and its price."""

    how: str  # "cold boot" or "restore"
    accelerator: str  # "KVM" or "emulation"
    seconds: float
    cpu_seconds: float  # of QEMU's, in that time
    size: int  # bytes: the memory that the guest has been given
    memory: int  # bytes: QEMU's proportional set size (proc_pid_smaps(5)), as it answered
    disk: int  # bytes that this machine alone has
    image: int  # bytes of the files it started from, which others start from too
    kernel: str  # the guest's release
    boot_id: str  # the guest's


def prepare(*, on_message: Callable[[str], object] = print) -> str | None:
    """Build what a start needs, if it is not in the cache; return why that cannot be, or None.

    Building takes a minute or two. Shell: `labkit engine build`.
    """
    told: set[str] = set()

    def tell(stage: str, done: float | None) -> None:
        if stage not in told:
            told.add(stage)
            waits = stage == "wait"
            on_message(
                "another process makes the VM: waiting" if waits else f"making the VM: {stage}"
            )

    try:
        if other := other_system():
            return f"this notebook runs on {other}, and a micro-VM of labkit's takes Linux"
        Machine.detect()
        with hold_base(_cache(), on_progress=tell):
            pass
    except LabError as err:
        return f"{err.what} {err.seen} (To change that: {err.do}.)"
    return None


def start(how: Literal["cold boot", "restore"]) -> Start:
    """Start a machine, ask it who it is, weigh it, and end it. Raises as `MicroVM.start` does."""
    with _folder() as folder, boot.sockets_for(folder) as sockets:
        with hold_base(_cache(), folder=folder, on_progress=_silent) as base:
            image, machine, snapshot = base.image, base.machine, base.snapshot
            begin = time.perf_counter()
            boot.overlay(base.disk if how == "cold boot" else snapshot.disk, folder / DISK)
        if how == "cold boot":
            boot.cold_boot(folder, image, machine, DISK, network=False, durable=False)
            files = [image.kernel, image.initrd]
            _, runner = boot.wait_answering(folder, sockets, timeout=boot.BOOT_TIMEOUT)
        else:
            files = [snapshot.memory, snapshot.state]
            runner = snapshot.restore(folder, sockets, machine, DISK, network=False)
        files += boot.chain(folder / DISK)[1:]
        seconds = time.perf_counter() - begin
        qemu = psutil.Process(process.pid(folder))
        cpu, memory = qemu.cpu_times(), qemu.memory_full_info().pss
        kernel, boot_id = runner.run(_WHO).split()
        return Start(
            how=how,
            accelerator="KVM" if machine.accelerator == "kvm" else "emulation",
            seconds=seconds,
            cpu_seconds=cpu.user + cpu.system,
            size=machine.memory << 20,
            memory=memory,
            disk=_bytes_on_disk(folder.iterdir()),
            image=_bytes_on_disk(files),
            kernel=kernel,
            boot_id=boot_id,
        )


@contextmanager
def _folder() -> Iterator[Path]:
    """A machine's folder, which goes, and the machine with it, even if this process is killed."""
    paths.home().mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="vm-measured-", dir=paths.home()))
    # The guard reads from a pipe whose other end only we have: pipe(7), as the reaper does.
    end = [sys.executable, "-m", __name__, str(folder)]
    guard = subprocess.Popen(
        ["sh", "-c", 'read -r _; exec "$@"', "sh", *end],
        stdin=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        yield folder
    finally:
        _end(folder)
        guard.kill()
        guard.communicate()


def _end(folder: Path) -> None:
    process.kill(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _cache() -> Path:
    return paths.cache() / "vm"


def _bytes_on_disk(files: Iterable[Path]) -> int:
    return sum(file.stat().st_blocks * 512 for file in files)


def _silent(stage: str, done: float | None) -> None:
    """Show no progress."""


if __name__ == "__main__":
    _end(Path(sys.argv[1]))
