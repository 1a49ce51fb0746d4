"""One container, made, started and removed; and a command in one: labkit against docker-py."""

from __future__ import annotations

import itertools
import sys

from pairs import compare, report, timed

import labkit
from labkit import labels

COMMAND = "sleep 600"


def main() -> int:
    with labkit.Lab() as lab:
        client, numbers = lab.engine.client, itertools.count()
        image = client.images.get("labkit/base").tags[0]

        def with_labkit() -> None:
            lab.run("base", COMMAND, name=f"c{next(numbers)}").remove()

        def with_docker_py() -> None:
            # The same name, host name and labels, so that the engine has the same to do.
            name = f"c{next(numbers)}"
            client.containers.run(
                image,
                COMMAND,
                detach=True,
                name=labels.engine_name(lab.id, name),
                hostname=name,
                labels=labels.labels_of(lab.id, name),
            ).remove(force=True, v=True)

        inside = lab.run("base", COMMAND, name="inside")
        return report(
            [
                compare(
                    "run and remove : docker-py",
                    timed(with_labkit),
                    timed(with_docker_py),
                    rounds=30,
                    at_most=1.02,
                ),
                compare(
                    "exec : docker-py's exec_run",
                    timed(lambda: inside.exec("true")),
                    timed(lambda: inside.docker.exec_run("true", demux=True)),
                    rounds=30,
                    at_most=1.1,
                ),
            ]
        )


if __name__ == "__main__":
    sys.exit(main())
