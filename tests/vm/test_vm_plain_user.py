"""All of it as a user without any privilege: build (killed once), boot, restore, run, stop."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from machines import qemus
from plain_user import PYTHON, USER, copy_packages

# Two first starts in one user's cache, at once; then what is there is used again.
BUILD = """
import sys
from pathlib import Path
from labkit.engine.vm import build_image
build_image(Path(sys.argv[1]) / "cache", on_progress=lambda stage, done: print(stage, flush=True))
"""
START = """
import os, sys, time
from pathlib import Path
from labkit.engine.vm import MicroVM
here, name = Path(sys.argv[1]), sys.argv[2]
vm = MicroVM(here / "vm" / name, cache=here / "cache")
began = time.monotonic()
vm.start(accelerator="tcg", on_progress=lambda stage, done: print(stage, flush=True))
print(f"started in {time.monotonic() - began:.1f} s", flush=True)
print("guest uid", vm.runner.run("import os; print(os.getuid())").strip(), flush=True)
vm.stop()
print("uid", os.getuid(), open("/proc/self/status").read().split("CapBnd:")[1].split()[0])
"""
UNPRIVILEGED = (
    "setpriv",
    f"--reuid={USER}",
    f"--regid={USER}",
    "--clear-groups",
    "--no-new-privs",
    "--bounding-set=-all",
)


@pytest.fixture
def here() -> Iterator[Path]:
    """That user's folder; not below pytest's own, which is root's alone."""
    place = Path(f"/var/tmp/lk-{os.getpid()}")
    place.mkdir()
    os.chown(place, USER, USER)
    (place / "packages").mkdir()
    copy_packages(place / "packages")
    yield place
    shutil.rmtree(place)


def as_user(here: Path, code: str, *arguments: str) -> subprocess.Popen[str]:
    python = ["env", f"HOME={here}", f"PYTHONPATH={here}/packages", PYTHON]
    return subprocess.Popen(
        [*UNPRIVILEGED, *python, "-c", code, str(here), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
    )


@pytest.mark.timeout(600)
@pytest.mark.root  # who alone can become another user; for others all the tests are this one
def test_everything_without_privilege(here: Path) -> None:
    first = as_user(here, BUILD)
    assert first.stdout is not None
    while (stage := first.stdout.readline()) != "unpack\n":
        assert stage, first.communicate()
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert not list((here / "cache/images").glob("*/disk.qcow2"))

    # Two that start the first machine at once: one builds, the other waits for it.
    both = [as_user(here, START, name) for name in ("one", "other")]
    said = [process.communicate(timeout=500) for process in both]
    for process, (out, err) in zip(both, said, strict=True):
        assert (process.returncode, err) == (0, "")
        assert "guest uid 0\n" in out
        assert f"uid {USER} 0000000000000000\n" in out
    stages = [set(out.splitlines()) for out, _ in said]
    for once in ("unpack", "disk", "boot", "snapshot"):
        assert sum(once in of_one for of_one in stages) == 1, (once, stages)
    assert any("wait" in of_one for of_one in stages), stages
    assert len(list((here / "cache/images").glob("*/disk.qcow2"))) == 1
    assert len(list((here / "cache/snapshots").glob("*/state"))) == 1
    assert not [*here.glob("cache/images/building-*"), *here.glob("cache/making-*")]
    assert qemus(here) == []

    again = as_user(here, START, "again")
    out, err = again.communicate(timeout=100)
    assert again.returncode == 0, err
    assert out.startswith("started in "), "nothing is built a second time"
