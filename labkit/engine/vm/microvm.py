"""A micro-VM with a Docker Engine, for one folder: started or joined, used, stopped."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Literal

from labkit.engine.endpoint import Endpoint
from labkit.errors import BadSnapshotError, EngineError, EngineGoneError, LabError
from labkit.lock import locked

from . import boot, integrity, process
from .base import Base, hold_base
from .forwarder import AWAITED, ENGINE, RUNNER
from .image import Image, Progress
from .integrity import Changes
from .machine import find_qemu
from .runner import GuestRunner

START_TIMEOUT = 700.0  # seconds: another process may be building the image
STOP_TIMEOUT = 30.0
DISK = "disk.qcow2"  # thrown away at stop
KEPT = "kept.qcow2"  # outlives the machine; a start without `keep` leaves it alone
RECORD = "vm.json"


class SnapshotWarning(UserWarning):
    """A machine did not come up from its snapshot, and was booted cold instead."""


def _silent(stage: str, done: float | None) -> None:
    """Show no progress."""


class MicroVM:
    """The micro-VM of one folder, running or not; several processes may use one."""

    def __init__(self, folder: Path, *, cache: Path) -> None:
        self.folder = folder.absolute()
        self.cache = cache.absolute()

    # --- starting ----------------------------------------------------------------------------

    def start(
        self,
        *,
        memory: int | None = None,
        cpus: int | None = None,
        accelerator: Literal["kvm", "tcg"] | None = None,
        network: bool = True,
        keep: bool = False,
        on_progress: Progress = _silent,
    ) -> Endpoint:
        """Start the machine, or join the one that runs; return where its engine listens.

        `memory` in MiB, else `usual_memory`; `network=False` cuts the guest off from everything
        but our entrances; `keep` lets the disk outlive the machine: it is then always booted,
        never restored. Builds what is not in the cache.
        """
        find_qemu()
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.folder.chmod(0o700)
        except OSError as err:
            raise EngineError(
                "There is no place for the micro-VM.",
                seen=str(err),
                do="set LABKIT_HOME to a folder of yours",
            ) from err
        with locked(self.folder / "lock", timeout=START_TIMEOUT):
            if process.pid(self.folder) and (self.folder / RECORD).exists():
                self._heal()
                return self.endpoint
            process.kill(self.folder)  # of a start that was killed half way
            self._forget()
            disk = self.folder / (KEPT if keep else DISK)
            with hold_base(
                self.cache,
                folder=self.folder,
                memory=memory,
                cpus=cpus,
                accelerator=accelerator,
                on_progress=on_progress,
            ) as base:
                if not (keep and disk.exists()):
                    boot.overlay(base.disk if keep else base.snapshot.disk, disk)
            sockets = boot.place_for_sockets(self.folder)
            try:
                if keep or not self._restore(base, sockets, network=network):
                    runner = self._boot(base, sockets, disk, network=network)
                    # A kept disk is compared with what it is now.
                    integrity.take_baseline(
                        self.folder, runner, self.folder, like=base.snapshot.folder
                    )
            except BaseException:
                process.kill(self.folder)
                raise
            record = {
                "sockets": str(sockets),
                "baseline": str(
                    self.folder
                    if (self.folder / integrity.BASELINE).exists()
                    else base.snapshot.folder
                ),
                "keep": keep,
                "network": network,
                "accelerator": base.machine.accelerator,
                "memory": base.machine.memory,
                "cpus": base.machine.cpus,
            }
            (self.folder / RECORD).write_text(json.dumps(record))
            return self.endpoint

    def _restore(self, base: Base, sockets: Path, *, network: bool) -> bool:
        """Start it from the snapshot; say whether it came up."""
        try:
            base.snapshot.restore(self.folder, sockets, base.machine, DISK, network=network)
            return True
        except LabError as err:
            process.kill(self.folder)
            said = "The micro-VM's snapshot did not load; booting instead."
            if isinstance(err, BadSnapshotError):
                base.snapshot.discard()
            else:  # a machine with much to do, say, or with too little room: another time it may
                said = (
                    "The micro-VM was not up from its snapshot in time; booting instead. "
                    "The snapshot stays."
                )
            warnings.warn(f"{said} {err}", SnapshotWarning, stacklevel=3)
        boot.overlay(base.disk, self.folder / DISK)
        return False

    def _boot(self, base: Base, sockets: Path, disk: Path, *, network: bool) -> GuestRunner:
        kept = disk.name == KEPT
        last = boot.chain(disk)[-1]
        if not last.exists():
            raise EngineError(
                "The image that the kept disk was built on is gone.",
                seen=f"{disk} is an overlay of {last}",
                do=f"what is in it cannot be read any more: rm {disk}",
            )
        # A kept disk has the modules of the kernel that it began with, not of the newest.
        image = Image(last.parent.name, last.parent) if kept else base.image
        boot.cold_boot(self.folder, image, base.machine, disk.name, network=network, durable=kept)
        return boot.wait_answering(self.folder, sockets, timeout=boot.BOOT_TIMEOUT)[1]

    def _heal(self) -> None:
        """Have an engine that answers: the guest starts its own anew, we what leads there."""
        process.assert_running(self.folder)
        boot.wait_answering(self.folder, self._sockets, timeout=boot.BOOT_TIMEOUT)

    # --- using -------------------------------------------------------------------------------

    def pid(self) -> int | None:
        """QEMU's process id, or None if the machine does not run."""
        return process.pid(self.folder)

    @property
    def endpoint(self) -> Endpoint:
        """Where the guest's engine listens."""
        return Endpoint(f"unix://{self._sockets / ENGINE}")

    @property
    def runner(self) -> GuestRunner:
        """The guest's runner, which runs a Python program in the guest."""
        return GuestRunner(self._sockets / RUNNER)

    def changes(self, *, contents: bool = False) -> Changes:
        """What of the guest's own is not as it was restored, or booted; empty: nothing.

        Programs, configuration, mounts, kernel, settings, modules, the engine, the entrance, and
        processes of no container: see `integrity` for what is compared, and what would pass.
        `contents` reads every program (about 4 s under emulation) and not only those that answer
        us (1 s). Raises EngineGoneError if the machine does not answer.
        """
        process.assert_running(self.folder)
        place = Path(str(self._record().get("baseline", self.folder)))
        return integrity.find_changes(self.folder, self.runner, place, contents=contents)

    def awaited_ports(self) -> list[str]:
        """The ports of services that something on this machine has: they lead there when free."""
        try:
            found = json.loads((self.folder / AWAITED).read_text())
        except FileNotFoundError:
            return []
        return [f"{number}/{protocol}" for protocol, number in found]

    @property
    def _sockets(self) -> Path:
        return Path(str(self._record()["sockets"]))

    # --- stopping ----------------------------------------------------------------------------

    def stop(self) -> bool:
        """Shut the guest down; say whether it ran. A disk that is not kept is removed.

        A kept machine shuts down cleanly, within 30 s; another is simply ended.
        """
        if not self.folder.is_dir():
            return False
        with locked(self.folder / "lock", timeout=START_TIMEOUT):
            ran = process.pid(self.folder) is not None
            record = self._record() if (self.folder / RECORD).exists() else {}
            if ran and record.get("keep"):
                self.runner.halt()
                if not process.wait_ended(self.folder, timeout=STOP_TIMEOUT):
                    warnings.warn(
                        "The micro-VM did not shut down in time and was killed; "
                        f"see {self.folder / process.SERIAL}.",
                        stacklevel=2,
                    )
            process.kill(self.folder)
            if (sockets := Path(str(record.get("sockets", self.folder)))) != self.folder:
                shutil.rmtree(sockets, ignore_errors=True)
            self._forget()
        return ran

    def remove(self) -> None:
        """Stop the machine and remove its folder, a kept disk included."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _record(self) -> dict[str, object]:
        try:
            record: dict[str, object] = json.loads((self.folder / RECORD).read_text())
        except FileNotFoundError as err:
            raise EngineGoneError(
                "This micro-VM has not been started.",
                seen=str(self.folder),
                do="`labkit engine start`",
            ) from err
        return record

    def _forget(self) -> None:
        for name in (
            RECORD,
            DISK,
            "state",
            process.PID_FILE,
            "qmp.sock",
            "wire.sock",
            AWAITED,
            *integrity.FILES,
        ):
            (self.folder / name).unlink(missing_ok=True)
