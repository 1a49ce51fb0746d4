"""A guest that boots, and answers: its engine, and its runner for our programs."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from labkit import paths
from labkit.detached import detach
from labkit.engine.endpoint import Endpoint
from labkit.errors import DiskFullError, EngineError
from labkit.lock import take
from labkit.waiting import wait_until

from . import forwarder, process
from .image import Image
from .machine import Machine
from .runner import GuestRunner

BOOT_TIMEOUT = 180.0  # seconds; about 10 under emulation on an idle CPU
ASK_EVERY = 0.25  # seconds: an answer costs a guest that boots, emulated, some milliseconds
ASK_RESTORED = 0.02  # one that was restored boots nothing, and answers in some tenths


def cold_boot(
    folder: Path,
    image: Image,
    machine: Machine,
    disk: str,
    *,
    network: bool,
    durable: bool,
    memory: Path | None = None,
) -> None:
    """Start QEMU in `folder` from the image's kernel."""
    argv = [
        machine.qemu,
        *machine.devices(disk, network=network, durable=durable),
        *machine.memory_object(memory, private=False),
        *machine.boot(image),
    ]
    process.spawn(folder, argv)


@contextmanager
def workshop(cache: Path, *, room: int) -> Iterator[Path]:
    """A folder in which a guest is booted to make something; hold the lock of the cache.

    Raises DiskFullError if there are not `room` bytes.
    """
    for left in cache.glob("making-*"):  # of a process that was killed
        process.kill(left)
        shutil.rmtree(left, ignore_errors=True)
    if (free := shutil.disk_usage(cache).free) < room:
        raise DiskFullError(
            "There is no room for what the micro-VM starts from.",
            seen=f"{free >> 20} MiB free in {cache}",
            do=f"free {room >> 20} MiB, or set LABKIT_CACHE elsewhere",
        )
    work = Path(tempfile.mkdtemp(prefix="making-", dir=cache))
    try:
        yield work
    finally:
        process.kill(work)
        shutil.rmtree(work, ignore_errors=True)


def place_for_sockets(folder: Path) -> Path:
    """Where the sockets of the machine in `folder` go: a path has 107 bytes at most, unix(7)."""
    longest = folder / f"{forwarder.ENGINE}.new"
    if len(os.fsencode(longest)) < paths.SOCKET_PATH_MAX:
        return folder
    return Path(tempfile.mkdtemp(prefix="labkit-vm-"))


@contextmanager
def sockets_for(folder: Path) -> Iterator[Path]:
    """That place, for as long as it is used."""
    sockets = place_for_sockets(folder)
    try:
        yield sockets
    finally:
        if sockets != folder:
            shutil.rmtree(sockets, ignore_errors=True)


def follow(folder: Path, sockets: Path) -> None:
    """Start what leads into the guest, unless it is there: see `forwarder`."""
    lock = take(folder / forwarder.LOCK)
    if lock is None:
        return
    try:
        for name in (forwarder.ENGINE, forwarder.RUNNER):  # of one that was killed
            (sockets / name).unlink(missing_ok=True)
        # It inherits the lock, and so holds it from now on to its end.
        module, place = "labkit.engine.vm.forwarder", (str(folder), str(sockets))
        detach(module, *place, inherited=[lock], environ=os.environ)
    finally:
        os.close(lock)


def wait_answering(
    folder: Path,
    sockets: Path,
    *,
    timeout: float,
    interval: float = ASK_EVERY,
    look: Callable[[], None] = lambda: None,
) -> tuple[Endpoint, GuestRunner]:
    """Wait for the guest's engine and runner, and return where they are.

    `look` is called all the while; it may raise.
    """
    endpoint = Endpoint(f"unix://{sockets / forwarder.ENGINE}")
    runner = GuestRunner(sockets / forwarder.RUNNER)

    def answers() -> bool:
        process.assert_running(folder)
        look()
        return runner.path.exists() and _pings(sockets / forwarder.ENGINE)

    follow(folder, sockets)
    wait_until(
        answers,
        timeout=timeout,
        what="the guest's engine to answer",
        saw=lambda: process.log_tail(folder),
        interval=interval,
    )
    return endpoint, runner


def overlay(backing: Path, disk: Path) -> None:
    """Make a disk that holds what differs from `backing` (`qemu-img create -b`)."""
    new = disk.with_suffix(".new")
    done = subprocess.run(
        [
            "qemu-img",
            "create",
            "-q",
            "-f",
            "qcow2",
            "-F",
            "qcow2",
            "-b",
            str(backing.absolute()),
            str(new),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise EngineError(
            "The micro-VM's disk cannot be made.",
            seen=done.stderr.strip(),
            do="`labkit engine build` makes the image anew",
        )
    new.replace(disk)  # at any moment it can be seen what a disk is built on


def chain(disk: Path) -> list[Path]:
    """Return a disk, what it is an overlay of, and so on, by the files' real names.

    Source: QEMU, docs/interop/qcow2.txt.
    """
    found = [disk.resolve()]
    with suppress(OSError, struct.error):  # the last one may be gone, or no disk at all
        while True:
            with found[-1].open("rb") as file:
                magic, _, offset, size = struct.unpack(">4sIQI", file.read(20))
                if magic != b"QFI\xfb" or not offset:
                    break
                file.seek(offset)
                found.append(Path(os.fsdecode(file.read(size))).resolve())
    return found


def _pings(path: Path) -> bool:
    """Whether an engine answers; the SDK takes longer to be imported than this takes."""
    with socket.socket(socket.AF_UNIX) as end, suppress(OSError):
        end.settimeout(10)
        end.connect(str(path))
        end.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        return b" 200 " in end.recv(64)
    return False
