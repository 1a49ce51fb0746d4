"""Fifty containers made, and fifty removed: labkit against a loop over docker-py."""

from __future__ import annotations

import sys

from pairs import Pair, report, timed

import labkit
from labkit import labels

COUNT = 50
ROUNDS = 5
COMMAND = "sleep 600"


def with_labkit(count: int) -> tuple[float, float]:
    """Seconds to make the containers and to remove them."""
    with labkit.Lab() as lab:
        make = timed(lambda: lab.run_many("base", COMMAND, count=count))
        return make(), timed(lab.close)()


def with_docker_py(count: int) -> tuple[float, float]:
    """The same in a loop; the lab is there to clean up if the benchmark is interrupted."""
    with labkit.Lab() as lab:
        client, made = lab.engine.client, []

        def make() -> None:
            for number in range(1, count + 1):
                name = f"c-{number}"
                one = client.containers.run(
                    "labkit/base",
                    COMMAND,
                    detach=True,
                    name=labels.engine_name(lab.id, name),
                    hostname=name,
                    labels=labels.labels_of(lab.id, name),
                )
                made.append(one)

        def remove() -> None:
            for one in made:
                one.remove(force=True, v=True)

        return timed(make)(), timed(remove)()


def main() -> int:
    with_labkit(4), with_docker_py(4)  # to warm up
    rounds = [(with_labkit(COUNT), with_docker_py(COUNT)) for _ in range(ROUNDS)]
    names = (f"run_many of {COUNT} : a loop", f"close of {COUNT} : a loop")
    return report(
        [
            Pair(
                name,
                tuple(ours[part] for ours, _ in rounds),
                tuple(theirs[part] for _, theirs in rounds),
                at_most=None,
                at_least=1.4,
            )
            for part, name in enumerate(names)
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
