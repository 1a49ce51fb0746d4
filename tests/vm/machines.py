"""Machines looked at by a second instrument: this machine's /proc."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from labkit.engine.vm import Image, Machine, MicroVM
from labkit.engine.vm.snapshot import Snapshot


@dataclass(frozen=True)
class Base:
    """What every machine of these tests begins from."""

    cache: Path
    image: Image
    disk: Path
    machine: Machine
    snapshot: Snapshot

    @property
    def accelerator(self) -> Literal["kvm", "tcg"]:
        return "kvm" if self.machine.accelerator == "kvm" else "tcg"

    def copy(self, place: Path) -> Path:
        """A cache of links to this base's files, in which a test may damage what it likes."""
        # Not the locks and notes, which are each cache's own.
        kept = {"images", "snapshots", self.image.key, self.snapshot.folder.name}

        def ignore(folder: str, names: list[str]) -> set[str]:
            return {one for one in names if Path(folder, one).is_dir() and one not in kept} | {
                one for one in names if one.endswith("lock")
            }

        shutil.copytree(self.cache, place, copy_function=os.symlink, ignore=ignore)
        return place


START = """
import sys
from pathlib import Path
from labkit.engine.vm import MicroVM
vm = MicroVM(Path(sys.argv[1]), cache=Path(sys.argv[2]))
vm.start(
    memory=int(sys.argv[3]) or None,
    accelerator=sys.argv[4],
    on_progress=lambda stage, done: print(stage, flush=True),
)
print("pid", vm.pid(), flush=True)
"""


def starter(vm: MicroVM, *, accelerator: str, memory: int = 0) -> subprocess.Popen[str]:
    """A process that starts this machine, and says what it does."""
    argv = [sys.executable, "-c", START, str(vm.folder), str(vm.cache), str(memory), accelerator]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def qemus(folder: Path) -> list[int]:
    """Every QEMU whose working directory is below a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            here = (process / "cwd").readlink().is_relative_to(folder)
            # A process that has ended has no command line.
            if here and b"qemu-system" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def followers(vm: MicroVM) -> list[psutil.Process]:
    """The processes that carry what leads into this machine."""
    wanted = ["labkit.engine.vm.forwarder", str(vm.folder)]
    found = psutil.process_iter(["cmdline"])
    return [one for one in found if (one.info["cmdline"] or [])[-3:-1] == wanted]


def answers(vm: MicroVM) -> bool:
    """Whether the machine's engine answers a ping."""
    client = vm.endpoint.client()
    try:
        return bool(client.ping())
    finally:
        client.close()
