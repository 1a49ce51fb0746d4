"""The live picture of 50 containers, drawn anew, against the figure that is stored."""

from __future__ import annotations

import statistics
import sys

from pairs import compare, report, timed

import labkit

ROUNDS = 7
CONTAINERS = 50
AT_MOST = 0.3  # seconds: what is typed beside it should be seen at once


def main() -> int:
    with labkit.Lab() as lab:
        containers = lab.run_many("base", count=CONTAINERS, network="none")
        picture = labkit.show.live(lab)
        picture.stop()
        pair = compare(
            f"live picture of {CONTAINERS} : namespace_matrix",
            timed(picture.redrawn),
            timed(lambda: labkit.show.namespace_matrix(*containers)),
            rounds=ROUNDS,
            at_most=0.5,
        )
    failed = report([pair])
    median = statistics.median(pair.ours)
    print(f"drawn anew in {1000 * median:.0f} ms; at most {1000 * AT_MOST:.0f} ms are wanted")
    return failed or int(median > AT_MOST)


if __name__ == "__main__":
    sys.exit(main())
