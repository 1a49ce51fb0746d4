"""What a start begins from: with KVM, without, and with one that boots no guest."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from labkit.engine.vm import Base, Image, KvmWarning, Machine, Preparation, Snapshot, hold_base
from labkit.engine.vm import base as bases
from labkit.errors import DiskFullError, EngineError, LabError, WaitTimeoutError
from labkit.lock import take

PREPARATION = Preparation("lab", lambda endpoint: None)
BROKEN = EngineError("QEMU ended at once.", seen="failed to set MSR")


class Computer:
    """A computer with KVM on which nothing is really made: what was made is noted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
        self.cache = cache
        self.kvm_fails: LabError | None = None
        self.made: list[str] = []
        image = Image("key", cache / "images/key")
        monkeypatch.setattr(bases, "build_image", lambda cache, *, on_progress: image)
        monkeypatch.setattr(bases, "find_disk", lambda image: image.disk)
        monkeypatch.setattr(bases, "prepare", self._prepare)
        monkeypatch.setattr(bases, "make_snapshot", self._snapshot)
        monkeypatch.setattr(bases, "why_not_kvm", lambda: None)
        monkeypatch.setattr(Machine, "detect", self._detect)

    def _detect(
        self, *, memory: int | None, cpus: int | None, accelerator: str | None = None
    ) -> Machine:
        return Machine("qemu", "version 7.2.22", accelerator or "kvm", memory or 640, cpus or 1)

    def _boot(self, what: str, machine: Machine) -> None:
        assert take(self.cache / "lock") is None  # we hold it
        if machine.accelerator == "kvm" and self.kvm_fails:
            raise self.kvm_fails
        self.made.append(f"{what}, {machine.accelerator}")

    def _prepare(
        self, cache: Path, image: Image, machine: Machine, wanted: Preparation, **_: object
    ) -> Path:
        self._boot(f"disk {wanted.key}", machine)
        return image.folder / "prepared-lab.qcow2"

    def _snapshot(
        self, cache: Path, image: Image, disk: Path, machine: Machine, **_: object
    ) -> Snapshot:
        self._boot(f"snapshot of {disk.stem}", machine)
        return Snapshot(cache / "snapshots/one")

    def base(self, **options: object) -> Base:
        with hold_base(self.cache, on_progress=lambda stage, done: None, **options) as base:  # type: ignore[arg-type]
            return base


@pytest.fixture
def computer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Computer:
    return Computer(monkeypatch, tmp_path / "cache")


def test_with_kvm_that_works(computer: Computer) -> None:
    assert computer.base(preparation=PREPARATION).machine.accelerator == "kvm"
    assert computer.made == ["disk lab, kvm", "snapshot of prepared-lab, kvm"]


@pytest.mark.parametrize("fails", [BROKEN, WaitTimeoutError("The guest did not answer.")])
def test_a_kvm_that_boots_no_guest_is_said_once_and_remembered(
    computer: Computer, fails: LabError
) -> None:
    computer.kvm_fails = fails
    with pytest.warns(KvmWarning, match=fails.what):
        assert computer.base(preparation=PREPARATION).machine.accelerator == "tcg"
    assert computer.made == ["disk lab, tcg", "snapshot of prepared-lab, tcg"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert computer.base(memory=1536).machine.accelerator == "tcg"  # whatever its size
    machine, why = bases.choose_machine(computer.cache)
    assert machine.accelerator == "tcg"
    assert why is not None and fails.what in why


def test_who_asks_for_kvm_gets_its_error(computer: Computer) -> None:
    computer.kvm_fails = BROKEN
    with pytest.raises(EngineError, match="at once"):
        computer.base(accelerator="kvm")
    assert not list(computer.cache.glob("kvm-fails-*"))


def test_a_full_disk_is_not_the_fault_of_kvm(computer: Computer) -> None:
    computer.kvm_fails = DiskFullError("There is no room.")
    with pytest.raises(DiskFullError):
        computer.base()
    assert not list(computer.cache.glob("kvm-fails-*"))


def test_another_qemu_is_tried_anew(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    computer.kvm_fails = BROKEN
    with pytest.warns(KvmWarning):
        computer.base()
    computer.kvm_fails = None
    detect = computer._detect
    monkeypatch.setattr(
        Machine,
        "detect",
        lambda **options: replace(detect(**options), version="version 10.0.2"),
    )
    assert computer.base().machine.accelerator == "kvm"
