"""The diff of a container with 10,000 changed files, read from its files, against the engine's."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pairs import Pair, compare, report, timed

import labkit
from labkit.inspect import read_overlay

ROUNDS = 9
FILES = 10_000
KINDS = "CAD"  # docker's 0, 1, 2
ADD = f"mkdir /m; cd /m; for i in $(seq {FILES}); do echo x >$i; done"
# The image's own files, each copied up; and what is lacking to ten thousand, made new.
CHANGE = f"""
find / -xdev -type f | head -n {FILES} >/tmp/all; xargs chmod o-r </tmp/all
mkdir /m; cd /m; for i in $(seq $(wc -l </tmp/all) {FILES}); do echo x >$i; done
"""
CASES = {"files made in base": ("base", ADD), "an image's files changed": ("toolbox", CHANGE)}


def diff_of(lab: labkit.Lab, image: str, line: str, name: str) -> list[Pair]:
    box = lab.run(image)
    done = box.exec(["sh", "-c", line], timeout=600)
    assert done.exit_code == 0, done
    api = lab.engine.client.api

    def theirs() -> Sequence[str]:
        return sorted(f"{KINDS[one['Kind']]} {one['Path']}" for one in api.diff(box.id))

    def ours() -> Sequence[str]:
        return sorted(str(one) for one in box.changes())

    assert ours() == theirs()
    assert len(ours()) >= FILES
    probe = lab.engine.probe()
    pid = box.pid
    try:
        return [
            compare(f"{name} : docker diff", timed(ours), timed(theirs), rounds=ROUNDS, at_most=1),
            compare(
                "the same through the probe",
                timed(lambda: list(read_overlay(probe, pid, root=probe.anchor).changes())),
                timed(theirs),
                rounds=ROUNDS,
            ),
        ]
    finally:
        probe.close()
        box.remove()


def main() -> int:
    with labkit.Lab() as lab:
        return report([pair for name, (image, line) in CASES.items()
                       for pair in diff_of(lab, image, line, name)])  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
