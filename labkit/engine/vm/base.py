"""What every start begins from: an image, the best machine for it, and a snapshot of the two."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

from labkit.errors import EngineError, WaitTimeoutError

from .image import Image, Progress, build_image
from .machine import MEMORY, Machine, why_not_kvm
from .snapshot import Preparation, Snapshot, make_snapshot


class KvmWarning(UserWarning):
    """KVM is there and does not work, and the machine is emulated instead."""


def choose_machine(
    cache: Path,
    *,
    memory: int = MEMORY,
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


def build_base(
    cache: Path,
    *,
    on_progress: Progress,
    memory: int = MEMORY,
    cpus: int | None = None,
    accelerator: Literal["kvm", "tcg"] | None = None,
    preparation: Preparation | None = None,
) -> tuple[Image, Machine, Snapshot]:
    """Have what a start needs in the cache; with KVM only if a guest was seen to boot with it.

    Raises MissingToolError, ImageBuildError, DiskFullError, EngineError.
    """
    image = build_image(cache, on_progress=on_progress)

    def snapshot_of(machine: Machine) -> Snapshot:
        return make_snapshot(
            cache, image, machine, on_progress=on_progress, preparation=preparation
        )

    machine, _ = choose_machine(cache, memory=memory, cpus=cpus, accelerator=accelerator)
    try:
        return image, machine, snapshot_of(machine)
    except (EngineError, WaitTimeoutError) as err:  # a full disk, say, is not KVM's fault
        if machine.accelerator != "kvm" or accelerator is not None:
            raise
        _fails(cache, machine).write_text(f"KVM boots no guest here: {err.what} {err.seen}")
        warnings.warn(
            f"KVM boots no guest here; emulating from now on. {err}", KvmWarning, stacklevel=4
        )
    machine, _ = choose_machine(cache, memory=memory, cpus=cpus)
    return image, machine, snapshot_of(machine)


def _fails(cache: Path, machine: Machine) -> Path:
    """Where it is noted that this machine, with KVM, was seen not to boot."""
    return cache / f"kvm-fails-{machine.fingerprint()}"
