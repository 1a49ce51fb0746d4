"""The tests that run a second time, on a micro-VM, while others use the machine's other CPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from labkit.engine import the_vm
from labkit.engine.vm import MicroVM

ROOT = Path(__file__).parents[1]
# Left out: what starts engines of other kinds (test_private_engine, test_podman) or wants a
# second user of a Unix socket (test_unprivileged); that is the same wherever it runs.
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
PYTEST = ["-m", "pytest", "-p", "no:cacheprovider", "--durations=15"]
NBVAL = ["--nbval", "--nbval-cell-timeout=120", "-c", os.devnull, f"--rootdir={ROOT}"]
SOLUTIONS = """
import sys
from pathlib import Path
from labkit.authoring.run import run
from labkit.authoring.source import Kind
made = run(Path(), Path(sys.argv[1]), chapters=["02"], kinds=[Kind.SOLUTIONS], timeout=120)
print([str(path.relative_to(sys.argv[1])) for path in made])
"""


class SecondEngine:
    """A machine of its own, and what is run on it, one after the other; results are futures."""

    def __init__(self) -> None:
        # Unix sockets want a short path.
        self._home = Path(tempfile.mkdtemp(prefix="lk-", dir="/tmp"))
        self._running: subprocess.Popen[str] | None = None
        self._queue = ThreadPoolExecutor(1)
        chapter = ROOT / "notebooks/02_namespaces.ipynb"
        self.live = self._queue.submit(self._run, *PYTEST, "-m", "not root", *LIVE)
        self.chapter = self._queue.submit(self._run, *PYTEST, *NBVAL, str(chapter))
        self.solutions = self._queue.submit(self._run, "-c", SOLUTIONS, str(self._home / "made"))

    def end(self) -> None:
        """End what still runs, and the machine."""
        self._queue.shutdown(wait=False, cancel_futures=True)
        if self._running is not None:
            self._running.kill()
        self._queue.shutdown()
        MicroVM(self._home / "vm", cache=the_vm().cache).remove()
        shutil.rmtree(self._home)

    def _run(self, *argv: str) -> str:
        """What a Python program printed; it must succeed."""
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("DOCKER_", "PYTEST_")) and key != "LABKIT_HOST"
        }
        environ = {
            "LABKIT_HOME": str(self._home),
            "LABKIT_ENGINE": "vm",
            "LABKIT_STUDENT": "course",
            "LABKIT_PROGRESS": str(self._home / "progress.db"),
        }
        with subprocess.Popen(
            [sys.executable, *argv],
            cwd=ROOT,
            env={**kept, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as self._running:
            out, err = self._running.communicate()
        assert self._running.returncode == 0, out[-12000:] + err[-2000:]
        return out
