"""Memory and CPU time of one container and of a hundred, against the engine's statistics.

Its absolute limits want a quiet machine: a sample through the probe is six wake-ups.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from pairs import Pair, compare, report, timed

import labkit
from labkit.host import Host, LocalHost
from labkit.inspect import Cgroup, Cgroups

ROUNDS = 9
TIMES = 200  # labkit's samples in a round; one of the engine's takes a second or two
SECONDS = 2.0  # of one look at 10 Hz
DIRECTLY, THROUGH = 0.0003, 0.0007  # seconds of a sample, at most
MANY, OF_MANY, PROBED = 100, 0.05, 0.1  # containers, and seconds of a sample of all of them


def on_cpu(host: Host, pid: int) -> float:
    """Seconds of a process's threads on a CPU; /proc/PID/task/TID/schedstat tells nanoseconds."""
    tasks = [f"/proc/{pid}/task/{tid}/schedstat" for tid in host.list(f"/proc/{pid}/task")]
    return sum(int(text.split()[0]) for text in host.read_many(tasks).values()) / 1e9


def shim_of(host: Host, container: str) -> int:
    """The containerd-shim that carries a container's streams."""
    words = f"\0-id\0{container}\0"
    found = host.sweep(read=["cmdline"])
    (pid,) = (pid for pid, seen in found.items() if words in (seen["cmdline"] or ""))
    return pid


def watched(
    name: str, cgroup: Cgroup, host: Host, *, beside: tuple[Host, int] | None = None
) -> tuple[Pair, list[float]]:
    """The CPU time of a look at 10 Hz, the agent's and this process's, against its duration.

    And of each look the share of a core that a process beside them took, seen by a host.
    """
    # The agent, where it is not this process itself.
    agent = int(host.run(["sh", "-c", "echo $PPID"]).stdout)
    spent: list[float] = []
    shares: list[float] = []

    def used() -> float:
        theirs = 0.0 if isinstance(host, LocalHost) else on_cpu(host, agent)
        return time.process_time() + theirs

    def look() -> float:
        with cgroup.samples(interval=0.1) as samples:
            next(samples)
            carried = on_cpu(*beside) if beside else 0.0
            before, began = used(), time.monotonic()
            while time.monotonic() - began < SECONDS:
                next(samples)
            spent.append(time.monotonic() - began)
            took = used() - before
            shares.append(((on_cpu(*beside) if beside else 0.0) - carried) / spent[-1])
            return took

    return compare(name, look, lambda: spent[-1], rounds=5, at_most=0.01), shares


def many(lab: labkit.Lab, hosts: dict[str, Host]) -> list[Pair]:
    """A sample of a hundred containers against `docker stats --no-stream` of the same."""
    made = lab.run_many("base", "sleep 600", count=MANY, name="many", network="none")
    environ = {**os.environ, **lab.engine.environ()}
    words = ["docker", "stats", "--no-stream", *(one.id for one in made)]
    pids = [one.pid for one in made]

    def stats() -> None:
        done = subprocess.run(words, env=environ, capture_output=True, text=True, check=True)
        assert len(done.stdout.splitlines()) == MANY + 1, done.stdout

    pairs = []
    for how, host in hosts.items():
        groups = Cgroups(host, pids)
        assert len(groups.usage()) == MANY
        name = f"{MANY} containers {how} : docker stats --no-stream"
        sample, least = timed(groups.usage, times=5), 40 if how == "directly" else 20
        pairs.append(compare(name, sample, timed(stats), rounds=3, at_least=least))
    return pairs


def main() -> int:
    with labkit.Lab() as lab:
        web = lab.run("base", "sleep 600", name="web", memory="64m")
        here = lab.engine.host
        if not isinstance(here, LocalHost):
            sys.exit("run it as root, with the engine on this machine: one side reads directly")
        probe = lab.engine.probe()
        try:
            local, through = web.cgroup(), Cgroup(probe, web.pid)
            stats = timed(lambda: web.docker.stats(stream=False))
            direct = compare(
                "memory and CPU sample : stats(stream=False)",
                timed(local.usage, times=TIMES),
                stats,
                rounds=ROUNDS,
                at_least=2000,
            )
            probed = compare(
                "the same through the probe",
                timed(through.usage, times=TIMES),
                stats,
                rounds=ROUNDS,
                at_least=1000,
            )
            # What the engine saves when it need not wait for a second sample.
            at_once = compare(
                "stats(one_shot=True) : stats(stream=False)",
                timed(lambda: web.docker.stats(stream=False, one_shot=True)),
                stats,
                rounds=ROUNDS,
            )
            looked, _ = watched("CPU time at 10 Hz : time", local, here)
            shim = here, shim_of(here, probe.container_id)
            through_it, shims = watched(
                "the same through the probe : time", through, probe, beside=shim
            )
            hundred = many(lab, {"directly": here, "by the probe": probe})
        finally:
            probe.close()
    failed = report([direct, probed, at_once, looked, through_it, *hundred])
    print(f"the probe's containerd-shim took {100 * statistics.median(shims):.2f} % of a core more")
    limits = [("directly", direct, DIRECTLY), ("by the probe", probed, THROUGH)]
    limits += [(pair.name.partition(" :")[0], pair, limit)
               for pair, limit in zip(hundred, (OF_MANY, PROBED), strict=True)]  # fmt: skip
    for how, pair, limit in limits:
        median = statistics.median(pair.ours)
        print(f"a sample {how} takes {1000 * median:.2f} ms; {1000 * limit:.1f} are allowed")
        failed |= int(median > limit)
    return failed


if __name__ == "__main__":
    sys.exit(main())
