"""A micro-VM, emulated, with one CPU: its starts, its memory, its rest, and one `docker run`."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
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

COLD, RESTORED, RUNS = 3, 7, 10  # how often each is done
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
    "of it shim, runc, container",
    "of all that, in the kernel",
)


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


def parts(vm: MicroVM) -> list[float]:
    """The CPU time that each part of the guest has used since it booted."""
    return [float(word) for word in vm.runner.run(WHO).split()]


def measure(folder: Path) -> list[Measure]:
    """Start machines one after another, and use the last."""
    MicroVM(folder, cache=paths.cache() / "vm").start(accelerator="tcg", cpus=1)
    MicroVM(folder, cache=paths.cache() / "vm").remove()  # what is built once is built now

    cold, cold_cpu, restored, start_cpu, resident = [], [], [], [], []
    for _ in range(COLD):
        with started(folder, keep=True) as (vm, seconds):
            cold.append(seconds)
            cold_cpu.append(cpu_seconds(vm))
    for _ in range(RESTORED):
        with started(folder, keep=False) as (vm, seconds):
            restored.append(seconds)
            start_cpu.append(cpu_seconds(vm))
            resident.append(psutil.Process(vm.pid()).memory_info().rss / 2**20)
    with started(folder, keep=False) as (vm, _):
        engine = VmEngine(vm, vm.endpoint)
        first = timed(vm, lambda: docker_run(engine))
        before = parts(vm)
        runs = [timed(vm, lambda: docker_run(engine)) for _ in range(RUNS)]
        spent = [(z - a) / RUNS for a, z in zip(before, parts(vm), strict=True)]
        box = engine.client.containers.run("labkit/base", "sleep 600", detach=True)
        execs = [timed(vm, lambda: box.exec_run("true"))[0] for _ in range(RUNS)]
        box.remove(force=True)
        _, rest = timed(vm, lambda: time.sleep(REST))
        after = psutil.Process(vm.pid()).memory_info().rss / 2**20
        engine.close()
    return [
        Measure("cold start, until the engine answers", "s", cold, 15),
        Measure("CPU time of a cold start", "s", cold_cpu),
        Measure("restored start, until the engine answers", "s", restored, 1),
        Measure("CPU time of a restored start", "s", start_cpu),
        Measure("QEMU's resident memory after it", "MiB", resident, 450),
        Measure("QEMU's resident memory after all below", "MiB", [after]),
        Measure("docker run, the first after a start", "s", [first[0]]),
        Measure("docker run", "s", [wall for wall, _ in runs], 2),
        Measure("CPU time of one", "s", [cpu for _, cpu in runs]),
        *(Measure(part, "s", [mean]) for part, mean in zip(PARTS, spent, strict=True)),
        Measure("docker exec", "s", execs),
        Measure("CPU when idle, of one", "%", [100 * rest / REST], 2),
    ]


def main() -> int:
    load = "/".join(f"{one:.1f}" for one in os.getloadavg())
    folder = Path(tempfile.mkdtemp(prefix="lk-bench-"))
    try:
        measures = measure(folder / "vm")
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
