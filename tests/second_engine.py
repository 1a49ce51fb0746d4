"""The tests that run a second time, on a micro-VM of their own with cgroup v2."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from labkit.engine import the_vm
from labkit.engine.vm import MicroVM

ROOT = Path(__file__).parents[1]
PYTEST = ["-m", "pytest", "-p", "no:cacheprovider", "--durations=15"]
# The others run on the same engine in `tests/desktop`, seen through the probe.
LIVE = ("exec", "inspect", "instruments", "judging", "readers")
# What happens to the conversation with the agent in the guest, beside those through the probe.
IN_A_GUEST = "(interrupt and directly) or mistyped or agent_that_was_killed"
# What is judged by files of a control group, whose versions have others.
BY_CGROUP = " or ".join(
    ("00.3", "03.1", "03.5", "06.1-megabytes", "beside_files", "in_a_file_in_memory", "01.3-paused")
)
SOLUTIONS = """
import sys
from pathlib import Path
from labkit.authoring.run import run
from labkit.authoring.source import Kind
output, *chapters = sys.argv[1:]
made = run(Path(), Path(output), chapters=chapters, kinds=[Kind.SOLUTIONS], timeout=120)
print(*(path.name[:2] for path in made))
"""


def nbval(notebook: Path, *, timeout: int) -> list[str]:
    """The arguments of a Python that compares a notebook's outputs; `timeout` is for each cell.

    In a process of its own: nbval collects every notebook, and knows nothing of our settings.
    """
    return [*PYTEST, "--nbval", f"--nbval-cell-timeout={timeout}", "-c", os.devnull,
            f"--rootdir={ROOT}", str(notebook)]  # fmt: skip


class SecondEngine:
    """A machine of its own."""

    def __init__(self) -> None:
        # Unix sockets want a short path.
        self._home = Path(tempfile.mkdtemp(prefix="lk-", dir="/tmp"))

    def start(self) -> None:
        """Start it, with the lab images; what there is to say of this machine is said here."""
        self._run("-m", "labkit", "engine", "start", "--engine", "vm")

    def live(self) -> str:
        """What pytest says of the library's live tests.

        Left out are those for root, which start engines of other kinds or want a second user of a
        Unix socket, and what tells nothing of the engine: that is the same wherever it runs.
        """
        files = [f"tests/live/test_{name}.py" for name in LIVE]
        return self._run(*PYTEST, "-m", "not root", *files)

    def conversation(self) -> str:
        """What pytest says of interrupts, a mistyped name and a killed agent, in the guest."""
        file = "tests/live/test_host_conversation.py"
        return self._run(*PYTEST, "-m", "not root", "-k", IN_A_GUEST, file)

    def attempts(self) -> str:
        """What pytest says of attempts that are judged by a control group."""
        return self._run(*PYTEST, "-k", BY_CGROUP, "tests/course/test_exercises.py")

    def chapter(self, number: str) -> str:
        """What nbval says of a chapter."""
        (notebook,) = (ROOT / "notebooks").glob(f"{number}_*.ipynb")
        return self._run(*nbval(notebook, timeout=120))

    def solutions(self, *chapters: str) -> list[str]:
        """The chapters whose solved notebooks ran through, with every check passed."""
        return self._run("-c", SOLUTIONS, str(self._home / "made"), *chapters).split()

    def end(self) -> None:
        """End the machine."""
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
            "LABKIT_WORK": str(self._home / "work"),
        }
        done = subprocess.run(
            [sys.executable, *argv],
            cwd=ROOT,
            env={**kept, **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-2000:]
        return done.stdout
