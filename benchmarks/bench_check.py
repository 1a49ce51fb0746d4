"""A check of an exercise, against the same questions asked with docker-py by hand."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from pairs import compare, report, timed

import labkit
from labkit import labels
from labkit.checks import Outcome
from labkit.checks.catalog import find
from labkit.checks.exercise import LOOKS

ROUNDS = 15


def main() -> int:
    with tempfile.TemporaryDirectory() as folder, labkit.Lab() as lab:
        os.environ["LABKIT_PROGRESS"] = str(Path(folder) / "progress.db")  # not the learner's own
        client = lab.engine.client
        mine = [f"{labels.SESSION}={labels.session()}", f"{labels.NAME}=first"]

        def with_labkit(expected: Outcome) -> None:
            report = labkit.check("00.1")
            assert report.outcome is expected, report

        def is_there() -> bool:
            return bool(client.containers.list(all=True, filters={"label": mine}))

        def by_hand() -> None:
            assert is_there()
            for _ in range(1 + LOOKS):
                found = client.containers.list(all=True, filters={"label": mine})[0]
                found.reload()
                assert found.status == "running"
                assert found.image == client.images.get("labkit/base")

        untouched = compare(
            "check, not attempted : docker-py",
            timed(lambda: with_labkit(Outcome.NOT_ATTEMPTED)),
            timed(is_there),
            rounds=ROUNDS,
        )
        lab.run("base", "sleep 600", name="first")
        find("00.1").lasts = 0.0  # the looks are compared, not the waiting between them
        passed = compare(
            "check, passed : docker-py",
            timed(lambda: with_labkit(Outcome.PASSED)),
            timed(by_hand),
            rounds=ROUNDS,
            at_most=1.5,
        )
    return report([passed, untouched])


if __name__ == "__main__":
    sys.exit(main())
