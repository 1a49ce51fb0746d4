"""One process at a time: a lock that the kernel drops when its holder dies, flock(2)."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from labkit.errors import WaitTimeoutError


@contextmanager
def locked(
    path: Path, *, timeout: float, on_wait: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Hold the lock `path`; wait at most `timeout` seconds for another holder.

    `on_wait` is called once when there is one. Raises `WaitTimeoutError`. The same: `flock PATH`.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline, waited = time.monotonic() + timeout, False
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise WaitTimeoutError(
                        "Another process holds a lock of the micro-VM.",
                        seen=f"{path} after {timeout:.0f} s",
                        do=f"see who: fuser {path}",
                    ) from None
                if not waited:
                    on_wait()
                waited = True
                time.sleep(0.05)
        yield
    finally:
        os.close(fd)
