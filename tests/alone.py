"""Tests that change what all labs of an engine share are alone on it: the mark `alone`.

The workers of one run hold a lock, flock(2): the others share it while they test, the one that is
marked has it for itself.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from groups import suite

LOCKS = "labkit_locks"
# They use no engine, or one of their own: who is alone on the machine's need not wait for them.
ELSEWHERE = {"again", "binder", "desktop", "unit", "vm"}


class Locks:
    """On the controller: a folder of locks for the workers, told to each."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="labkit-tests-")

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput[LOCKS] = self._folder

    def pytest_unconfigure(self) -> None:
        shutil.rmtree(self._folder)


def pytest_configure(config: pytest.Config) -> None:
    """Without workers each test is alone anyhow."""
    if config.getoption("dist", "no") != "no":
        config.pluginmanager.register(Locks())


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around pytest-timeout: waiting is no part of a test
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Hold the lock while a test on the machine's engine runs."""
    folder = getattr(item.config, "workerinput", {}).get(LOCKS)
    if folder is None or suite(item.path) in ELSEWHERE:
        return (yield)
    with _held(Path(folder), alone=item.get_closest_marker("alone") is not None):
        return (yield)


@contextmanager
def _held(folder: Path, *, alone: bool) -> Iterator[None]:
    with (folder / "gate").open("w") as gate, (folder / "engine").open("w") as engine:
        fcntl.flock(gate, fcntl.LOCK_EX)  # who waits to be alone lets nobody in before
        fcntl.flock(engine, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield
