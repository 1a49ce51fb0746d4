"""A prepared disk: an image's, after something was done in the guest, such as building lab images.

It lies beside the image's own disk, of which it is an overlay. Being a disk it suits every machine,
which a snapshot does not: whatever the accelerator and the memory, what was done is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labkit.engine.endpoint import Endpoint
from labkit.errors import EngineError

from . import boot, process
from .image import Image, Progress
from .machine import Machine

PREPARED = "prepared-{key}.qcow2"
ROOM = 2 << 30  # bytes that a preparation may write to the guest's disk
HALT_TIMEOUT = 60.0  # seconds; about three under emulation
# The engine has only its own networks, which it makes anew in less time than it takes to read what
# it has noted of them. Blocks that were freed are not worth their room in the cache.
_TIDY = """
import shutil, subprocess
shutil.rmtree("/var/lib/docker/network")
subprocess.run(["fstrim", "/"])
"""


@dataclass(frozen=True)
class Preparation:
    """What is done in a booted guest, once for an image."""

    key: str  # changes with what is done
    work: Callable[[Endpoint], None]


def find_disk(image: Image) -> Path:
    """Return the disk that machines begin with: the prepared one asked for last, or the image's."""
    prepared = image.folder.glob(PREPARED.format(key="*"))
    return max(prepared, key=lambda disk: disk.stat().st_mtime, default=image.disk)


def prepare(
    cache: Path,
    image: Image,
    machine: Machine,
    preparation: Preparation,
    *,
    on_progress: Progress,
) -> Path:
    """Return the image's disk with this preparation, made if it is not there.

    Hold the lock of the cache.
    """
    disk = image.folder / PREPARED.format(key=preparation.key)
    if disk.exists():
        os.utime(disk)
        return disk
    with boot.workshop(cache, room=ROOM) as work:
        on_progress("boot", None)
        made = work / disk.name
        boot.overlay(image.disk, made)
        boot.cold_boot(work, image, machine, made.name, network=True, durable=False)
        with boot.sockets_for(work) as sockets:
            endpoint, runner = boot.wait_answering(work, sockets, timeout=boot.BOOT_TIMEOUT)
            on_progress("prepare", None)
            preparation.work(endpoint)
            on_progress("halt", None)
            runner.run(_TIDY)
            runner.halt()
            if not process.wait_ended(work, timeout=HALT_TIMEOUT):
                raise EngineError(
                    "The guest did not shut down.",
                    seen=process.log_tail(work),
                    do="try again on a machine with less to do",
                )
        made.rename(disk)
    return disk
