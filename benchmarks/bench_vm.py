"""A micro-VM, emulated, with one CPU: starts, memory, rest, `docker run` and a chapter."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from labkit import paths
from labkit.engine import VmEngine
from labkit.engine.vm import Machine, MicroVM
from labkit.errors import LabError
from labkit.sdk import translated
from labkit.waiting import wait_until

COLD, RESTORED, RUNS, CHAPTERS = 3, 7, 10, 2  # how often each is done
REST = 10.0  # seconds over which an idle machine is watched
# Seconds of CPU so far, in the guest: proc_pid_stat(5), utime and stime, and the same of the
# children that were waited for. The shims are process 1's, for they outlive who started them.
WHO = """
import os
from pathlib import Path
def spent(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]
    return [int(field) / os.sysconf("SC_CLK_TCK") for field in fields]
pids = {Path(f"/proc/{p}/comm").read_text().strip(): p for p in os.listdir("/proc") if p.isdigit()}
docker, containerd, init = spent(pids["dockerd"]), spent(pids["containerd"]), spent(1)
print(sum(docker[:2]), sum(containerd[:2]), sum(containerd[2:]), sum(init[2:]))
print(int(Path("/proc/stat").read_text().split()[3]) / os.sysconf("SC_CLK_TCK"))
"""
PARTS = (
    "of it dockerd",
    "of it containerd",
    "of it the start of the shim",
    "of it shim, runtime, container",
    "of all that, in the kernel",
)
# Executes a chapter's notebook on the engine of LABKIT_HOME.
CHAPTER = """
import sys
from pathlib import Path
from labkit.authoring.run import run
from labkit.authoring.source import Kind
run(Path(), Path(sys.argv[1]), chapters=["02"], kinds=[Kind.CHAPTER])
"""
# Has the guest's engine start containers with the runtime that is its usual one elsewhere.
WITH_RUNC = """
import os, signal
path = "/etc/labkit/daemon.json"
text = open(path).read().replace('"default-runtime": "crun"', '"default-runtime": "runc"')
open(path, "w").write(text)
os.kill(int(open("/run/docker.pid").read()), signal.SIGKILL)
"""


@dataclass(frozen=True)
class Measure:
    """What was measured, and at most how much it should be."""

    name: str
    unit: str
    values: Sequence[float]
    at_most: float | None = None

    @property
    def met(self) -> bool:
        """Whether the median is within the target; one without is only for scale."""
        return self.at_most is None or statistics.median(self.values) <= self.at_most

    def cells(self) -> tuple[str, ...]:
        """A row of the table."""
        low, middle, high = (f(self.values) for f in (min, statistics.median, max))
        return (
            self.name,
            f"{middle:.3g} {self.unit}",
            f"{low:.3g} to {high:.3g}",
            str(len(self.values)),
            "-" if self.at_most is None else f"at most {self.at_most:g} {self.unit}",
            "-" if self.at_most is None else "yes" if self.met else "NO",
        )


def cpu_seconds(vm: MicroVM) -> float:
    """The CPU time that QEMU has used since it began."""
    times = psutil.Process(vm.pid()).cpu_times()
    return times.user + times.system


@contextmanager
def started(folder: Path, *, keep: bool) -> Iterator[tuple[MicroVM, float]]:
    """A machine and the seconds until its engine answered; with `keep` it is always booted."""
    vm = MicroVM(folder, cache=paths.cache() / "vm")
    began = time.perf_counter()
    try:
        vm.start(accelerator="tcg", cpus=1, keep=keep)
        yield vm, time.perf_counter() - began
    finally:
        vm.remove()


def docker_run(engine: VmEngine) -> None:
    """What `docker run --rm labkit/base true` asks of the engine."""
    container = engine.client.containers.create("labkit/base", "true")
    container.start()
    container.wait()
    container.logs()
    container.remove()


def timed(vm: MicroVM, action: Callable[[], object]) -> tuple[float, float]:
    """The wall time and QEMU's CPU time of an action."""
    cpu, began = cpu_seconds(vm), time.perf_counter()
    action()
    return time.perf_counter() - began, cpu_seconds(vm) - cpu


def python(folder: Path, *argv: str) -> float:
    """The seconds that a Python program takes with the machine in this folder's `vm`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    ours = {"LABKIT_HOME": str(folder), "LABKIT_ENGINE": "vm", "LABKIT_STUDENT": "course"}
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, *argv],
        env={**kept, **ours, "LABKIT_PROGRESS": str(folder / "progress.db")},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - began


def uses(vm: MicroVM, folder: Path, runtime: str) -> list[Measure]:
    """What a learner waits for, with this runtime."""
    engine = VmEngine(vm, vm.endpoint)
    assert engine.client.info()["DefaultRuntime"] == runtime
    docker_run(engine)
    before = parts(vm)
    runs = [timed(vm, lambda: docker_run(engine)) for _ in range(RUNS)]
    spent = [(z - a) / RUNS for a, z in zip(before, parts(vm), strict=True)]
    box = engine.client.containers.run("labkit/base", "sleep 600", detach=True)
    execs = [timed(vm, lambda: box.exec_run("true"))[0] for _ in range(RUNS)]
    box.remove(force=True)
    engine.close()
    chapters = [python(folder, "-c", CHAPTER, str(folder / "made")) for _ in range(CHAPTERS)]
    aims = (1.5, 0.35, 60) if runtime == "crun" else (None, None, None)
    return [
        Measure(f"docker run, {runtime}", "s", [wall for wall, _ in runs], aims[0]),
        Measure("CPU time of one", "s", [cpu for _, cpu in runs]),
        *(Measure(part, "s", [mean]) for part, mean in zip(PARTS, spent, strict=True)),
        Measure(f"docker exec, {runtime}", "s", execs, aims[1]),
        Measure(f"chapter 02, executed, {runtime}", "s", chapters, aims[2]),
    ]


def parts(vm: MicroVM) -> list[float]:
    """The CPU time that each part of the guest has used since it booted."""
    return [float(word) for word in vm.runner.run(WHO).split()]


def measure(folder: Path) -> list[Measure]:
    """Start machines one after another in `vm` of this LABKIT_HOME, and use the last."""
    with started(folder / "vm", keep=False):
        pass  # what is built once is built now
    cold, cold_cpu, restored, start_cpu, resident = [], [], [], [], []
    for _ in range(COLD):
        with started(folder / "vm", keep=True) as (vm, seconds):
            cold.append(seconds)
            cold_cpu.append(cpu_seconds(vm))
    for _ in range(RESTORED):
        with started(folder / "vm", keep=False) as (vm, seconds):
            restored.append(seconds)
            start_cpu.append(cpu_seconds(vm))
            resident.append(psutil.Process(vm.pid()).memory_info().rss / 2**20)
    vm = MicroVM(folder / "vm", cache=paths.cache() / "vm")
    commands = []
    for _ in range(RESTORED):
        commands.append(python(folder, "-m", "labkit", "engine", "start", "--engine", "vm"))
        vm.remove()
    with started(folder / "vm", keep=False) as (vm, _):
        engine = VmEngine(vm, vm.endpoint)
        first = timed(vm, lambda: docker_run(engine))
        _, rest = timed(vm, lambda: time.sleep(REST))
        engine.close()
        with_crun = uses(vm, folder, "crun")
        after = psutil.Process(vm.pid()).memory_info().rss / 2**20
        vm.runner.run(WITH_RUNC)
        wait_until(lambda: runs_runc(vm), timeout=60, what="another engine", interval=0.5)
        with_runc = uses(vm, folder, "runc")
    return [
        Measure("cold start, until the engine answers", "s", cold, 10),
        Measure("CPU time of a cold start", "s", cold_cpu),
        Measure("restored start, until the engine answers", "s", restored, 0.7),
        Measure("CPU time of a restored start", "s", start_cpu),
        Measure("`labkit engine start`, restored", "s", commands, 1.2),
        Measure("QEMU's resident memory after it", "MiB", resident, 250),
        Measure("QEMU's resident memory after all with crun", "MiB", [after]),
        Measure("CPU when idle, of one", "%", [100 * rest / REST], 1),
        Measure("docker run, the first after a start", "s", [first[0]], 3),
        *with_crun,
        *with_runc,
    ]


def runs_runc(vm: MicroVM) -> bool:
    """Whether the engine has been started anew."""
    engine = VmEngine(vm, vm.endpoint)
    try:
        with translated("ask"):
            return str(engine.client.info()["DefaultRuntime"]) == "runc"
    except LabError:
        return False
    finally:
        engine.close()


def main() -> int:
    load = "/".join(f"{one:.1f}" for one in os.getloadavg())
    folder = Path(tempfile.mkdtemp(prefix="lk-bench-"))
    try:
        measures = measure(folder)
    finally:
        shutil.rmtree(folder)
    machine = Machine.detect(accelerator="tcg", cpus=1)
    print(
        f"{os.cpu_count()} CPUs, load {load} before, {platform.system()} {platform.release()}, "
        f"QEMU {machine.version.removeprefix('version ')}, emulated, 1 CPU, "
        f"{machine.memory} MiB; medians"
    )
    header = ("", "median", "min to max", "times", "target", "met")
    rows = [header, *(one.cells() for one in measures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{t:{width}}" for t, width in zip(row, widths, strict=True)).rstrip())
    return 0 if all(one.met for one in measures) else 1


if __name__ == "__main__":
    sys.exit(main())
