"""The control group of one process, read live; the same records for cgroup v1 and v2."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeVar

from labkit import kernel
from labkit.errors import BadValueError, HostError, ProcessGoneError
from labkit.host import Host, Sample, Stream
from labkit.table import Table, Tabular

T = TypeVar("T")
SHOWN = 48  # characters of a file in a table


@dataclass(frozen=True)
class Usage:
    """Memory and CPU of a cgroup, read at one time. Shell: `docker stats --no-stream`."""

    memory: kernel.MemoryState
    cpu: kernel.CpuState


@dataclass(frozen=True)
class Place:
    """Where the control groups of a process are: v1 controller -> directory, "" -> v2's."""

    version: str  # "v1", "v2" or "hybrid"
    directories: Mapping[str, str]


def find_places(host: Host, pids: Iterable[int]) -> dict[int, Place]:
    """Where the control groups of processes are, in one request; who has ended is left out.

    Shell: `cat /proc/PID/cgroup`. Raises ProcessGoneError where the engine itself has ended.
    """
    own = {pid: f"/proc/{pid}/cgroup" for pid in pids}
    around = f"/proc/{host.anchor}/mountinfo"
    texts = host.read_many([around, *own.values()])
    if around not in texts:
        raise ProcessGoneError(
            f"The process {host.anchor} has ended.",
            pid=host.anchor,
            seen=f"/proc/{host.anchor} is gone",
            do="start the engine again: `labkit doctor` says what is there",
        )
    mounts = kernel.parse_mountinfo(texts[around])
    version = kernel.cgroup_mounts(mounts).version
    return {
        pid: Place(version, kernel.cgroup_dirs(kernel.parse_proc_cgroup(texts[path]), mounts))
        for pid, path in own.items()
        if path in texts
    }


class Cgroup:
    """Where a process's limits and counters are, found once; each method below is one batch.

    Shell: `cat /proc/PID/cgroup`, then `cat` in that directory below /sys/fs/cgroup.
    Source: cgroups(7); the kernel's admin-guide/cgroup-v2. Raises ProcessGoneError.
    """

    def __init__(self, host: Host, pid: int, *, place: Place | None = None) -> None:
        found = place or find_places(host, [pid]).get(pid)
        if found is None:
            raise ProcessGoneError(
                f"The process {pid} has ended.",
                pid=pid,
                seen=f"/proc/{pid} is gone",
                do="start the container again, and look at its logs",
            )
        self._host = host
        self._pid = pid
        self.version = found.version  # what the machine mounts
        self.directories = found.directories

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
        return self._state(kernel.memory_state, self._memory_files())

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
        return self._state(
            lambda texts: kernel.program_memory(texts["memory.stat"]),
            self._in("memory", ["memory.stat"]),
        )

    def memory_stat(self) -> dict[str, int]:
        """What its memory is made of, in bytes, by the kernel's names. Shell: `cat memory.stat`."""
        return self._state(
            lambda texts: kernel.memory_stat(texts["memory.stat"]),
            self._in("memory", ["memory.stat"]),
        )

    def cpu(self) -> kernel.CpuState:
        """CPU time, quota and weight, and how often the quota ran out."""
        return self._state(kernel.cpu_state, self._cpu_files())

    def usage(self) -> Usage:
        """Memory and CPU in one request."""
        return self._state(_usage, self._usage_files())

    def samples(self, *, interval: float = 0.1) -> Stream[tuple[float, Usage]]:
        """(seconds, usage) every `interval` seconds; only differences of seconds mean something.

        It goes on until its reader stops: leave its `with`, or drop it; when the cgroup is gone
        it raises ProcessGoneError. Shell: `docker stats`.
        """
        paths = self._usage_files()

        def usage(sample: Sample) -> tuple[float, Usage]:
            return sample.seconds, self._made(_usage, paths, sample.texts)

        return self._host.sample(paths, interval=interval).map(usage)

    def tasks(self) -> kernel.PidsState:
        """How many tasks (processes and threads) there are, and how many there may be."""
        names = kernel.PIDS_FILES_V2 if self.is_v2("pids") else kernel.PIDS_FILES_V1
        return self._state(kernel.pids_state, self._in("pids", names))

    def cpuset(self) -> kernel.CpusetState:
        """On which CPUs and memory nodes the tasks may be."""
        names = kernel.CPUSET_FILES_V2 if self.is_v2("cpuset") else kernel.CPUSET_FILES_V1
        return self._state(kernel.cpuset_state, self._in("cpuset", names))

    def freezer(self) -> kernel.FreezerState:
        """Whether the tasks are frozen."""
        names = kernel.FREEZER_FILES_V2 if self.is_v2("freezer") else kernel.FREEZER_FILES_V1
        return self._state(kernel.freezer_state, self._in("freezer", names))

    def io(self) -> kernel.IoState:
        """Bytes read from and written to block devices, and how fast they may go."""
        names = kernel.IO_FILES_V2 if self.is_v2("blkio") else kernel.IO_FILES_V1
        return self._state(kernel.io_state, self._in("blkio", names))

    def pressure(self) -> dict[str, kernel.Pressure]:
        """How long its tasks waited for "cpu", "memory" and "io"; empty where no file tells.

        The files are v2's alone, and are in its tree on a hybrid machine too.
        Shell: `cat cpu.pressure`; `cat /proc/pressure/cpu` has the whole machine's.
        """
        where = self.directories.get("")
        paths = [f"{where}/{name}" for name in kernel.PRESSURE_FILES] if where else []
        found = self._host.read_many(paths)
        if where and not found and self._missing([where]):
            raise self._gone(where)
        return kernel.pressures({path.rpartition("/")[2]: text for path, text in found.items()})

    def files(self, *, counters: bool = True) -> CgroupFiles:
        """What limits and counts it, file by file, with the name in the other version.

        Shell: `grep . FILE...` in its directories.
        """
        rows, paths = [], []
        for one in kernel.CGROUP_FILES:
            if one.written or counters:
                path = self._path_of(one)
                rows.append((one, path))
                paths += [path] if path else []
        found = self._host.read_many(paths)
        if paths:
            self._named(paths, found)
        read = tuple((one, path, found.get(path or "")) for one, path in rows)
        return CgroupFiles(self.is_v2("memory"), read)

    def path_of(self, name: str) -> str:
        """Where a file is on the host, by the name that it has here, as "memory.max".

        Raises HostError. Shell: `ls /sys/fs/cgroup`.
        """
        controller = name.partition(".")[0]
        return f"{self.directory({'io': 'blkio'}.get(controller, controller))}/{name}"

    def pids(self) -> list[int]:
        """The processes in this cgroup, as the host numbers them. Shell: `cat cgroup.procs`."""
        texts = self._texts(self._in("pids", ["cgroup.procs"]))
        return [int(pid) for pid in texts.get("cgroup.procs", "").split()]

    # --- inside --------------------------------------------------------------------------------

    def _path_of(self, one: kernel.CgroupFile) -> str | None:
        controller = (one.v1 or one.v2).partition(".")[0]
        if controller in self.directories and one.v1:
            return f"{self.directories[controller]}/{one.v1}"
        return f"{self.directories['']}/{one.v2}" if "" in self.directories else None

    def _usage_files(self) -> list[str]:
        return self._memory_files() + self._cpu_files()

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

    def _state(self, make: Callable[[Mapping[str, str]], T], paths: Sequence[str]) -> T:
        return self._made(make, paths, self._host.read_many(paths))

    def _made(
        self, make: Callable[[Mapping[str, str]], T], paths: Sequence[str], found: Mapping[str, str]
    ) -> T:
        """A record of what was found. One that went meanwhile leaves some of its files."""
        named = self._named(paths, found)
        try:
            return make(named)
        except (BadValueError, KeyError) as err:
            gone = self._missing({path.rpartition("/")[0] for path in paths})
            if gone:
                raise self._gone(gone[0]) from err
            raise

    def _named(self, paths: Sequence[str], found: Mapping[str, str]) -> dict[str, str]:
        if not found:
            raise self._gone(paths[0].rpartition("/")[0])
        return {path.rpartition("/")[2]: text for path, text in found.items()}

    def _missing(self, directories: Iterable[str]) -> list[str]:
        wanted = sorted(directories)
        answers = self._host.ask([{"op": "stat", "path": one} for one in wanted])
        return [one for one, told in zip(wanted, answers, strict=True) if "value" not in told]

    def _gone(self, directory: str) -> ProcessGoneError:
        return ProcessGoneError(
            "The control group is gone.",
            pid=self._pid,
            seen=f"no file of {directory}",
            do="start the container again, and look at its logs",
        )


class Cgroups:
    """Those of several processes, found once, and read together. Shell: `docker stats`.

    Who has ended is left out.
    """

    def __init__(self, host: Host, pids: Iterable[int]) -> None:
        self._host = host
        self.by_pid = {
            pid: Cgroup(host, pid, place=place) for pid, place in find_places(host, pids).items()
        }

    def usage(self) -> dict[int, Usage]:
        """Memory and CPU of each, by its pid, in one request."""
        paths = {pid: one._usage_files() for pid, one in self.by_pid.items()}
        found = self._host.read_many([path for each in paths.values() for path in each])
        usages = {}
        for pid, one in self.by_pid.items():
            texts = {path: found[path] for path in paths[pid] if path in found}
            with suppress(ProcessGoneError):
                usages[pid] = one._made(_usage, paths[pid], texts)
        return usages


@dataclass(frozen=True, repr=False)
class CgroupFiles(Tabular):
    """The files that limit and count a cgroup; each text as `cat` prints it, None: not here."""

    is_v2: bool
    read: tuple[tuple[kernel.CgroupFile, str | None, str | None], ...]

    def __getitem__(self, name: str) -> str | None:
        """The text of a file by its name in either version. Raises KeyError."""
        for one, path, text in self.read:
            if name in (one.v1, one.v2, (path or "").rpartition("/")[2]):
                return text
        raise KeyError(name)

    def table(self) -> Table:
        """One row a file."""
        rows = []
        for one, path, text in self.read:
            here = "" if text is None else str(path).rpartition("/")[2]
            other = (one.v1 or "") if self.is_v2 else one.v2
            says = "" if text is None else "; ".join(text.strip().splitlines())
            says = says if len(says) <= SHOWN else says[: SHOWN - 1] + "…"
            rows.append((one.what, here, says, other, one.option))
        here, other = ("v2", "v1") if self.is_v2 else ("v1", "v2")
        return Table(("", f"{here}, here", "says", f"in {other}", "option"), rows)


def _usage(texts: Mapping[str, str]) -> Usage:
    return Usage(kernel.memory_state(texts), kernel.cpu_state(texts))
