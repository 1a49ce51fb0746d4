"""Whether a restored guest that does not answer yet still may: by what its CPUs' threads do.

Seconds tell nothing of it: on a busy machine a restore takes as long as that lets it. A guest that
was given the CPU time for it many times over, and is silent, hangs; so does one that does nothing
and waits for nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from labkit.errors import BadSnapshotError

from . import process
from .qmp import monitor

# Seconds of CPU time. A restore takes 0.4 when emulated, and a boot some thirty times as much.
LEAST, PART_OF_BOOT = 2.0, 1 / 4
QUIET = 3.0  # seconds in which a guest that lives does something
SOME = 0.05  # seconds of CPU time that one which hangs does not use in these
ENOUGH_LOOKS = 10  # in them: we were not stopped ourselves
_TICK = os.sysconf("SC_CLK_TCK")


class Pulse:
    """The guest in one folder, from now on; its boot took so many seconds of CPU time."""

    def __init__(self, folder: Path, *, boot: float) -> None:
        with monitor(folder) as qemu:
            self._cpus = {str(one["thread-id"]) for one in qemu.command("query-cpus-fast")}
        self._threads = Path(f"/proc/{process.pid(folder)}/task")
        self._boot = boot
        self._began = self._used()
        self._listen()

    def _listen(self) -> None:
        self._since, self._since_used = time.monotonic(), self._used()
        self._looks = self._awake = 0

    def look(self) -> None:
        """Raise BadSnapshotError if the guest hangs."""
        used = self._used()
        self._looks += 1
        self._awake += self._is_awake()
        if used - self._began > max(LEAST, self._boot * PART_OF_BOOT):
            raise _hangs(
                f"{used - self._began:.1f} s of CPU time since it was restored, and no answer; "
                f"its whole boot took {self._boot:.1f} s"
            )
        if (quiet := time.monotonic() - self._since) > QUIET:
            still = used - self._since_used < SOME and 10 * self._awake <= self._looks
            if still and self._looks >= ENOUGH_LOOKS:
                raise _hangs(f"for {quiet:.1f} s it did nothing, and waited for nothing")
            self._listen()

    def _used(self) -> float:
        """Seconds of CPU time of the guest's CPUs: proc_pid_stat(5), utime and stime."""
        words = [one for name, one in self._stat() if name in self._cpus]
        return sum(int(one[11]) + int(one[12]) for one in words) / _TICK

    def _is_awake(self) -> bool:
        """Whether a CPU runs, or would if it were let, or anything of QEMU waits for a disk."""
        return any(
            one[0] == "D" or (name in self._cpus and one[0] not in "SIZX")
            for name, one in self._stat()
        )

    def _stat(self) -> Iterator[tuple[str, list[str]]]:
        """Of each thread its name, and the words after its program's."""
        for stat in self._threads.glob("*/stat"):
            with suppress(OSError):  # it has ended
                yield stat.parent.name, stat.read_text().rpartition(") ")[2].split()


def _hangs(seen: str) -> BadSnapshotError:
    return BadSnapshotError(
        "The micro-VM hangs when it is restored.", seen=seen, do="nothing: it is made anew"
    )
