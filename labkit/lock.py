"""One process at a time: a lock that the kernel drops when its holder dies, flock(2)."""

from __future__ import annotations

import fcntl
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from labkit.waiting import wait_until


@contextmanager
def locked(
    path: Path, *, timeout: float = math.inf, on_wait: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Hold the lock `path`; wait at most `timeout` seconds for another holder.

    `on_wait` is called once when there is one. Raises WaitTimeoutError. Shell: `flock PATH`.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _taken(fd):
            on_wait()
            wait_until(
                lambda: _taken(fd),
                timeout=timeout,
                what=f"the lock {path}",
                saw=lambda: f"another process holds it: fuser {path}",
            )
        yield
    finally:
        os.close(fd)


def take(path: Path) -> int | None:
    """Take the lock `path` unless somebody has it; return its descriptor.

    It is held until that is closed, by us and by whoever has inherited it.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if _taken(fd):
        return fd
    os.close(fd)
    return None


def _taken(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
