"""What every start begins from: an image, a disk, the best machine, and a snapshot of all three."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from labkit.errors import EngineError, WaitTimeoutError

from . import cache as caches
from .image import Image, Progress, build_image
from .machine import Machine, why_not_kvm
from .prepared import Preparation, find_disk, prepare
from .snapshot import Snapshot, make_snapshot


class KvmWarning(UserWarning):
    """KVM is there and does not work, and the machine is emulated instead."""


@dataclass(frozen=True)
class Base:
    """What a start needs, all of it in the cache."""

    image: Image
    disk: Path  # what cold boots and kept disks begin with
    machine: Machine
    snapshot: Snapshot  # begun with that disk


def choose_machine(
    cache: Path,
    *,
    memory: int | None = None,
    cpus: int | None = None,
    accelerator: Literal["kvm", "tcg"] | None = None,
) -> tuple[Machine, str | None]:
    """Return the machine that a start takes here, and why it is emulated, if it is.

    Raises MissingToolError, EngineError.
    """
    machine = Machine.detect(memory=memory, cpus=cpus, accelerator=accelerator)
    if machine.accelerator == "tcg":
        return machine, why_not_kvm() or "so it was asked for"
    fails = _fails(cache, machine)
    if accelerator is None and fails.exists():
        return Machine.detect(memory=memory, cpus=cpus, accelerator="tcg"), fails.read_text()
    return machine, None


@contextmanager
def hold_base(
    cache: Path,
    *,
    on_progress: Progress,
    folder: Path | None = None,
    memory: int | None = None,
    cpus: int | None = None,
    accelerator: Literal["kvm", "tcg"] | None = None,
    preparation: Preparation | None = None,
) -> Iterator[Base]:
    """Have what a start needs in the cache; with KVM only if a guest was seen to boot with it.

    Nobody removes any of it before the block ends; nor, later, what a machine's disk in `folder` is
    built on.
    Raises MissingToolError, ImageBuildError, DiskFullError, EngineError.
    """
    with caches.held(cache, on_progress=on_progress):
        if folder is not None:
            caches.note_machine(cache, folder)
        image = build_image(cache, on_progress=on_progress)

        def base_of(machine: Machine) -> Base:
            disk = find_disk(image)
            if preparation is not None:
                disk = prepare(cache, image, machine, preparation, on_progress=on_progress)
            made = make_snapshot(cache, image, disk, machine, on_progress=on_progress)
            return Base(image, disk, machine, made)

        machine, _ = choose_machine(cache, memory=memory, cpus=cpus, accelerator=accelerator)
        try:
            base = base_of(machine)
        except (EngineError, WaitTimeoutError) as err:  # a full disk, say, is not KVM's fault
            if machine.accelerator != "kvm" or accelerator is not None:
                raise
            _fails(cache, machine).write_text(f"KVM boots no guest here: {err.what} {err.seen}")
            warnings.warn(
                f"KVM boots no guest here; emulating from now on. {err}", KvmWarning, stacklevel=4
            )
            machine, _ = choose_machine(cache, memory=memory, cpus=cpus)
            base = base_of(machine)
        caches.prune(cache, base.disk)
        yield base


def _fails(cache: Path, machine: Machine) -> Path:
    """Where it is noted that this machine, of any size, was seen not to boot with KVM."""
    return cache / f"kvm-fails-{replace(machine, memory=0).fingerprint()}"
