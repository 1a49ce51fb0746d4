"""A booted guest, kept: its memory in a file, its devices in another, its disk beside them.

The guest boots with its memory in a shared file. QEMU then writes the state of the devices alone
(capability `x-ignore-shared`), and the file is the memory. A restored machine maps the file
private (copy on write): it reads what it touches, and machines share what none has written.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from labkit.errors import BadSnapshotError, EngineError, LabError
from labkit.waiting import wait_until

from . import boot, integrity, process
from .image import Image, Progress
from .machine import Machine
from .pulse import Pulse
from .qmp import Qmp, monitor
from .runner import GuestRunner

LOAD_TIMEOUT = 60.0  # seconds
# Seconds until the guest answers; about one is usual. One that hangs is told much sooner: `pulse`.
RESTORE_TIMEOUT = 60.0
BOOT = "boot.json"  # seconds of CPU time
ROOM = 1 << 28  # bytes, beside the guest's memory
# What was read and is not needed again goes out of the page cache; then the programs that a
# `docker run` starts come in, and the cache goes to the disk.
_WARM = """
import os
os.sync()
with open("/proc/sys/vm/drop_caches", "w") as caches:
    caches.write("3")
for name in ("bin/crun", "bin/containerd-shim-runc-v2", "sbin/xtables-legacy-multi"):
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

    @property
    def boot_seconds(self) -> float:
        """The CPU time that the guest's boot took."""
        return float(json.loads((self.folder / BOOT).read_text()))

    def damage(self) -> str | None:
        """Return what is wrong with the files, or None; contents are not read, only sizes."""
        try:
            sizes = json.loads((self.folder / "sizes.json").read_text())
            for name, size in sizes.items():
                if (found := (self.folder / name).stat().st_size) != size:
                    return f"{name} has {found} bytes instead of {size}"
            if not integrity.is_current(self.folder):
                return "with what it is, no guest can be compared any more"
            if self.boot_seconds <= 0:
                return "how long its boot took is not known"
        except (OSError, ValueError) as err:
            return str(err)
        return None

    def discard(self) -> None:
        """Make the snapshot unusable; its disk stays, for machines may be running on it."""
        self.state.unlink(missing_ok=True)
        self.memory.unlink(missing_ok=True)

    def restore(
        self, folder: Path, sockets: Path, machine: Machine, disk: str, *, network: bool
    ) -> GuestRunner:
        """Start QEMU in `folder` from this snapshot, and wait until its guest answers.

        Raises BadSnapshotError if the snapshot is to blame; WaitTimeoutError or another EngineError
        if it may well do another time.
        """
        argv = [
            machine.qemu,
            *machine.devices(disk, network=network, durable=False),
            *machine.memory_object(self.memory, private=True),
            "-incoming",
            "defer",
        ]
        boot.follow(folder, sockets)  # it starts while the snapshot is loaded
        number = process.spawn(folder, argv)
        try:
            self._load(folder)
            pulse = Pulse(folder, boot=self.boot_seconds)
            with monitor(folder) as qemu:
                qemu.command("cont")
            _, runner = boot.wait_answering(
                folder,
                sockets,
                timeout=RESTORE_TIMEOUT,
                interval=boot.ASK_RESTORED,
                look=pulse.look,
            )
            return runner
        except BadSnapshotError:
            raise
        except LabError as err:
            # QEMU ends if it refuses the state, and if the guest falls over it. A busy machine, a
            # full disk, or one who kills QEMU says nothing of the snapshot.
            if not process.gave_up(number):
                raise
            raise BadSnapshotError(
                "The micro-VM's snapshot is bad.",
                seen=process.log_tail(folder),
                do="nothing: it is made anew",
            ) from err

    def _load(self, folder: Path) -> None:
        (folder / "state").unlink(missing_ok=True)
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


def snapshots_of(cache: Path, disk: Path) -> list[Snapshot]:
    """Return the snapshots of machines that began with this disk, the one used last first."""
    states = sorted((cache / "snapshots").glob("*/state"), key=_age, reverse=True)
    found = (Snapshot(state.parent) for state in states)
    return [one for one in found if boot.chain(one.disk)[1:2] == [disk.resolve()]]


def find_snapshot(cache: Path, disk: Path, machine: Machine) -> Snapshot | None:
    """Return the newest usable snapshot of this machine, begun with this disk."""
    wanted = f"{_key(disk, machine)}-"
    return next(
        (
            one
            for one in snapshots_of(cache, disk)
            if one.folder.name.startswith(wanted) and one.damage() is None
        ),
        None,
    )


def make_snapshot(
    cache: Path, image: Image, disk: Path, machine: Machine, *, on_progress: Progress
) -> Snapshot:
    """Return the snapshot, made by a cold boot if it is not in the cache; hold its lock."""
    if found := find_snapshot(cache, disk, machine):
        with suppress(OSError):
            os.utime(found.state)
        return found
    snapshots = cache / "snapshots"
    snapshots.mkdir(exist_ok=True, mode=0o700)
    with boot.workshop(cache, room=(machine.memory << 20) + ROOM) as work:
        _make(work, image, disk, machine, on_progress)
        place = snapshots / f"{_key(disk, machine)}-{work.name[7:]}"
        work.rename(place)
        return Snapshot(place)


def _make(work: Path, image: Image, disk: Path, machine: Machine, on_progress: Progress) -> None:
    on_progress("boot", None)
    made = Snapshot(work)
    boot.overlay(disk, made.disk)
    boot.cold_boot(
        work,
        image,
        machine,
        made.disk.name,
        network=False,
        durable=False,
        memory=made.memory,
    )
    with boot.sockets_for(work) as sockets:
        _, runner = boot.wait_answering(work, sockets, timeout=boot.BOOT_TIMEOUT)
        (work / BOOT).write_text(json.dumps(process.cpu_seconds(work)))
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
    sizes = {name: (work / name).stat().st_size for name in ("disk.qcow2", "memory", "state", BOOT)}
    (work / "sizes.json").write_text(json.dumps(sizes))


def _ignore_shared(qemu: Qmp) -> None:
    qemu.command(
        "migrate-set-capabilities", capabilities=[{"capability": "x-ignore-shared", "state": True}]
    )


def _key(disk: Path, machine: Machine) -> str:
    begun = f"{disk.parent.name}/{disk.name} {machine.fingerprint()}"
    return hashlib.sha256(begun.encode()).hexdigest()[:16]


def _age(state: Path) -> float:
    try:
        return state.stat().st_mtime
    except FileNotFoundError:  # discarded by another process just now
        return 0.0
