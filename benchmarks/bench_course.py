"""The course laid out for a learner, against Jupyter's own way to clear notebooks of outputs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pairs import Side, compare, report, timed

from labkit.course import course_dir

ROUNDS = 5


def main() -> int:
    root = course_dir().parent
    notebooks = [path for name in ("notebooks", "exercises") for path in (root / name).glob("*")]
    with tempfile.TemporaryDirectory() as made:
        ours, theirs = Path(made) / "ours", Path(made) / "theirs"

        def laid_out() -> None:
            shutil.rmtree(ours, ignore_errors=True)
            words = [sys.executable, "-m", "labkit", "course", "open", str(ours)]
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL)

        def cleared() -> None:
            # Not its --clear-output, which writes where it reads.
            words = [sys.executable, "-m", "jupyter", "nbconvert", "--log-level=ERROR",
                     "--ClearOutputPreprocessor.enabled=True", "--to=notebook",
                     f"--output-dir={theirs}"]  # fmt: skip
            subprocess.run([*words, *map(str, notebooks)], check=True)

        sides: tuple[Side, Side] = timed(laid_out), timed(cleared)
        name = "labkit course open : nbconvert, outputs cleared"
        return report([compare(name, *sides, rounds=ROUNDS, at_most=1)])


if __name__ == "__main__":
    sys.exit(main())
