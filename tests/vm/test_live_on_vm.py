"""The library's own live tests, and a chapter, on the micro-VM's engine with cgroup v2."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.engine import the_vm
from labkit.engine.vm import MicroVM

ROOT = Path(__file__).parents[2]
# Left out: what starts engines of other kinds (test_private_engine, test_podman), which is the
# same wherever it runs.
LIVE = [
    f"tests/live/test_{name}.py"
    for name in (
        "bad_input",
        "cleanup",
        "discovery",
        "frames",
        "images",
        "instruments",
        "lab",
        "lab_objects",
        "readers",
        "show",
    )
]


@pytest.fixture(scope="module")
def environ(base: object) -> Iterator[dict[str, str]]:
    """What makes a machine of this module's own the engine of a child process."""
    # Unix sockets want a short path.
    home = Path(tempfile.mkdtemp(prefix="lk-", dir="/tmp"))
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("DOCKER_", "PYTEST_")) and key != "LABKIT_HOST"
    }
    yield {
        **kept,
        "LABKIT_HOME": str(home),
        "LABKIT_ENGINE": "vm",
        "LABKIT_STUDENT": "course",
        "LABKIT_PROGRESS": str(home / "progress.db"),
    }
    MicroVM(home / "vm", cache=the_vm().cache).remove()
    shutil.rmtree(home)


def passed(environ: dict[str, str], *argv: object) -> int:
    """Run pytest with these arguments; all must pass. How many did."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *map(str, argv)],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    closing = done.stdout.strip().splitlines()[-1:]
    print(*closing)
    assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-2000:]
    counted = re.search(r"(\d+) passed", str(closing))
    assert counted is not None
    return int(counted[1])


@pytest.mark.timeout(900)
def test_the_live_tests(environ: dict[str, str]) -> None:
    assert passed(environ, "-m", "not root", "--durations=15", *LIVE) >= 130


@pytest.mark.timeout(600)
def test_a_whole_chapter_and_its_solved_exercises(environ: dict[str, str], tmp_path: Path) -> None:
    run = (
        "import sys; from pathlib import Path; from labkit.authoring.run import run\n"
        "from labkit.authoring.source import Kind\n"
        "made = run(Path(), Path(sys.argv[1]), chapters=['02'],"
        " kinds=[Kind.CHAPTER, Kind.SOLUTIONS], timeout=120)\n"
        "print([str(path.relative_to(sys.argv[1])) for path in made])"
    )
    done = subprocess.run(
        [sys.executable, "-c", run, str(tmp_path)],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-8000:]
    assert done.stdout == "['notebooks/02_namespaces.ipynb', 'solutions/02_namespaces.ipynb']\n"


@pytest.mark.timeout(600)
def test_the_chapter_prints_on_cgroup_v2_what_is_stored(environ: dict[str, str]) -> None:
    notebook = ROOT / "notebooks/02_namespaces.ipynb"
    count = passed(
        environ,
        "--nbval",
        "--nbval-cell-timeout=120",
        "-c",
        os.devnull,
        "--rootdir",
        ROOT,
        notebook,
    )
    assert count > 20
