"""A micro-VM with a Docker Engine, for one folder: started or joined, used, stopped."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Literal

from labkit.detached import detach
from labkit.engine.endpoint import Endpoint
from labkit.errors import EngineError, EngineGoneError, EngineRefusedError, LabError
from labkit.lock import locked

from . import boot, process, snapshot
from .base import build_base
from .image import Image, Progress
from .machine import CARD, LOOPBACK, MEMORY, Machine, find_qemu
from .qmp import Forward, monitor
from .runner import GuestRunner
from .tls import certificates

START_TIMEOUT = 700.0  # seconds: another process may be building the image
STOP_TIMEOUT = 30.0
RESTORE_TIMEOUT = 30.0  # seconds; about one is usual
DISK = "disk.qcow2"  # thrown away at stop
KEPT = "kept.qcow2"  # outlives the machine; a start without `keep` leaves it alone
RECORD = "vm.json"


class SnapshotWarning(UserWarning):
    """A snapshot did not load, and the machine was booted cold instead."""


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
        memory: int = MEMORY,
        cpus: int | None = None,
        accelerator: Literal["kvm", "tcg"] | None = None,
        network: bool = True,
        keep: bool = False,
        on_progress: Progress = _silent,
    ) -> Endpoint:
        """Start the machine, or join the one that runs; return where its engine listens.

        `memory` in MiB; `network=False` cuts the guest off from everything but our entrances;
        `keep` lets the disk outlive the machine: it is then always booted, never restored.
        Builds what is not in the cache.
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
                process.assert_running(self.folder)
                return self.endpoint
            process.kill(self.folder)  # of a start that was killed half way
            self._forget()
            image, machine, base = build_base(
                self.cache,
                memory=memory,
                cpus=cpus,
                accelerator=accelerator,
                on_progress=on_progress,
            )
            try:
                endpoint, runner = self._run(machine, image, base, network=network, keep=keep)
            except BaseException:
                process.kill(self.folder)
                raise
            record = {
                "url": endpoint.url,
                "runner": runner.port,
                "keep": keep,
                "network": network,
                "accelerator": machine.accelerator,
                "memory": memory,
                "cpus": machine.cpus,
            }
            (self.folder / RECORD).write_text(json.dumps(record))
            self._follow()
            return endpoint

    def _run(
        self, machine: Machine, image: Image, base: snapshot.Snapshot, *, network: bool, keep: bool
    ) -> tuple[Endpoint, GuestRunner]:
        name = KEPT if keep else DISK
        disk = self.folder / name
        if not disk.exists():
            boot.overlay(base.disk, disk)
        if not keep:
            try:
                base.load(self.folder, machine, name, network=network)
                return boot.wait_answering(self.folder, self.cache, timeout=RESTORE_TIMEOUT)
            except LabError as err:
                process.kill(self.folder)
                base.discard()
                warnings.warn(
                    f"The micro-VM's snapshot did not load; booting instead. {err}",
                    SnapshotWarning,
                    stacklevel=3,
                )
                self._forget()
                boot.overlay(base.disk, disk)
        boot.cold_boot(self.folder, self.cache, image, machine, name, network=network, durable=keep)
        return boot.wait_answering(self.folder, self.cache, timeout=boot.BOOT_TIMEOUT)

    def _follow(self) -> None:
        """Start the process that forwards what containers publish; see `publish`."""
        detach("labkit.engine.vm.publish", str(self.folder), str(self.cache), environ=os.environ)

    # --- using -------------------------------------------------------------------------------

    def pid(self) -> int | None:
        """QEMU's process id, or None if the machine does not run."""
        return process.pid(self.folder)

    @property
    def endpoint(self) -> Endpoint:
        """Where the guest's engine listens, with the folder of our client certificate."""
        return Endpoint(str(self._record()["url"]), str(certificates(self.cache)))

    @property
    def runner(self) -> GuestRunner:
        """The guest's runner, which runs a Python program in the guest."""
        return GuestRunner(int(str(self._record()["runner"])), certificates(self.cache))

    def forward(
        self,
        guest_port: int,
        protocol: str = "tcp",
        *,
        host_port: int = 0,
        guest_address: str = CARD,
    ) -> int:
        """Let a loopback port of this machine lead to a port of the guest; return its number.

        `host_port` 0 takes any free one. Asked twice, it answers the same. Raises
        `EngineRefusedError` if the port is taken. The same: `hostfwd_add` in QEMU's monitor.
        """
        there = (protocol, guest_address, guest_port)
        with locked(self.folder / "forward.lock", timeout=30), monitor(self.folder) as qemu:
            before = qemu.forwards()
            for known in before:
                if known.there == there and host_port in (0, known.host_port):
                    return known.host_port
            said = qemu.human(
                f"hostfwd_add net {protocol}:127.0.0.1:{host_port}-{guest_address}:{guest_port}"
            )
            new = [f.host_port for f in qemu.forwards() if f not in before]
        if not new:
            raise EngineRefusedError(
                f"Port {host_port} cannot be forwarded to the micro-VM.",
                seen=said.strip(),
                do="choose another port, or none (0)",
            )
        return new[0]

    def publish(self, port: int, protocol: str = "tcp", *, bound_to: str = "") -> int:
        """Forward a port that a container publishes: by its own number, if that is free.

        What is bound to the guest's loopback alone is reached there.
        """
        address = LOOPBACK if bound_to.startswith("127.") else CARD
        try:
            return self.forward(port, protocol, host_port=port, guest_address=address)
        except EngineRefusedError:
            return self.forward(port, protocol, guest_address=address)

    def unforward(self, host_port: int, protocol: str = "tcp") -> None:
        """Take a forwarded port back (`hostfwd_remove`)."""
        with locked(self.folder / "forward.lock", timeout=30), monitor(self.folder) as qemu:
            qemu.human(f"hostfwd_remove net {protocol}:127.0.0.1:{host_port}")

    def forwards(self) -> list[Forward]:
        """The forwarded ports, the two entrances among them."""
        with monitor(self.folder) as qemu:
            return qemu.forwards()

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
        for name in (RECORD, DISK, "state", "initrd", process.PID_FILE, "qmp.sock"):
            (self.folder / name).unlink(missing_ok=True)
