"""The virtual machine that QEMU is asked for: which QEMU, how fast, how large.

Source: qemu-system-x86_64(1).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from labkit.debian import ARCHITECTURES, need, which
from labkit.errors import BadValueError, EngineError, MissingToolError
from labkit.linux import need_linux

from .forwarder import WIRE
from .image import Image
from .qmp import SOCKET

OLDEST = (6, 2)  # Ubuntu 22.04's; tested with 7.2 and 10.0
# MiB. A restored machine takes of the host what it touches, so a larger one is no heavier at first;
# but in time a guest fills with the files that it reads whatever it has been given.
MEMORY, MEMORY_OF_PLENTY = 640, 1536
PLENTY, PLENTY_FREE = 6 << 10, 2 << 10  # what the host has, and of it free
MEMORY_LEAST = 384  # below it the kernel kills the engine
# MiB of translated code under emulation. QEMU's own choice is 1 GiB; a session with a few
# `docker run` fills 170, and what does not fit is translated again.
TB_SIZE = 192
# The guest's own: of the addresses that nobody has, RFC 5737. QEMU's choice, 10.0.2.0/24, is also
# what a swarm gives to its third overlay network, whose containers then reach no name server.
NETWORK = "192.0.2.0/24"
COMMAND_LINE = "console={console} quiet panic=-1"
# Emulated, a page walk of five levels and the mitigations of real CPUs' faults cost time for
# nothing; `tsc=reliable` keeps the kernel from reading a slow emulated timer for the time; and
# programs at random addresses (personality(2), ADDR_NO_RANDOMIZE) are translated anew each time
# they start: without that a `docker run` takes half the CPU time. Nor need ciphers be tested.
EMULATED = " no5lvl mitigations=off tsc=reliable nowatchdog norandmaps cryptomgr.notests"
# The board, the serial console, and the CPU to emulate. On a CPU that says it is fast at them
# (erms, fsrm) Linux clears and copies pages with `rep stosb` and `rep movsb`, which QEMU emulates a
# byte at a time: without the two flags a `docker run` takes a fifth less.
_TARGETS = {
    "x86_64": ("q35", "ttyS0", "max,-erms,-fsrm"),
    "aarch64": ("virt,gic-version=max", "ttyAMA0", "max"),
}
# What tells one CPU from another in /proc/cpuinfo, on x86 and on ARM.
_CPU = "vendor_id|model name|stepping|microcode|flags|Features|CPU [a-z]+"
_KVM_GET_API_VERSION, _KVM_CREATE_VM = 0xAE00, 0xAE01


@dataclass(frozen=True)
class Machine:
    """A machine that can be started here; `memory` is in MiB and fixed, there is no balloon."""

    qemu: str
    version: str
    accelerator: str  # kvm or tcg
    memory: int
    cpus: int

    @classmethod
    def detect(
        cls, *, memory: int | None = None, cpus: int | None = None, accelerator: str | None = None
    ) -> Machine:
        """Return the best machine that this computer can run, with KVM where it works.

        Raises `MissingToolError` without QEMU, `EngineError` if it is too old or there is too
        little memory.
        """
        qemu, version = find_qemu()
        memory = memory or usual_memory()
        if memory < MEMORY_LEAST:
            raise EngineError(
                "This is too little memory for a micro-VM.",
                seen=f"{memory} MiB",
                do=f"give it {MEMORY_LEAST} MiB or more; {usual_memory()} is usual here",
            )
        accelerator = accelerator or ("tcg" if why_not_kvm() else "kvm")
        wanted = memory + (TB_SIZE if accelerator == "tcg" else 0)
        if (free := memory_available()) < wanted:
            raise EngineError(
                "There is too little free memory for a micro-VM.",
                seen=f"{free} MiB free, {wanted} MiB wanted",
                do="close other programs or stop another micro-VM",
            )
        # Emulated, a second CPU makes a `docker run` cost a third more CPU time, and no faster.
        best = 1 if accelerator == "tcg" else min(2, len(os.sched_getaffinity(0)))
        return cls(qemu, version, accelerator, memory, cpus or best)

    def fingerprint(self) -> str:
        """Return the hash of all in this machine that makes another one's snapshot invalid."""
        processor = ""
        if self.accelerator == "kvm":  # the guest sees the real CPU
            one, _, _ = Path("/proc/cpuinfo").read_text().partition("\n\n")
            processor = "\n".join(re.findall(rf"^(?:{_CPU})\s*:.*", one, re.MULTILINE))
        facts = (
            self.version,
            self.accelerator,
            self.memory,
            self.cpus,
            processor,
            _TARGETS,
            COMMAND_LINE,
            EMULATED,
            platform.machine(),
            self.devices("", network=True, durable=False),
        )
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]

    def devices(self, disk: str, *, network: bool, durable: bool) -> list[str]:
        """The arguments that make the machine: board, CPUs, disk, network card, serial lines."""
        board, _, emulated = _TARGETS[platform.machine()]
        kvm = self.accelerator == "kvm"
        return [
            "-name",
            "labkit-vm",
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
            "-display",
            "none",
            "-machine",
            f"{board},memory-backend=ram",
            "-accel",
            "kvm" if kvm else f"tcg,thread=multi,tb-size={TB_SIZE}",
            "-cpu",
            "host" if kvm else emulated,
            "-smp",
            str(self.cpus),
            "-m",
            str(self.memory),
            # A disk that is thrown away need not survive a power cut: no fsync(2).
            "-drive",
            f"if=none,id=disk,file={disk},format=qcow2,discard=unmap,"
            f"cache={'writeback' if durable else 'unsafe'}",
            "-device",
            "virtio-blk-pci,drive=disk",
            "-netdev",
            f"user,id=net,net={NETWORK},ipv6=off,restrict={'off' if network else 'on'}",
            "-device",
            "virtio-net-pci,netdev=net,romfile=",
            # All that leads into the guest is carried over a serial port: see `mux`.
            "-chardev",
            f"socket,id=wire,path={WIRE},server=on,wait=off",
            "-device",
            "virtio-serial-pci",
            "-device",
            "virtserialport,chardev=wire,name=labkit",
            "-serial",
            "file:serial.log",
            "-qmp",
            f"unix:{SOCKET},server=on,wait=off",
            "-sandbox",
            "on,elevateprivileges=deny,resourcecontrol=deny",
        ]

    def memory_object(self, path: Path | None, *, private: bool) -> list[str]:
        """The arguments for the guest's memory: anonymous, or a file, shared or copied on write."""
        if path is None:
            return ["-object", f"memory-backend-ram,id=ram,size={self.memory}M"]
        return [
            "-object",
            f"memory-backend-file,id=ram,size={self.memory}M,mem-path={path},"
            f"share={'off' if private else 'on'}",
        ]

    def boot(self, image: Image) -> list[str]:
        """The arguments for a cold boot."""
        _, console, _ = _TARGETS[platform.machine()]
        return [
            "-kernel",
            str(image.kernel),
            "-initrd",
            str(image.initrd),
            "-append",
            COMMAND_LINE.format(console=console) + (EMULATED if self.accelerator == "tcg" else ""),
        ]


def find_qemu() -> tuple[str, str]:
    """Return the path and version of QEMU; raises `MissingToolError`, `EngineError`."""
    need_linux("A micro-VM of labkit's")
    if platform.machine() not in ARCHITECTURES:
        raise EngineError(
            "There is no micro-VM for this processor.",
            seen=platform.machine(),
            do="use a Docker engine: set DOCKER_HOST",
        )
    tool, package = f"qemu-system-{platform.machine()}", "qemu-system-x86"
    if platform.machine() == "aarch64":
        package = "qemu-system-arm"
    need(f"{tool}:{package}", "qemu-img:qemu-utils")
    qemu = which(tool) or tool
    out = subprocess.run([qemu, "--version"], capture_output=True, text=True, check=False).stdout
    if not (found := re.search(r"version (\d+)\.(\d+)\S*(?: \(.*?\))?", out)):
        raise MissingToolError(
            "QEMU does not say its version.",
            tools=(tool,),
            seen=out[:200] or "nothing",
            do=f"install it anew: apt-get install --reinstall {package}",
        )
    if (int(found[1]), int(found[2])) < OLDEST:
        raise EngineError(
            "This QEMU is too old.",
            seen=found.group(),
            do=f"install QEMU {OLDEST[0]}.{OLDEST[1]} or newer",
        )
    return qemu, found.group()


def why_not_kvm() -> str | None:
    """Return why KVM cannot be used here, or None if it can (a VM was made to see)."""
    try:
        fd = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return "there is no /dev/kvm"
    except PermissionError:
        return "this user may not open /dev/kvm (`sudo usermod -aG kvm $USER`)"
    except OSError as err:
        return f"/dev/kvm cannot be opened: {err.strerror}"
    try:
        if (api := fcntl.ioctl(fd, _KVM_GET_API_VERSION)) != 12:
            return f"/dev/kvm speaks version {api}"
        os.close(fcntl.ioctl(fd, _KVM_CREATE_VM, 0))
    except OSError as err:
        return f"/dev/kvm makes no VM: {err.strerror}"
    finally:
        os.close(fd)
    return None


def usual_memory() -> int:
    """Return the MiB of a micro-VM here if nobody says how many: `LABKIT_MEMORY`, else by the host.

    What the host has, and not only what is free, decides: each size has a snapshot of its own.
    Raises BadValueError.
    """
    if told := os.environ.get("LABKIT_MEMORY"):
        if not told.isdecimal():
            raise BadValueError(
                "LABKIT_MEMORY is no number of MiB.",
                value=told,
                seen=told,
                do="say 640, or unset it",
            )
        return int(told)
    plenty = memory_there() >= PLENTY and memory_available() >= PLENTY_FREE
    return MEMORY_OF_PLENTY if plenty else MEMORY


def memory_there() -> int:
    """Return the MiB that the machine has, or our cgroup may have if that is less."""
    return min((psutil.virtual_memory().total, *(limit for limit, _ in _cgroups()))) >> 20


def memory_available() -> int:
    """Return the MiB that may still be used: the machine's, or our cgroup's if that is less."""
    left = (limit - used for limit, used in _cgroups())
    return min((psutil.virtual_memory().available, *left)) >> 20


def _cgroups() -> Iterator[tuple[int, int]]:
    """The bytes that our cgroup, version 2 or 1, may use and uses."""
    for folder, limit, usage in (
        ("", "memory.max", "memory.current"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        cgroup = Path("/sys/fs/cgroup", folder)
        with suppress(OSError, ValueError):  # no such file here, or "max"
            used = int((cgroup / usage).read_text())
            # Pages of files that nobody uses count as used, and are given back when wanted.
            stat = (cgroup / "memory.stat").read_text()
            cached = re.search(r"^(?:total_)?inactive_file (\d+)", stat, re.MULTILINE)
            used -= int(cached[1]) if cached else 0
            yield int((cgroup / limit).read_text()), used
