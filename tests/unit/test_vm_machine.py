"""The micro-VM that QEMU is asked for: its command line, what its snapshots fit, its size."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from labkit.engine.vm import Image, Machine, usual_memory
from labkit.engine.vm import machine as machines
from labkit.errors import BadValueError, EngineError

EMULATED = Machine("/usr/bin/qemu-system", "version 7.2.22", "tcg", 640, 1)
KVM = replace(EMULATED, accelerator="kvm", cpus=2)
BOTH = pytest.mark.parametrize("machine", [EMULATED, KVM], ids=["tcg", "kvm"])
IMAGE = Image("key", Path("/images/key"))
GIB = 1 << 30


@pytest.fixture(autouse=True, params=["x86_64", "aarch64"])
def platform_of(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Both that there is a machine for."""
    monkeypatch.setattr(platform, "machine", lambda: request.param)


def devices(machine: Machine, *, network: bool = True, durable: bool = False) -> list[str]:
    return machine.devices("disk.qcow2", network=network, durable=durable)


def option(argv: list[str], name: str) -> str:
    """What follows an option that is there once."""
    (at,) = (index for index, word in enumerate(argv) if word == name)
    return argv[at + 1]


# --- the command line --------------------------------------------------------------------------


@BOTH
def test_all_but_the_accelerator_is_the_same(machine: Machine) -> None:
    argv = devices(machine)
    told = {"-accel", "-cpu", "-smp"}
    changed = {
        name
        for name in told
        if option(argv, name) != option(devices(replace(EMULATED, memory=641)), name)
    }
    assert changed == (told if machine is KVM else set())
    rest = [word for word in argv if word not in {option(argv, name) for name in told}]
    common = devices(EMULATED)
    assert rest == [word for word in common if word not in {option(common, n) for n in told}]


@BOTH
def test_a_guest_is_told_nothing_but_what_its_accelerator_wants(machine: Machine) -> None:
    argv = machine.boot(IMAGE)
    assert option(argv, "-kernel") == "/images/key/kernel"
    assert option(argv, "-initrd") == "/images/key/initrd"
    words = option(argv, "-append").split()
    assert {"quiet", "panic=-1"} <= set(words)
    # These would be wrong on a real CPU: its faults are real, and so is its time.
    assert {"mitigations=off", "tsc=reliable", "norandmaps"}.isdisjoint(words) == (machine is KVM)


def test_the_real_cpu_or_an_emulated_one() -> None:
    assert option(devices(KVM), "-accel") == "kvm"
    assert option(devices(KVM), "-cpu") == "host"
    assert option(devices(EMULATED), "-accel").startswith("tcg,")
    assert option(devices(EMULATED), "-cpu").startswith("max")
    assert (option(devices(KVM), "-smp"), option(devices(EMULATED), "-smp")) == ("2", "1")


@BOTH
def test_a_network_that_is_cut_and_a_disk_that_lasts(machine: Machine) -> None:
    assert "restrict=off" in option(devices(machine), "-netdev")
    assert "restrict=on" in option(devices(machine, network=False), "-netdev")
    assert "cache=unsafe" in option(devices(machine), "-drive")
    assert "cache=writeback" in option(devices(machine, durable=True), "-drive")


@BOTH
def test_memory_is_shared_where_it_is_written_and_private_where_it_is_read(
    machine: Machine,
) -> None:
    made = option(machine.memory_object(Path("memory"), private=False), "-object")
    read = option(machine.memory_object(Path("memory"), private=True), "-object")
    assert made.endswith("share=on") and read.endswith("share=off")
    assert "size=640M" in made and "size=640M" in read


# --- what a snapshot fits ----------------------------------------------------------------------


X86 = "model name\t: {}\ncpu MHz\t\t: {}\nmicrocode\t: 0x1\nflags\t\t: {}\n\n"
ARM = "BogoMIPS\t: {1}\nFeatures\t: {2}\nCPU implementer\t: 0x41\nCPU part\t: {0}\n\n"
Fingerprint = Callable[..., str]


@pytest.fixture(params=[X86, ARM], ids=["x86", "arm"])
def on_cpu(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Fingerprint:
    """What a machine's fingerprint is on a computer with another CPU."""
    read = Path.read_text

    def fingerprint(machine: Machine, model: str, flags: str = "fpu vme", mhz: int = 2100) -> str:
        def other(path: Path) -> str:
            if path == Path("/proc/cpuinfo"):
                text: str = request.param.format(model, mhz, flags)
                return text * 2
            return read(path)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_text", other)
            return machine.fingerprint()

    return fingerprint


def test_two_cpus_have_two_snapshots_with_kvm_and_one_when_emulated(on_cpu: Fingerprint) -> None:
    for model, flags in (("EPYC", "fpu vme"), ("Xeon", "fpu vme avx512f")):
        assert on_cpu(KVM, model, flags) == on_cpu(KVM, model, flags, mhz=3500)
        assert on_cpu(EMULATED, model, flags) == EMULATED.fingerprint()
    assert on_cpu(KVM, "Xeon") != on_cpu(KVM, "EPYC")
    assert on_cpu(KVM, "Xeon") != on_cpu(KVM, "Xeon", "fpu vme avx512f")


def test_anything_that_a_snapshot_would_not_load_with_has_another_key() -> None:
    others = [
        KVM,
        replace(EMULATED, accelerator="kvm"),
        replace(EMULATED, memory=1536),
        replace(EMULATED, cpus=2),
        replace(EMULATED, version="version 10.0.2"),
    ]
    keys = {one.fingerprint() for one in (EMULATED, *others)}
    assert len(keys) == 1 + len(others)
    assert replace(EMULATED, qemu="/opt/qemu").fingerprint() == EMULATED.fingerprint()


# --- the size ----------------------------------------------------------------------------------


def host(monkeypatch: pytest.MonkeyPatch, *, has: float, free: float, cgroup: str = "max") -> None:
    """A computer with so many GiB, and a limit of our cgroup's."""
    memory = type("Memory", (), {"total": int(has * GIB), "available": int(free * GIB)})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.delenv("LABKIT_MEMORY", raising=False)
    limits = [] if cgroup == "max" else [(int(float(cgroup) * GIB), GIB // 2)]
    monkeypatch.setattr(machines, "_cgroups", lambda: iter(limits))


@pytest.mark.parametrize(
    ("has", "free", "cgroup", "usual"),
    [
        (3.8, 3, "max", 640),
        (7.6, 5, "max", 1536),
        (7.6, 1.5, "max", 640),  # today others use it
        (64, 60, "2", 640),  # a pod of Binder's
        (64, 60, "8", 1536),
    ],
)
def test_the_usual_size_is_by_what_there_is(
    monkeypatch: pytest.MonkeyPatch, has: float, free: float, cgroup: str, usual: int
) -> None:
    host(monkeypatch, has=has, free=free, cgroup=cgroup)
    assert usual_memory() == usual


def test_who_says_a_size_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    host(monkeypatch, has=64, free=60)
    monkeypatch.setattr(machines, "find_qemu", lambda: ("qemu", "version 7.2.22"))
    monkeypatch.setenv("LABKIT_MEMORY", "640")
    assert Machine.detect(accelerator="tcg").memory == 640
    assert Machine.detect(accelerator="tcg", memory=2000).memory == 2000
    monkeypatch.setenv("LABKIT_MEMORY", "2 GB")
    with pytest.raises(BadValueError, match="LABKIT_MEMORY"):
        Machine.detect(accelerator="tcg")


def test_too_little_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    host(monkeypatch, has=4, free=0.6)
    monkeypatch.setattr(machines, "find_qemu", lambda: ("qemu", "version 7.2.22"))
    for memory, what in ((0, "free memory"), (100, "too little memory")):
        with pytest.raises(EngineError, match=what) as caught:
            Machine.detect(accelerator="tcg", memory=memory or None)
        assert "MiB" in caught.value.seen
