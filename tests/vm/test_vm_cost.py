"""A machine that is started to be weighed: what is told of it, and that nothing of it stays."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from machines import Base

from labkit import paths
from labkit.engine.vm import process
from labkit.inspect import vm_cost
from labkit.waiting import wait_until

MIB = 1 << 20


@pytest.fixture
def home(base: Base, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A LABKIT_HOME of this test's own, beside the shared cache."""
    monkeypatch.setenv("LABKIT_CACHE", str(base.cache.parent))
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    assert paths.home() == tmp_path
    return tmp_path


def test_a_boot_and_a_restore_are_weighed_and_leave_nothing(base: Base, home: Path) -> None:
    said: list[str] = []
    assert vm_cost.prepare(on_message=said.append) is None
    assert said == []  # it was there already
    booted, restored = vm_cost.start("cold boot"), vm_cost.start("restore")
    for one in booted, restored:
        assert one.accelerator == ("KVM" if base.accelerator == "kvm" else "emulation")
        assert 0 < one.cpu_seconds < 2 * one.seconds
        assert 32 * MIB < one.memory < one.size + 512 * MIB
        assert one.disk < one.image
    assert restored.seconds < booted.seconds
    assert restored.memory < booted.memory
    assert restored.kernel == booted.kernel
    assert restored.boot_id != booted.boot_id
    assert list(home.iterdir()) == []


def test_a_killed_measurement_leaves_nothing(home: Path) -> None:
    program = "from labkit.inspect import vm_cost; vm_cost.start('cold boot')"
    with subprocess.Popen([sys.executable, "-c", program]) as measuring:
        pid = wait_until(
            lambda: next(filter(None, map(process.pid, home.iterdir())), None),
            timeout=60,
            what="QEMU",
        )
        measuring.send_signal(signal.SIGKILL)
    wait_until(lambda: not list(home.iterdir()), timeout=30, what="the folder's end")
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), timeout=10, what="QEMU's burial")


def test_where_there_can_be_no_vm_it_says_why(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labkit.engine.vm.machine.memory_available", lambda: 300)
    assert "300 MiB free" in str(vm_cost.prepare())
    monkeypatch.setattr("labkit.engine.vm.machine.which", lambda tool: None)
    monkeypatch.setattr("labkit.debian.which", lambda tool: None)
    assert "qemu" in str(vm_cost.prepare()).lower()
