"""A booted guest, kept: its memory in a file, its devices in another, its disk beside them.

The guest boots with its memory in a shared file. QEMU then writes the state of the devices alone
(capability `x-ignore-shared`), and the file is the memory. A restored machine maps the file
private (copy on write): it reads what it touches, and machines share what none has written.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labkit.engine.endpoint import Endpoint
from labkit.errors import DiskFullError, EngineError
from labkit.lock import locked
from labkit.waiting import wait_until

from . import boot, integrity, process
from .image import Image, Progress
from .machine import Machine
from .qmp import Qmp, monitor

LOAD_TIMEOUT = 60.0
ROOM = 2 << 30  # bytes that a preparation may write to the guest's disk
# What was read and is not needed again goes out of the page cache; then the programs that a
# `docker run` starts come in, and the cache goes to the disk.
_WARM = """
import os
os.sync()
with open("/proc/sys/vm/drop_caches", "w") as caches:
    caches.write("3")
for name in ("sbin/runc", "bin/containerd-shim-runc-v2", "sbin/xtables-legacy-multi"):
    with open("/usr/" + name, "rb") as program:
        program.read()
os.sync()
"""


@dataclass(frozen=True)
class Snapshot:
    """A snapshot in the cache; complete, since it was renamed into its place."""

    folder: Path

    @property
    def disk(self) -> Path:
        return self.folder / "disk.qcow2"

    @property
    def memory(self) -> Path:
        return self.folder / "memory"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def damage(self) -> str | None:
        """Return what is wrong with the files, or None; contents are not read, only sizes."""
        try:
            sizes = json.loads((self.folder / "sizes.json").read_text())
            for name, size in sizes.items():
                if (found := (self.folder / name).stat().st_size) != size:
                    return f"{name} has {found} bytes instead of {size}"
            if not integrity.is_current(self.folder):
                return "with what it is, no guest can be compared any more"
        except (OSError, ValueError) as err:
            return str(err)
        return None

    def discard(self) -> None:
        """Make the snapshot unusable; its disk stays, for kept machines are built on it."""
        self.state.unlink(missing_ok=True)
        self.memory.unlink(missing_ok=True)

    def load(self, folder: Path, machine: Machine, disk: str, *, network: bool) -> None:
        """Start QEMU in `folder` from this snapshot; raises `EngineError` if it does not load."""
        argv = [
            machine.qemu,
            *machine.devices(disk, network=network, durable=False),
            *machine.memory_object(self.memory, private=True),
            "-incoming",
            "defer",
        ]
        process.spawn(folder, argv)
        (folder / "state").symlink_to(self.state)
        with monitor(folder) as qemu:
            _ignore_shared(qemu)
            qemu.command("migrate-incoming", uri="exec:cat state")

            def loaded() -> bool:
                process.assert_alive(folder)
                return str(qemu.command("query-status")["status"]) == "paused"

            wait_until(
                loaded,
                timeout=LOAD_TIMEOUT,
                what="the snapshot to load",
                interval=0.01,
                saw=lambda: process.log_tail(folder),
            )
            qemu.command("cont")


@dataclass(frozen=True)
class Preparation:
    """What is done in a booted guest before it is kept, such as building the lab images."""

    key: str  # changes with what is done
    work: Callable[[Endpoint], None]


def find_snapshot(
    cache: Path, image: Image, machine: Machine, preparation: str | None = None
) -> Snapshot | None:
    """Return the newest usable snapshot of this image and machine, or of one preparation."""
    wanted = f"{_key(cache, image, machine)}-{preparation or '*'}-*/state"
    states = sorted((cache / "snapshots").glob(wanted), key=_age, reverse=True)
    whole = (Snapshot(state.parent) for state in states)
    return next((snapshot for snapshot in whole if snapshot.damage() is None), None)


def make_snapshot(
    cache: Path,
    image: Image,
    machine: Machine,
    *,
    on_progress: Progress,
    preparation: Preparation | None = None,
) -> Snapshot:
    """Return the snapshot, made by a cold boot if it is not in the cache.

    Without a preparation any snapshot will do. A second process that asks at the same time
    waits for the first.
    """
    snapshots = cache / "snapshots"
    snapshots.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(snapshots / "lock", timeout=600, on_wait=lambda: on_progress("wait", None)):
        if found := find_snapshot(cache, image, machine, preparation.key if preparation else None):
            return found
        for left in snapshots.glob("making-*"):  # of a process that was killed
            process.kill(left)
            shutil.rmtree(left, ignore_errors=True)
        wanted = (machine.memory << 20) + (ROOM if preparation else 1 << 28)
        if (free := shutil.disk_usage(snapshots).free) < wanted:
            raise DiskFullError(
                "There is no room for the micro-VM's snapshot.",
                seen=f"{free >> 20} MiB free in {snapshots}",
                do=f"free {wanted >> 20} MiB, or set LABKIT_CACHE elsewhere",
            )
        work = Path(tempfile.mkdtemp(prefix="making-", dir=snapshots))
        try:
            _make(work, cache, image, machine, preparation, on_progress)
            kind = preparation.key if preparation else "plain"
            place = snapshots / f"{_key(cache, image, machine)}-{kind}-{work.name[7:]}"
            work.rename(place)
            return Snapshot(place)
        finally:
            process.kill(work)
            shutil.rmtree(work, ignore_errors=True)


def _make(
    work: Path,
    cache: Path,
    image: Image,
    machine: Machine,
    preparation: Preparation | None,
    on_progress: Progress,
) -> None:
    on_progress("boot", None)
    made = Snapshot(work)
    boot.overlay(image.disk, made.disk)
    boot.cold_boot(
        work,
        image,
        machine,
        "disk.qcow2",
        network=preparation is not None,
        durable=False,
        memory=made.memory,
    )
    with boot.sockets_for(work) as sockets:
        endpoint, runner = boot.wait_answering(work, sockets, timeout=boot.BOOT_TIMEOUT)
        if preparation is not None:
            on_progress("prepare", None)
            preparation.work(endpoint)
        on_progress("snapshot", None)
        integrity.take_baseline(work, runner, work, like=None)
        runner.run(_WARM)
    with monitor(work) as qemu:
        _ignore_shared(qemu)
        qemu.command("stop")
        qemu.command("migrate", uri="exec:cat > state")

        def written() -> bool:
            status: dict[str, object] = qemu.command("query-migrate")
            if status.get("status") == "failed":
                raise EngineError(
                    "QEMU could not write the snapshot.",
                    seen=str(status),
                    do="see whether the disk is full: df",
                )
            return status.get("status") == "completed"

        wait_until(written, timeout=LOAD_TIMEOUT, what="the snapshot to be written")
        qemu.command("quit")
    process.wait_ended(work, timeout=30)
    sizes = {name: (work / name).stat().st_size for name in ("disk.qcow2", "memory", "state")}
    (work / "sizes.json").write_text(json.dumps(sizes))


def _ignore_shared(qemu: Qmp) -> None:
    qemu.command(
        "migrate-set-capabilities", capabilities=[{"capability": "x-ignore-shared", "state": True}]
    )


def _key(cache: Path, image: Image, machine: Machine) -> str:
    return hashlib.sha256(f"{image.key} {machine.fingerprint()}".encode()).hexdigest()[:16]


def _age(state: Path) -> float:
    try:
        return state.stat().st_mtime
    except FileNotFoundError:  # discarded by another process just now
        return 0.0
