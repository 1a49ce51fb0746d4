"""Machines looked at by a second instrument: this machine's /proc."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from labkit.engine.vm import MEMORY, MicroVM

START = """
import sys
from pathlib import Path
from labkit.engine.vm import MEMORY, MicroVM
vm = MicroVM(Path(sys.argv[1]), cache=Path(sys.argv[2]))
vm.start(
    memory=int(sys.argv[3]),
    accelerator=sys.argv[4],
    on_progress=lambda stage, done: print(stage, flush=True),
)
print("pid", vm.pid(), flush=True)
"""


def starter(vm: MicroVM, *, accelerator: str, memory: int = MEMORY) -> subprocess.Popen[str]:
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


def answers(vm: MicroVM) -> bool:
    """Whether the machine's engine answers a ping."""
    client = vm.endpoint.client()
    try:
        return bool(client.ping())
    finally:
        client.close()
