"""One sample of a container's memory and CPU time, against the engine's statistics."""

from __future__ import annotations

import sys
import time

from pairs import Pair, compare, report, timed

import labkit
from labkit.host import Host, LocalHost
from labkit.inspect import Cgroup

ROUNDS = 9
TIMES = 200  # labkit's samples in a round; one of the engine's takes a second or two
SECONDS = 2.0  # of one look at 10 Hz


def watched(name: str, cgroup: Cgroup, host: Host) -> Pair:
    """The CPU time of a look at 10 Hz, the agent's and this process's, against its duration."""
    # The agent, where it is not this process itself.
    agent = int(host.run(["sh", "-c", "echo $PPID"]).stdout)
    spent: list[float] = []

    def used() -> float:
        """Seconds on a CPU; of the agent by /proc/PID/task/TID/schedstat, in nanoseconds."""
        if isinstance(host, LocalHost):
            return time.process_time()
        tasks = [f"/proc/{agent}/task/{tid}/schedstat" for tid in host.list(f"/proc/{agent}/task")]
        theirs = sum(int(text.split()[0]) for text in host.read_many(tasks).values())
        return time.process_time() + theirs / 1e9

    def look() -> float:
        with cgroup.samples(interval=0.1) as samples:
            next(samples)
            before, began = used(), time.monotonic()
            while time.monotonic() - began < SECONDS:
                next(samples)
            spent.append(time.monotonic() - began)
            return used() - before

    return compare(name, look, lambda: spent[-1], rounds=5, at_most=0.01)


def main() -> int:
    with labkit.Lab() as lab:
        web = lab.run("base", "sleep 600", name="web", memory="64m")
        if not isinstance(lab.engine.host, LocalHost):
            sys.exit("run it as root, with the engine on this machine: one side reads directly")
        probe = lab.engine.probe()
        try:
            local, through = web.cgroup(), Cgroup(probe, web.pid)
            stats = timed(lambda: web.docker.stats(stream=False))
            return report(
                [
                    compare(
                        "memory and CPU sample : stats(stream=False)",
                        timed(local.usage, times=TIMES),
                        stats,
                        rounds=ROUNDS,
                        at_least=2000,
                    ),
                    compare(
                        "the same through the probe",
                        timed(through.usage, times=TIMES),
                        stats,
                        rounds=ROUNDS,
                        at_least=1000,
                    ),
                    # What the engine saves when it need not wait for a second sample.
                    compare(
                        "stats(one_shot=True) : stats(stream=False)",
                        timed(lambda: web.docker.stats(stream=False, one_shot=True)),
                        stats,
                        rounds=ROUNDS,
                    ),
                    watched("CPU time at 10 Hz : time", local, lab.engine.host),
                    watched("the same through the probe : time", through, probe),
                ]
            )
        finally:
            probe.close()


if __name__ == "__main__":
    sys.exit(main())
