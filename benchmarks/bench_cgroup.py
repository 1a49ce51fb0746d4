"""One sample of a container's memory and CPU time, against the engine's statistics."""

from __future__ import annotations

import sys

from pairs import compare, report, timed

import labkit
from labkit.host import LocalHost
from labkit.inspect import Cgroup

ROUNDS = 9
TIMES = 200  # labkit's samples in a round; one of the engine's takes a second or two


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
                ]
            )
        finally:
            probe.close()


if __name__ == "__main__":
    sys.exit(main())
