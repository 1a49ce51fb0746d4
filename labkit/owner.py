"""Who made an object: a process, named so that anybody can tell whether it still lives."""

from __future__ import annotations

import functools
import os
import socket

CLOCK_SLACK = 2.0  # seconds by which a start time may be told differently


@functools.cache
def _of(pid: int) -> str:
    import psutil

    return f"{socket.gethostname()}/{pid}/{psutil.Process(pid).create_time():.2f}"


def this_process() -> str:
    """This process's name as an owner: `HOST/PID/START` (seconds since the epoch)."""
    return _of(os.getpid())


def is_dead(owner: str) -> bool:
    """Whether this owner is known to have ended; False for one on another machine."""
    import psutil

    try:
        machine, pid, start = owner.rsplit("/", 2)
        if machine != socket.gethostname():
            return False
        process = psutil.Process(int(pid))
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        return abs(process.create_time() - float(start)) > CLOCK_SLACK
    except ValueError:
        return False
    except psutil.NoSuchProcess:
        return True
