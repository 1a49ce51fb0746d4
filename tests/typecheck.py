"""`mypy --strict` over the tests, the benchmarks and the course's checks, in one run.

mypy wants a name of its own for each module; there is a `conftest.py` in most folders of tests and
a `checks.py` in each chapter's, and `00_start_here` is no name at all. So it is shown links, whose
names tell the folder. Left out is what a learner reads, chapter.py and exercises.py: CONTRIBUTING
says why.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINKS = Path("build/typecheck")  # the same each time, for mypy's cache
CHECKED = ("tests/**/*.py", "benchmarks/**/*.py", "course/*/checks.py", "course/*/attempts.py")
MANY = {"conftest", "checks", "attempts"}


def link(file: Path) -> Path:
    """Where the link to a file is: flat, as the tests import each other; packages stay packages."""
    folder = file.parent
    if (ROOT / folder / "__init__.py").exists():
        return LINKS / folder.name / file.name
    return LINKS / ("_".join(file.with_suffix("").parts) if file.stem in MANY else file.stem)


def main() -> int:
    """Print what mypy finds, by the files' own names; return its exit code.

    It is given our arguments too.
    """
    os.chdir(ROOT)
    shutil.rmtree(LINKS, ignore_errors=True)
    files = [path for pattern in CHECKED for path in sorted(Path().glob(pattern))]
    links = {link(file).with_suffix(".py"): file for file in files}
    assert len(links) == len(files), "two modules of one name"
    for place, file in links.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(ROOT / file)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *sys.argv[1:], *map(str, links)],
        env={**os.environ, "MYPYPATH": os.pathsep.join(map(str, (ROOT, LINKS)))},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    for line in done.stdout.splitlines():
        shown, colon, rest = line.partition(":")
        print(f"{links.get(Path(shown), shown)}{colon}{rest}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
