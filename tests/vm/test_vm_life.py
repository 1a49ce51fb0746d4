"""Start, stop, keep; several at once; and what a death on the way leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from machines import Base, answers, qemus, starter

from labkit import Lab, connect
from labkit.engine import the_vm
from labkit.engine.vm import MicroVM, SnapshotWarning, build_image, process, qmp, snapshot
from labkit.engine.vm.boot import chain, overlay
from labkit.engine.vm.pulse import QUIET
from labkit.engine.vm.snapshot import Snapshot
from labkit.errors import BadSnapshotError, EngineError, EngineGoneError, LabError
from labkit.waiting import wait_until

LOGS = {"lock", "forwarder.lock", "qemu.log", "serial.log"}  # all that a stopped machine leaves

MakeVm = Callable[[str], MicroVM]


def kill(vm: MicroVM) -> None:
    """`kill -9` QEMU, and wait for its end."""
    pid = vm.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: vm.pid() is None, timeout=10, what="QEMU's end")


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - LOGS


def was_cut_off(vm: MicroVM) -> bool:
    """Whether the guest found its disk as a crash leaves it; the serial line does not say."""
    look = "import subprocess; print(subprocess.check_output('dmesg', text=True))"
    told = vm.runner.run(look)
    assert "EXT4-fs (vda): mounted" in told
    return "EXT4-fs (vda): recovery complete" in told


def test_an_image_is_built_once(base: Base) -> None:
    stages: list[str] = []
    found = build_image(base.cache, on_progress=lambda stage, done: stages.append(stage))
    assert found == base.image
    assert stages == []


def test_a_stopped_machine_leaves_its_logs_only(make_vm: MakeVm) -> None:
    vm = make_vm("a")
    vm.start()
    assert qemus(vm.folder) == [vm.pid()]
    assert vm.stop()
    assert not vm.stop()
    assert qemus(vm.folder) == []
    assert left(vm.folder) == set()


def test_two_processes_that_start_it_at_once_share_one_machine(make_vm: MakeVm, base: Base) -> None:
    vm = make_vm("shared")
    both = [starter(vm, accelerator=base.accelerator) for _ in range(2)]
    said = [starting.communicate(timeout=200)[0].split()[-1] for starting in both]
    assert said == [str(vm.pid())] * 2
    assert len(qemus(vm.folder)) == 1


def test_restored_guests_are_several_and_share_no_random_numbers(make_vm: MakeVm) -> None:
    one, other = make_vm("one"), make_vm("other")
    draw = "import os; print(os.urandom(32).hex())"
    drawn = []
    for vm in (one, other):
        vm.start()
        drawn.append(vm.runner.run(draw))
    assert one.pid() != other.pid()
    assert all(drawn) and drawn[0] != drawn[1]


def test_a_kept_disk_outlives_the_machine(make_vm: MakeVm, base: Base) -> None:
    vm = make_vm("kept")
    note = "/var/lib/docker/volumes/mine/_data/note"

    def volumes() -> list[str]:
        client = vm.endpoint.client()
        found = [volume.name for volume in client.volumes.list()]
        client.close()
        return found

    client = vm.start(keep=True).client()
    client.volumes.create("mine")
    client.close()
    assert not was_cut_off(vm)  # nor was the guest that prepared the disk
    vm.runner.run(f"open('{note}', 'w').write('kept')")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a machine that had to be killed warns
        vm.stop()
    assert chain(vm.folder / "kept.qcow2")[1:] == [base.disk, base.image.disk]
    vm.start()
    assert volumes() == []  # a passing guest beside it
    vm.stop()
    vm.start(keep=True)
    assert volumes() == ["mine"]
    assert vm.runner.run(f"print(open('{note}').read())") == "kept\n"
    assert not was_cut_off(vm)


# --- deaths ------------------------------------------------------------------------------------


# The SDK leaves a socket open that it could not connect.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)
def test_a_qemu_killed_under_a_live_lab_is_one_clear_error_and_the_next_start_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, base: Base
) -> None:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    monkeypatch.setenv("LABKIT_ENGINE", "vm")
    first = connect()
    vm = the_vm()
    try:
        lab = Lab()
        box = lab.run("base", "sleep 600", name="box")
        kill(vm)
        for use in (
            lambda: box.exec("true"),
            lambda: box.namespaces(),
            lambda: box.processes(),
            lambda: lab.run("base", name="more"),
            lambda: vm.runner.run(""),
        ):
            with pytest.raises(LabError) as caught:
                use()
            assert isinstance(caught.value, (EngineGoneError, EngineError)), repr(caught.value)
            assert caught.value.do
        lab.close()  # what it held is gone with the machine
        second = connect()
        assert second is not first
        with Lab() as again:
            assert again.run("base", "sleep 600", name="box").exec("echo back").stdout == "back\n"
        assert len(qemus(tmp_path)) == 1
        second.close()
    finally:
        vm.remove()
    assert qemus(tmp_path) == []


def test_a_lock_whose_holder_was_killed_holds_nobody_up(make_vm: MakeVm) -> None:
    vm = make_vm("stale")
    vm.start()
    kill(vm)
    # Everything as the dead left it: the record, the pid file, the socket, the locks, the disk.
    assert {"vm.json", "disk.qcow2", "lock"} <= {path.name for path in vm.folder.iterdir()}
    vm.start()
    assert answers(vm)
    assert len(qemus(vm.folder)) == 1


def test_a_first_start_killed_half_way_leaves_no_orphan(base: Base, tmp_path: Path) -> None:
    vm = MicroVM(tmp_path / "half", cache=base.copy(tmp_path / "cache"))
    half = starter(
        vm, memory=512, accelerator=base.accelerator
    )  # for which there is no snapshot yet
    assert half.stdout is not None
    assert half.stdout.readline() == "boot\n"
    wait_until(lambda: list(vm.cache.glob("making-*/qemu.pid")), timeout=30, what="the first boot")
    half.kill()
    half.wait()
    half.stdout.close()
    assert len(qemus(vm.cache)) == 1  # the orphan
    try:
        vm.start(memory=512, accelerator=base.accelerator)
        assert answers(vm)
        assert qemus(vm.cache) == []
        assert not list(vm.cache.glob("making-*"))
    finally:
        vm.remove()


# --- the cache ---------------------------------------------------------------------------------


def test_a_machine_of_another_size_has_the_lab_images(base: Base, tmp_path: Path) -> None:
    vm = MicroVM(tmp_path / "vm", cache=base.copy(tmp_path / "cache"))
    stages: list[str] = []
    try:
        client = vm.start(memory=512, on_progress=lambda stage, done: stages.append(stage)).client()
        assert {"labkit/base:latest", "labkit/toolbox:latest"} <= {
            tag for image in client.images.list() for tag in image.tags
        }
        client.close()
    finally:
        vm.remove()
    assert stages == ["boot", "snapshot"]  # nothing is built again


def test_what_a_machine_runs_on_is_removed_after_it(base: Base, tmp_path: Path) -> None:
    cache = base.copy(tmp_path / "cache")
    one, other = (MicroVM(tmp_path / name, cache=cache) for name in ("one", "other"))
    before = cache / "snapshots" / base.snapshot.folder.name
    try:
        one.start()
        # Other lab images by now, and so another disk to begin with.
        overlay(base.disk, cache / "images" / base.image.key / "prepared-newer.qcow2")
        other.start()
        assert before.exists()
        assert answers(one) and answers(other)
        one.stop()
        other.stop()
        other.start()
        assert not before.exists()
        assert answers(other)
        assert len(list((cache / "snapshots").glob("*/state"))) == 1
    finally:
        one.remove()
        other.remove()
    assert base.snapshot.damage() is None


def test_two_that_make_what_they_start_from_in_one_cache(base: Base, tmp_path: Path) -> None:
    cache = base.copy(tmp_path / "cache")
    both = {size: MicroVM(tmp_path / str(size), cache=cache) for size in (400, 512)}
    try:
        started = [
            starter(vm, accelerator=base.accelerator, memory=size) for size, vm in both.items()
        ]
        for starting, vm in zip(started, both.values(), strict=True):
            assert starting.communicate(timeout=400)[0].split()[-1] == str(vm.pid())
        assert all(answers(vm) for vm in both.values())
    finally:
        for vm in both.values():
            vm.remove()


# --- damage ------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["state", "memory"])
def test_a_damaged_snapshot_means_a_cold_boot_and_a_warning_that_says_why(
    base: Base, tmp_path: Path, part: str
) -> None:
    """The right number of bytes, all of them wrong; what it was built on stays whole."""
    vm = MicroVM(tmp_path / "vm", cache=base.copy(tmp_path / "cache"))
    damaged = Snapshot(vm.cache / "snapshots" / base.snapshot.folder.name)
    file = damaged.folder / part
    size = file.stat().st_size
    file.unlink()
    if part == "state":
        file.write_bytes(os.urandom(size))
    else:
        with file.open("wb") as sparse:
            sparse.truncate(size)  # a guest that wakes up with its memory wiped
    try:
        with pytest.warns(SnapshotWarning, match="did not load; booting instead"):
            vm.start()
        assert answers(vm)
        assert not damaged.state.exists()  # nobody tries it again
        assert len(qemus(tmp_path)) == 1
    finally:
        vm.remove()
    assert base.snapshot.damage() is None


def test_a_shortened_snapshot_is_made_anew(base: Base, tmp_path: Path) -> None:
    cache = base.copy(tmp_path / "cache")
    state = cache / "snapshots" / base.snapshot.folder.name / "state"
    state.unlink()
    state.write_bytes(base.snapshot.state.read_bytes()[:1000])
    assert Snapshot(state.parent).damage() == (
        f"state has 1000 bytes instead of {base.snapshot.state.stat().st_size}"
    )
    vm = MicroVM(tmp_path / "vm", cache=cache)
    stages: list[str] = []
    try:
        vm.start(on_progress=lambda stage, done: stages.append(stage))
        assert answers(vm)
    finally:
        vm.remove()
    assert stages == ["boot", "snapshot"]


@pytest.mark.parametrize(
    ("instruction", "seen"),
    [(b"\xeb\xfe", "CPU time since it was restored, and no answer"), (b"\xf4", "it did nothing")],
    ids=["it spins", "it halts"],
)
def test_a_guest_that_hangs_is_given_up_within_seconds(
    base: Base, tmp_path: Path, instruction: bytes, seen: str
) -> None:
    """All of its kernel is one instruction: a jump to itself, or a halt."""
    snapshot = Snapshot(tmp_path / "snapshot")
    snapshot.folder.mkdir()
    for file in base.snapshot.folder.iterdir():
        if file.name != "memory":
            (snapshot.folder / file.name).symlink_to(file)
    subprocess.run(["cp", "--sparse=always", base.snapshot.memory, snapshot.memory], check=True)
    facts = json.loads((snapshot.folder / "baseline.json").read_text())["facts"]
    (where,) = [value for kind, what, value in facts if (kind, what) == ("address", "Kernel code")]
    first, last = (int(part, 16) for part in where.split("-"))
    with snapshot.memory.open("r+b") as memory:
        memory.seek(first)
        memory.write(instruction * ((last - first + 1) // len(instruction)))
    folder = tmp_path / "vm"
    folder.mkdir()
    overlay(snapshot.disk, folder / "disk.qcow2")
    try:
        began = time.monotonic()
        with pytest.raises(BadSnapshotError, match="hangs") as caught:
            snapshot.restore(folder, folder, base.machine, "disk.qcow2", network=False)
        assert time.monotonic() - began < 20
        assert seen in caught.value.seen
    finally:
        process.kill(folder)


def test_a_guest_that_is_starved_is_waited_for(
    base: Base, make_vm: MakeVm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets a twentieth of a CPU, as on a machine with much to do."""
    spawn = process.spawn
    ended = threading.Event()

    def starve(number: int) -> None:
        with suppress(ProcessLookupError):
            while not ended.is_set():
                for kind, seconds in ((signal.SIGSTOP, 0.19), (signal.SIGCONT, 0.01)):
                    os.kill(number, kind)
                    ended.wait(seconds)

    def spawn_and_starve(folder: Path, argv: list[str]) -> int:
        number = spawn(folder, argv)
        threads.submit(starve, number)
        return number

    vm = make_vm("starved")
    with ThreadPoolExecutor() as threads, monkeypatch.context() as patch:
        patch.setattr(process, "spawn", spawn_and_starve)
        try:
            with warnings.catch_warnings(action="error"):
                began = time.monotonic()
                vm.start()
            assert time.monotonic() - began > 2 * QUIET
        finally:
            ended.set()
    assert answers(vm)


@pytest.mark.parametrize("trouble", ["it stands still", "nobody waits", "it is killed"])
def test_a_slow_machine_is_no_bad_snapshot(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    vm = MicroVM(tmp_path / "vm", cache=base.copy(tmp_path / "cache"))
    spawn = process.spawn

    def spawn_and_disturb(folder: Path, argv: list[str]) -> int:
        number = spawn(folder, argv)
        if "-incoming" in argv and trouble != "nobody waits":
            os.kill(number, signal.SIGSTOP if trouble == "it stands still" else signal.SIGKILL)
        return number

    try:
        with monkeypatch.context() as patch:
            patch.setattr(process, "spawn", spawn_and_disturb)
            patch.setattr(qmp, "TIMEOUT", 3.0)
            if trouble == "nobody waits":
                patch.setattr(snapshot, "RESTORE_TIMEOUT", 0.001)
            with pytest.warns(SnapshotWarning, match="not up from its snapshot in time; booting"):
                vm.start()
        assert answers(vm)
        assert len(qemus(tmp_path)) == 1
        vm.stop()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            vm.start()  # from the very snapshot
        assert chain(vm.folder / "disk.qcow2")[1] == base.snapshot.disk.resolve()
    finally:
        vm.remove()


@pytest.mark.parametrize("content", [b"", b"not a disk at all" * 64], ids=["empty", "no disk"])
def test_a_damaged_image_is_an_error(base: Base, tmp_path: Path, content: bytes) -> None:
    cache = base.copy(tmp_path / "cache")
    for disk in cache.glob("*/*/*.qcow2"):  # the image's, the prepared one, the snapshot's
        disk.unlink()
        disk.write_bytes(content)
    for sizes in cache.glob("snapshots/*/sizes.json"):
        sizes.unlink()
    vm = MicroVM(tmp_path / "bad", cache=cache)
    with pytest.raises(EngineError) as caught:
        vm.start()
    assert "labkit engine build" in caught.value.do
    assert qemus(tmp_path) == []
    assert left(vm.folder) == set()
    assert not list(cache.glob("making-*"))
