"""What every start begins from: an image, the best machine for it, and a snapshot of the two."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

from labkit.errors import LabError

from .image import Image, Progress, build_image
from .machine import MEMORY, Machine
from .snapshot import Preparation, Snapshot, make_snapshot


class KvmWarning(UserWarning):
    """KVM is there and does not work, and the machine is emulated instead."""


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

    machine = Machine.detect(memory=memory, cpus=cpus, accelerator=accelerator)
    fails = cache / f"kvm-fails-{machine.fingerprint()}"
    if machine.accelerator == "kvm" and accelerator is None:
        try:
            if not fails.exists():
                return image, machine, snapshot_of(machine)
        except LabError as err:
            fails.write_text(str(err))
            warnings.warn(
                f"KVM boots no guest here; emulating from now on. {err}", KvmWarning, stacklevel=4
            )
        machine = Machine.detect(memory=memory, cpus=cpus, accelerator="tcg")
    return image, machine, snapshot_of(machine)
