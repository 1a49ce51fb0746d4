"""Through a lab's socket, against the engine's own: the same command line, both ways in turn."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil
from pairs import compare, report, timed

import labkit
from labkit.waiting import wait_until

MIB = 1 << 20
COPIED, LOGGED = 200 * MIB, 100 * MIB
LISTED_MORE = 0.003  # seconds that a list may take beyond the engine's own
IDLE, LARGEST = 5.0, 20 * MIB  # seconds of rest; bytes of the process that serves


def main() -> int:
    with labkit.Lab() as lab, tempfile.TemporaryDirectory() as folder:
        through = {**os.environ, **lab.environ()}
        itself = {**os.environ, **lab.engine.environ()}
        docker = shutil.which("docker", path=through["PATH"]) or "docker"

        def side(environ: dict[str, str], *argv: str) -> Callable[[], None]:
            def run() -> None:
                subprocess.run([docker, *argv], env=environ, check=True, stdout=subprocess.DEVNULL)

            return run

        def both(*argv: str) -> tuple[Callable[[], float], Callable[[], float]]:
            return timed(side(through, *argv)), timed(side(itself, *argv))

        box = lab.run("base", name="box")
        count = LOGGED // 64
        logger = lab.run("base", ["sh", "-c", f"yes {'x' * 63} | head -n {count}"], name="logger")
        logger.wait_exit(timeout=120)
        source = Path(folder) / "large"
        source.write_bytes(os.urandom(MIB) * (COPIED // MIB))

        listed = compare("docker ps", *both("ps"), rounds=15)
        pairs = [
            listed,
            compare(
                "docker run",
                *both("run", "--rm", "--network", "none", "labkit/base", "true"),
                rounds=15,
                at_most=1.03,
            ),
            compare(
                "docker cp of 200 MB, in",
                *both("cp", str(source), f"{box.id}:/tmp/large"),
                rounds=3,
                at_most=1.2,
            ),
            compare(
                "docker cp of 200 MB, out",
                *both("cp", f"{box.id}:/tmp/large", f"{folder}/back"),
                rounds=3,
                at_most=1.2,
            ),
            compare(
                "docker logs -f of 100 MB",
                *both("logs", "--follow", logger.id),
                rounds=3,
                at_most=1.2,
            ),
        ]
        keeper = psutil.Process(lab.reaper.pid)
        wait_until(
            lambda: all(one.status() == psutil.STATUS_ZOMBIE for one in keeper.children()),
            timeout=60,
            what="the end of what it sweeps",
        )
        before = keeper.cpu_times()
        subprocess.run(["sleep", str(IDLE)], check=True)
        after = keeper.cpu_times()
        idle = after.user + after.system - before.user - before.system
        memory = keeper.memory_full_info().uss
    failed = report(pairs)
    more = statistics.median(a - b for a, b in zip(listed.ours, listed.theirs, strict=True))
    print(f"docker ps takes {1000 * more:.1f} ms more; {1000 * LISTED_MORE:.0f} are allowed")
    print(f"idle: {idle:.2f} s of CPU in {IDLE:.0f} s, {memory / MIB:.0f} MiB of memory of its own")
    return failed or int(more > LISTED_MORE or idle > 0.01 * IDLE or memory > LARGEST)


if __name__ == "__main__":
    sys.exit(main())
