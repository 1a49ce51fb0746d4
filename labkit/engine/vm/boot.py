"""A guest that boots, and answers: its engine over HTTPS, its runner for our programs."""

from __future__ import annotations

import http.client
import subprocess
from collections.abc import Callable
from pathlib import Path

from labkit.engine.endpoint import Endpoint
from labkit.errors import (
    EngineError,
    EngineGoneError,
    EngineRefusedError,
    LabError,
)
from labkit.waiting import wait_until

from . import cpio, process
from .image import Image
from .machine import Machine
from .rootfs import GUEST
from .runner import GuestRunner
from .tls import SERVER, certificates, client_context

BOOT_TIMEOUT = 180.0  # seconds; about 10 under emulation on an idle CPU


def cold_boot(
    folder: Path,
    cache: Path,
    image: Image,
    machine: Machine,
    disk: str,
    *,
    network: bool,
    durable: bool,
    memory: Path | None = None,
) -> None:
    """Start QEMU in `folder` from the image's kernel; the guest's keys ride on the initramfs."""
    tls = certificates(cache)
    secrets = {f"labkit/{name}": (cpio.SECRET, (tls / name).read_bytes()) for name in SERVER}
    secrets["labkit/runner.py"] = (cpio.FILE, (GUEST / "runner.py").read_bytes())
    initrd = folder / "initrd"
    initrd.touch(mode=0o600)
    initrd.write_bytes(image.initrd.read_bytes() + cpio.archive(secrets))
    argv = [
        machine.qemu,
        *machine.devices(disk, network=network, durable=durable),
        *machine.memory_object(memory, private=False),
        *machine.boot(image, "initrd"),
    ]
    process.spawn(folder, argv)

    def up() -> bool:
        process.assert_running(folder)
        return b"labkit: guest up" in (folder / process.SERIAL).read_bytes()

    # QEMU accepts for a guest that is not up yet, and a connection made then hangs for seconds.
    wait_until(
        up, timeout=BOOT_TIMEOUT, what="the guest to boot", saw=lambda: process.log_tail(folder)
    )


def wait_answering(folder: Path, cache: Path, *, timeout: float) -> tuple[Endpoint, GuestRunner]:
    """Wait for the guest's engine and runner, set the clock, and return where they are."""
    engine_port, runner_port = process.entrances(folder)
    endpoint = Endpoint(f"tcp://127.0.0.1:{engine_port}", str(certificates(cache)))
    runner = GuestRunner(runner_port, certificates(cache))
    wait_until(
        _answers(folder, lambda: runner.set_clock_and_reseed(timeout=10)),
        timeout=timeout,
        what="the guest to answer",
        saw=lambda: process.log_tail(folder),
        interval=0.1,
    )
    wait_until(
        _answers(folder, lambda: _ping(endpoint)),
        timeout=timeout,
        what="the guest's engine to answer",
        saw=lambda: process.log_tail(folder),
        interval=0.1,
    )
    return endpoint, runner


def overlay(backing: Path, disk: Path) -> None:
    """Make a disk that holds what differs from `backing` (`qemu-img create -b`)."""
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
            str(disk),
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


def _answers(folder: Path, question: Callable[[], object]) -> Callable[[], bool]:
    def ask() -> bool:
        process.assert_running(folder)
        try:
            question()
        except LabError:
            return False
        return True

    return ask


def _ping(endpoint: Endpoint) -> None:
    _request(endpoint, "GET", "/_ping", timeout=10)


def _request(endpoint: Endpoint, method: str, path: str, *, timeout: float) -> bytes:
    """Ask the guest's engine, with nothing between it and us: no proxy, no bundle of authorities.

    The SDK would heed both, from the environment, even for our own loopback.
    """
    context = client_context(Path(str(endpoint.cert_path)))
    port = int(endpoint.url.rpartition(":")[2])
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout, context=context)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        said = answer.read()
    except (OSError, http.client.HTTPException) as err:
        raise EngineGoneError(
            "The micro-VM's engine does not answer.",
            seen=str(err),
            do="look at serial.log in the machine's folder",
        ) from err
    finally:
        connection.close()
    if answer.status >= 400:
        raise EngineRefusedError(
            f"The micro-VM's engine refused {method} {path}.",
            seen=said.decode()[:300],
            do="look at serial.log",
        )
    return said
