"""What a machine cannot be started with: one clear error each, and nothing left running."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from machines import Base, qemus

from labkit import connect
from labkit.engine.vm import Machine, MicroVM, build_image
from labkit.engine.vm.boot import overlay
from labkit.engine.vm.machine import find_qemu
from labkit.errors import (
    DiskFullError,
    EngineError,
    EngineGoneError,
    MissingToolError,
    NoEngineError,
)
from labkit.waiting import wait_until


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "small", place], check=True)
    yield place

    def is_unmounted() -> bool:
        return subprocess.run(["umount", place], check=False).returncode == 0

    # The forwarder's folder is here too, and it hears of its machine's end a moment later.
    wait_until(is_unmounted, timeout=30, what="the last who used the disk", interval=0.2)


def test_without_qemu_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, base: Base
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError) as caught:
        MicroVM(tmp_path / "vm", cache=base.cache).start()
    assert "qemu-system" in caught.value.seen
    assert "apt-get install" in caught.value.do
    assert "qemu-utils" in caught.value.do
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    with pytest.raises(NoEngineError) as none:
        connect(kind="vm")
    assert none.value.do == caught.value.do


def test_the_command_line_says_it_too(tmp_path: Path, base: Base) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "labkit", "engine", "start", "--engine", "vm"],
        env={**os.environ, "PATH": str(tmp_path), "LABKIT_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "apt-get install" in done.stderr


def test_an_old_qemu_is_refused_by_its_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    qemu, _ = find_qemu()
    old = tmp_path / Path(qemu).name
    old.write_text("#!/bin/sh\necho QEMU emulator version 5.2.0 '(Debian 1:5.2)'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(EngineError, match="too old") as caught:
        Machine.detect()
    assert "5.2.0" in caught.value.seen
    assert "6.2 or newer" in caught.value.do


@pytest.mark.parametrize(("memory", "what"), [(128, "too little memory"), (1 << 24, "free memory")])
def test_an_impossible_memory_size_is_refused(
    tmp_path: Path, base: Base, memory: int, what: str
) -> None:
    vm = MicroVM(tmp_path / "vm", cache=base.cache)
    with pytest.raises(EngineError, match=what) as caught:
        vm.start(memory=memory)
    assert "MiB" in caught.value.seen
    assert qemus(tmp_path) == []
    assert {path.name for path in vm.folder.iterdir()} <= {"lock"}


def test_a_kept_disk_that_has_lost_its_image_is_said(tmp_path: Path, base: Base) -> None:
    """As when somebody removed the cache."""
    vm = MicroVM(tmp_path / "vm", cache=base.cache)
    vm.folder.mkdir()
    overlay(base.image.disk, tmp_path / "image.qcow2")
    overlay(tmp_path / "image.qcow2", vm.folder / "kept.qcow2")
    (tmp_path / "image.qcow2").unlink()
    with pytest.raises(EngineError, match="gone") as caught:
        vm.start(keep=True)
    assert str(vm.folder / "kept.qcow2") in caught.value.do
    assert qemus(tmp_path) == []


@pytest.mark.root  # who alone can mount
def test_a_small_disk_is_refused_before_anything_is_built(small_disk: Path) -> None:
    with pytest.raises(DiskFullError) as caught:
        build_image(small_disk, on_progress=lambda stage, done: None)
    assert "MiB free" in caught.value.seen
    assert not list((small_disk / "images").glob("*-*"))


@pytest.mark.root
def test_a_small_disk_is_refused_before_a_snapshot_is_made(small_disk: Path, base: Base) -> None:
    cache = base.copy(small_disk / "cache")
    shutil.rmtree(cache / "snapshots")
    vm = MicroVM(small_disk / "vm", cache=cache)
    with pytest.raises(DiskFullError) as caught:
        vm.start()
    assert "LABKIT_CACHE" in caught.value.do
    assert qemus(small_disk) == []
    assert not list((cache / "snapshots").glob("*-*"))


@pytest.mark.root
def test_a_disk_that_fills_under_a_running_machine_is_said(small_disk: Path, base: Base) -> None:
    """QEMU lets the guest stand still; who joins it is told why."""
    ballast = small_disk / "ballast"
    vm = MicroVM(small_disk / "vm", cache=base.cache)
    vm.start()
    try:
        ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - (4 << 20)))
        write = "import os; f = open('/var/lib/docker/big', 'wb'); f.write(bytes(40 << 20)); " \
                "os.fsync(f.fileno()); print('written')"  # fmt: skip
        with pytest.raises(EngineGoneError, match="silent"):
            vm.runner.run(write, timeout=10)
        with pytest.raises(EngineError, match="stands still") as caught:
            vm.start()
        assert "io-error" in caught.value.seen
        assert "free some room" in caught.value.do
    finally:
        vm.remove()
    assert qemus(small_disk) == []
