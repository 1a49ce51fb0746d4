"""Start, stop, keep, and all that goes wrong on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import client_of

from labkit.engine.vm import Image, Machine, MicroVM, SnapshotWarning, build_image
from labkit.engine.vm import machine as machine_module
from labkit.engine.vm.snapshot import Snapshot, find_snapshot
from labkit.errors import EngineError, LabError, MissingToolError

START = """
import sys
from pathlib import Path
from labkit.engine.vm import MicroVM
vm = MicroVM(Path(sys.argv[1]), cache=Path(sys.argv[2]))
vm.start(accelerator="tcg", memory=int(sys.argv[3]), on_progress=lambda s, d: print(s, flush=True))
print("pid", vm.pid(), flush=True)
"""


def starter(folder: Path, cache: Path, memory: int = 640) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", START, str(folder), str(cache), str(memory)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def qemus(folder: Path) -> list[int]:
    """Every process whose working directory is below a folder (a second instrument: /proc)."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(folder) and b"qemu-system" in (
                process / "cmdline"
            ).read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_an_image_is_built_once(cache: Path, image: Image) -> None:
    stages: list[str] = []
    assert build_image(cache, on_progress=lambda stage, done: stages.append(stage)) == image
    assert stages == []
    assert not list((cache / "images").glob("building-*"))


def test_a_stopped_machine_leaves_logs_and_locks_only(make_vm: Callable[[str], MicroVM]) -> None:
    vm = make_vm("a")
    vm.start(accelerator="tcg")
    assert qemus(vm.folder) == [vm.pid()]
    assert vm.stop()
    assert not vm.stop()
    assert qemus(vm.folder) == []
    assert {path.name for path in vm.folder.iterdir()} <= {"lock", "qemu.log", "serial.log"}


def test_two_processes_that_start_it_at_once_share_one_machine(
    make_vm: Callable[[str], MicroVM], cache: Path
) -> None:
    vm = make_vm("shared")
    both = [starter(vm.folder, cache) for _ in range(2)]
    said = [process.communicate(timeout=200)[0].split()[-1] for process in both]
    assert said[0] == said[1] == str(vm.pid())
    assert len(qemus(vm.folder)) == 1


def test_a_killed_qemu_is_noticed_and_replaced(make_vm: Callable[[str], MicroVM]) -> None:
    vm = make_vm("killed")
    vm.start(accelerator="tcg")
    pid = vm.pid()
    assert pid
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while vm.pid():
        assert time.monotonic() < deadline
    with pytest.raises(LabError):
        vm.forwards()
    assert client_of(vm.start(accelerator="tcg")).ping()


def test_a_start_killed_half_way_leaves_no_orphan(
    make_vm: Callable[[str], MicroVM], cache: Path
) -> None:
    vm = make_vm("half")
    half = starter(vm.folder, cache, memory=512)  # has no snapshot yet
    assert half.stdout
    assert half.stdout.readline() == "boot\n"
    deadline = time.monotonic() + 20
    while not list((cache / "snapshots").glob("making-*/qemu.pid")):
        assert time.monotonic() < deadline
    half.kill()
    half.wait()
    half.stdout.close()
    assert len(qemus(cache)) == 1  # the orphan
    assert client_of(vm.start(accelerator="tcg", memory=512)).ping()
    assert qemus(cache) == []
    assert not list((cache / "snapshots").glob("making-*"))


def test_a_damaged_snapshot_means_a_cold_boot_and_a_warning(
    make_vm: Callable[[str], MicroVM], cache: Path, image: Image
) -> None:
    vm = make_vm("damaged")
    vm.start(accelerator="tcg", memory=512)
    vm.stop()
    found = find_snapshot(cache, image, Machine.detect(memory=512, accelerator="tcg"), [])
    assert found
    size = found.state.stat().st_size
    found.state.write_bytes(os.urandom(size))
    with pytest.warns(SnapshotWarning, match="did not load"):
        endpoint = vm.start(accelerator="tcg", memory=512)
    assert client_of(endpoint).ping()
    assert not found.state.exists()
    assert (Snapshot(found.folder).damage() or "").startswith("[Errno 2]")


def test_a_kept_disk_outlives_the_machine(make_vm: Callable[[str], MicroVM]) -> None:
    vm = make_vm("kept")
    client = client_of(vm.start(accelerator="tcg", keep=True))
    client.volumes.create("mine")
    vm.door.run("open('/var/lib/docker/volumes/mine/_data/note', 'w').write('kept')")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a machine that had to be killed warns
        vm.stop()
    assert client_of(vm.start(accelerator="tcg")).volumes.list() == []  # a passing guest beside it
    vm.stop()
    client = client_of(vm.start(accelerator="tcg", keep=True))
    assert [volume.name for volume in client.volumes.list()] == ["mine"]
    assert vm.door.run("print(open('/var/lib/docker/volumes/mine/_data/note').read())") == "kept\n"
    assert "recovery" not in (vm.folder / "serial.log").read_text()


def test_a_damaged_image_is_an_error(
    make_vm: Callable[[str], MicroVM], image: Image, tmp_path: Path
) -> None:
    vm = MicroVM(tmp_path / "bad", cache=tmp_path / "cache")
    copy = tmp_path / "cache/images" / image.key
    copy.mkdir(parents=True)
    for file in image.folder.iterdir():
        (copy / file.name).write_bytes(b"" if file.name == "disk.qcow2" else file.read_bytes())
    with pytest.raises(EngineError, match="disk cannot be made"):
        vm.start(accelerator="tcg")
    assert qemus(tmp_path) == []


def test_no_qemu_and_an_old_one_are_errors_that_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = tmp_path / "qemu"
    old.write_text("#!/bin/sh\necho QEMU emulator version 5.2.0 '(Debian 1:5.2)'\n")
    old.chmod(0o755)
    monkeypatch.setattr(machine_module, "which", lambda tool: str(old))
    with pytest.raises(EngineError, match="too old") as caught:
        Machine.detect()
    assert "5.2.0" in caught.value.seen
    monkeypatch.undo()
    monkeypatch.setattr("labkit.engine.vm.packages.which", lambda tool: None)
    with pytest.raises(MissingToolError, match="apt-get install"):
        Machine.detect()


@pytest.mark.parametrize(("memory", "what"), [(128, "too little memory"), (1 << 24, "free memory")])
def test_an_impossible_memory_size_is_refused(memory: int, what: str) -> None:
    with pytest.raises(EngineError, match=what):
        Machine.detect(memory=memory, accelerator="tcg")
