"""Two engines of labkit's side by side, and each stopped alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labkit.engine import PrivateEngine
from labkit.engine.virtual import the_vm
from labkit.engine.vm import MicroVM

Labkit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def home() -> Iterator[Path]:
    """A LABKIT_HOME of this test's own; Unix sockets want a short path."""
    place = Path(tempfile.mkdtemp(prefix="lk-", dir="/tmp"))
    yield place
    PrivateEngine(place / "engine").stop()
    MicroVM(place / "vm", cache=the_vm().cache).remove()
    shutil.rmtree(place)


@pytest.fixture
def labkit(home: Path) -> Labkit:
    """labkit's command line there."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "labkit", *words],
            env={**os.environ, "LABKIT_HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.root  # who alone can have a private engine
@pytest.mark.usefixtures("base")
def test_each_is_stopped_alone_and_status_says_which_runs(home: Path, labkit: Labkit) -> None:
    for kind in ("private", "vm"):
        done = labkit("engine", "start", "--engine", kind)
        assert done.returncode == 0, done.stderr
    private = f"the private engine runs, pid {PrivateEngine(home / 'engine').pid()}\n"
    vm = f"the micro-VM runs, pid {MicroVM(home / 'vm', cache=the_vm().cache).pid()}\n"
    assert labkit("engine", "status").stdout == private + vm
    assert labkit("engine", "stop", "--engine", "vm").stdout == "stopped: the micro-VM\n"
    assert labkit("engine", "status").stdout == private
    again = labkit("engine", "stop", "--engine", "vm")
    assert (again.returncode, again.stdout) == (0, "the micro-VM was not running\n")
    assert labkit("engine", "start", "--engine", "vm").returncode == 0
    stopped = labkit("engine", "stop", "--engine", "private")
    assert stopped.stdout == "stopped: the private engine\n"
    assert "the micro-VM runs" in labkit("engine", "status").stdout
    assert labkit("engine", "stop").stdout == "stopped: the micro-VM\n"
    assert labkit("engine", "status").returncode == 3


def test_an_engine_that_is_not_ours_cannot_be_stopped(labkit: Labkit) -> None:
    done = labkit("engine", "stop", "--engine", "docker")
    assert done.returncode == 1
    assert "not labkit's to stop" in done.stderr
    assert "`labkit engine stop --engine vm`" in done.stderr


@pytest.mark.parametrize("words", [("--keep",), ("--no-network",), ("--memory", "700")])
def test_what_is_the_micro_vms_is_refused_to_others(labkit: Labkit, words: tuple[str, ...]) -> None:
    done = labkit("engine", "start", "--engine", "private", *words)
    assert done.returncode == 1
    assert "say `--engine vm` too" in done.stderr
