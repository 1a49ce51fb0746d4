"""Whole processes: Python that imports labkit, against Python that imports the Docker SDK."""

from __future__ import annotations

import subprocess
import sys

from pairs import Side, compare, report, timed

ROUNDS = 20


def python(code: str) -> Side:
    """A new Python that runs `code`, from its start to its end."""
    return timed(lambda: subprocess.run([sys.executable, "-c", code], check=True))


def main() -> int:
    sdk = python("import docker")
    return report(
        [
            compare(
                "import labkit : import docker",
                python("import labkit"),
                sdk,
                rounds=ROUNDS,
                at_most=0.25,
            ),
            # What `lab = labkit.Lab()` loads before it speaks to an engine, the SDK included.
            compare(
                "labkit.Lab and the SDK : import docker",
                python("import labkit, docker; labkit.Lab"),
                sdk,
                rounds=ROUNDS,
                at_most=2,
            ),
            compare("Python alone : import docker", python("pass"), sdk, rounds=ROUNDS),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
