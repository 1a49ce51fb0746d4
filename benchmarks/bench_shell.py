"""Shell cells, against the same commands typed with `docker exec` or run beside the engine."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys

from pairs import compare, report, timed

import labkit
from labkit.shell.cells import in_container, on_host

ROUNDS = 15
BEYOND = 0.06  # seconds of a `%%host` cell beyond the command itself


def main() -> int:
    with labkit.Lab() as lab:
        web = lab.run("base", name="web")
        environ = {**os.environ, **lab.engine.environ()}
        docker = shutil.which("docker", path=environ["PATH"]) or "docker"

        def typed() -> None:
            argv = [docker, "exec", web.id, "sh", "-c", "true"]
            subprocess.run(argv, env=environ, check=True)

        cell = compare(
            "%%in web : docker exec web",
            timed(lambda: in_container("web", "true")),
            timed(typed),
            rounds=ROUNDS,
            at_most=1.1,
        )
        host = compare(
            "%%host, lsns of $web : lsns itself",
            timed(lambda: on_host("", "lsns --task $web >/dev/null")),
            timed(lambda: lab.engine.host.run(["sh", "-c", f"lsns --task {web.pid} >/dev/null"])),
            rounds=ROUNDS,
        )
    failed = report([cell, host])
    beyond = statistics.median(a - b for a, b in zip(host.ours, host.theirs, strict=True))
    print(
        f"%%host takes {1000 * beyond:.0f} ms beyond the command; {1000 * BEYOND:.0f} are allowed"
    )
    return failed or int(beyond > BEYOND)


if __name__ == "__main__":
    sys.exit(main())
