"""The control group of one process, read live; the same records for cgroup v1 and v2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from labkit import kernel
from labkit.errors import HostError, ProcessGoneError
from labkit.host import Host, Sample, Stream


@dataclass(frozen=True)
class Usage:
    """Memory and CPU of a cgroup, read at one time. Shell: `docker stats --no-stream`."""

    memory: kernel.MemoryState
    cpu: kernel.CpuState


class Cgroup:
    """Where a process's limits and counters are, found once; each method below is one batch.

    Shell: `cat /proc/PID/cgroup`, then `cat` in that directory below /sys/fs/cgroup.
    Source: cgroups(7); the kernel's admin-guide/cgroup-v2. Raises ProcessGoneError.
    """

    def __init__(self, host: Host, pid: int) -> None:
        own, around = f"/proc/{pid}/cgroup", f"/proc/{host.anchor}/mountinfo"
        texts = host.read_many([own, around])
        if own not in texts or around not in texts:
            gone = pid if own not in texts else host.anchor
            raise ProcessGoneError(
                f"The process {gone} has ended.",
                pid=gone,
                seen=f"/proc/{gone} is gone",
                do="start the container again, and look at its logs",
            )
        mounts = kernel.parse_mountinfo(texts[around])
        self._host = host
        self._pid = pid
        self.version = kernel.cgroup_mounts(mounts).version  # what the machine mounts
        self.directories = kernel.cgroup_dirs(kernel.parse_proc_cgroup(texts[own]), mounts)

    def is_v2(self, controller: str) -> bool:
        """Whether this controller is in the one tree of v2, not in a v1 hierarchy of its own."""
        return controller not in self.directories

    def directory(self, controller: str) -> str:
        """The directory in which this controller's files for the process are. Raises HostError."""
        for key in (controller, ""):  # v1 has one hierarchy a controller, v2 one for all
            if key in self.directories:
                return self.directories[key]
        raise HostError(
            f"The host has no {controller} controller for this process.",
            seen=", ".join(sorted(self.directories)) or "no cgroup mounted",
            do="see `cat /proc/cgroups` and `mount -t cgroup,cgroup2` on the host",
        )

    def memory(self) -> kernel.MemoryState:
        """Memory in use, its limits, and how often they were hit."""
        return kernel.memory_state(self._texts(self._memory_files()))

    def memory_limit(self) -> int | None:
        """Bytes that it may use, by its limit and those of the groups around it; None: no limit.

        Source: cgroup-v2, "Resource Distribution Models", limits.
        """
        name = "memory.max" if self.is_v2("memory") else "memory.limit_in_bytes"
        own = PurePosixPath(self.directory("memory"))
        around = [str(place / name) for place in (own, *own.parents)]
        texts = self._host.read_many(around)
        if str(own / name) not in texts:
            self._named(around, {})
        return kernel.lowest_limit(texts.values())

    def program_memory(self) -> int:
        """Bytes that its programs wrote for themselves; not what is kept of files.

        Shell: `cat memory.stat`, `anon` and `shmem`.
        """
        texts = self._texts(self._in("memory", ["memory.stat"]))
        return kernel.program_memory(texts["memory.stat"])

    def cpu(self) -> kernel.CpuState:
        """CPU time, quota and weight, and how often the quota ran out."""
        return kernel.cpu_state(self._texts(self._cpu_files()))

    def usage(self) -> Usage:
        """Memory and CPU in one request."""
        return _usage(self._texts(self._memory_files() + self._cpu_files()))

    def samples(self, *, interval: float = 0.1) -> Stream[tuple[float, Usage]]:
        """(seconds, usage) every `interval` seconds; only differences of seconds mean something.

        It goes on until its reader stops: leave its `with`, or drop it. Shell: `docker stats`.
        """
        paths = self._memory_files() + self._cpu_files()

        def usage(sample: Sample) -> tuple[float, Usage]:
            return sample.seconds, _usage(self._named(paths, sample.texts))

        return self._host.sample(paths, interval=interval).map(usage)

    def tasks(self) -> kernel.PidsState:
        """How many tasks (processes and threads) there are, and how many there may be."""
        names = kernel.PIDS_FILES_V2 if self.is_v2("pids") else kernel.PIDS_FILES_V1
        return kernel.pids_state(self._texts(self._in("pids", names)))

    def cpuset(self) -> kernel.CpusetState:
        """On which CPUs and memory nodes the tasks may be."""
        names = kernel.CPUSET_FILES_V2 if self.is_v2("cpuset") else kernel.CPUSET_FILES_V1
        return kernel.cpuset_state(self._texts(self._in("cpuset", names)))

    def freezer(self) -> kernel.FreezerState:
        """Whether the tasks are frozen."""
        names = kernel.FREEZER_FILES_V2 if self.is_v2("freezer") else kernel.FREEZER_FILES_V1
        return kernel.freezer_state(self._texts(self._in("freezer", names)))

    def io(self) -> kernel.IoState:
        """Bytes read from and written to block devices."""
        names = kernel.IO_FILES_V2 if self.is_v2("blkio") else kernel.IO_FILES_V1
        return kernel.io_state(self._texts(self._in("blkio", names)))

    def pids(self) -> list[int]:
        """The processes in this cgroup, as the host numbers them. Shell: `cat cgroup.procs`."""
        texts = self._texts(self._in("pids", ["cgroup.procs"]))
        return [int(pid) for pid in texts.get("cgroup.procs", "").split()]

    # --- inside --------------------------------------------------------------------------------

    def _memory_files(self) -> list[str]:
        names = kernel.MEMORY_FILES_V2 if self.is_v2("memory") else kernel.MEMORY_FILES_V1
        return self._in("memory", names)

    def _cpu_files(self) -> list[str]:
        if self.is_v2("cpu"):
            return self._in("cpu", kernel.CPU_FILES_V2)
        # In v1 the time used is counted by a controller of its own.
        used = [name for name in kernel.CPU_FILES_V1 if name.startswith("cpuacct.")]
        limits = [name for name in kernel.CPU_FILES_V1 if name not in used]
        return self._in("cpu", limits) + self._in("cpuacct", used)

    def _in(self, controller: str, names: Sequence[str]) -> list[str]:
        return [f"{self.directory(controller)}/{name}" for name in names]

    def _texts(self, paths: Sequence[str]) -> dict[str, str]:
        return self._named(paths, self._host.read_many(paths))

    def _named(self, paths: Sequence[str], found: Mapping[str, str]) -> dict[str, str]:
        if not found:
            raise ProcessGoneError(
                "The control group is gone.",
                pid=self._pid,
                seen=f"no file of {paths[0].rpartition('/')[0]}",
                do="start the container again, and look at its logs",
            )
        return {path.rpartition("/")[2]: text for path, text in found.items()}


def _usage(texts: Mapping[str, str]) -> Usage:
    return Usage(kernel.memory_state(texts), kernel.cpu_state(texts))
