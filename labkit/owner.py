"""Who made an object: a process, named so that others can tell whether it still lives.

A name is `SIGHT/PID/START/LOCK`. Who has the same sight (this boot of the kernel, these pid and
time namespaces) asks /proc. Everybody else asks the lock, which the owner holds in its
LABKIT_HOME while it lives: after a reboot, or in the pod that takes another's place, it is free.
What neither can tell is left alone. No clock is asked: it may be set.
Source: proc_pid_stat(5), random(4), pid_namespaces(7), flock(2).
"""

from __future__ import annotations

import fcntl
import functools
import os
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path

from labkit import paths

NAME = re.compile(r"([^/]*)/(\d{1,9})/(\d*)/((?:[a-z0-9]+-[0-9a-f]+)?)")
STATE, START = 0, 19  # fields 3 and 22 of /proc/PID/stat, counted after the program's name
LOCK_KEPT = 30 * 86400.0  # seconds; an engine that is seldom asked may hold an old owner's labs
# Where each machine, or each mount, has locks of its own, and sees none of another's.
PRIVATE_LOCKS = re.compile(r"fuse.*|9p|virtiofs|fakeowner|lustre")
PRIVATE_OPTIONS = {"local_lock=flock", "local_lock=all", "nolock", "nobrl"}

_held: list[int] = []  # the lock's file descriptor


def this_process() -> str:
    """This process's name as an owner; a fork has another."""
    return _name_of(os.getpid())


def is_dead(owner: str) -> bool:
    """Whether this owner is known to have ended; False where nobody here can know."""
    named = NAME.fullmatch(owner)
    if named is None or owner == this_process():
        return False
    sight, pid, start, lock = named.groups()
    if sight and sight == _sight():
        return _has_ended(int(pid), start)
    return bool(lock) and _is_free(lock)


def forget_old() -> None:
    """Remove the locks of owners that ended long ago."""
    with suppress(OSError):
        for file in _folder().iterdir():
            if file.stat().st_mtime < time.time() - LOCK_KEPT and _is_free(file.name):
                file.unlink(missing_ok=True)


# --- what is asked of /proc ----------------------------------------------------------------------


def _sight() -> str:
    """Which processes are seen here, and by which pids; "" where there is no such /proc."""
    try:
        if str(Path("/proc/self").readlink()) != str(os.getpid()):
            return ""  # it is another pid namespace's
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        kinds = [kind for kind in ("pid", "time") if Path(f"/proc/self/ns/{kind}").exists()]
        return ":".join(
            [boot, *(str(Path(f"/proc/self/ns/{kind}").stat().st_ino) for kind in kinds)]
        )
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _has_ended(pid: int, start: str) -> bool:
    try:
        stat = _stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        return not _exists(pid)
    except OSError:
        return False
    return stat[STATE] in ("Z", "X") or stat[START] != start


def _exists(pid: int) -> bool:
    """Whether there is such a process, even one that /proc hides from this user (`hidepid`)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


# --- what is asked of a lock ---------------------------------------------------------------------


@functools.cache
def _name_of(pid: int) -> str:
    sight = _sight()
    return f"{sight}/{pid}/{_stat(pid)[START] if sight else ''}/{_hold()}"


def _folder() -> Path:
    return paths.home() / "owners"


def _hold() -> str:
    """Hold a new lock until this process ends; return its name, "" where there can be none."""
    folder = _folder()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (kind := kind_of_locks(folder.resolve(), _mounts())):
            return ""
        lock = folder / f"{kind}-{secrets.token_hex(8)}"
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        return ""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # this file system has none
        os.close(fd)
        lock.unlink(missing_ok=True)
        return ""
    _held.append(fd)
    return lock.name


def _let_go_in_a_fork() -> None:
    """A child that outlives its parent must not make it look alive."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_let_go_in_a_fork)


def _is_free(lock: str) -> bool:
    """Whether nobody holds it; one that is not there is another home's, or was forgotten."""
    folder = _folder()
    try:
        if kind_of_locks(folder.resolve(), _mounts()) != lock.partition("-")[0]:
            return False  # the owner's lock would not be seen from here
        fd = os.open(folder / lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: several may ask at once
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _mounts() -> str:
    try:
        return Path("/proc/self/mountinfo").read_text()
    except OSError:  # not on Linux
        return ""


def kind_of_locks(folder: Path, mountinfo: str) -> str:
    """The file system of a folder, if all who have the folder see each other's locks; else "".

    Source: proc_pid_mountinfo(5); nfs(5), `local_lock`; mount.cifs(8), `nobrl`.
    """
    longest, found = 0, "disk"
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        place = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), before.split()[4])
        if len(place) >= longest and folder.is_relative_to(place):
            kind, *_, options = after.split()
            private = PRIVATE_LOCKS.fullmatch(kind) or PRIVATE_OPTIONS & {*options.split(",")}
            longest, found = len(place), "" if private else kind
    return found
