"""What a host answers, as records and as errors."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Any, NamedTuple

from labkit.errors import (
    BadValueError,
    HostError,
    HostPermissionError,
    LabError,
    MissingToolError,
    ProcessGoneError,
)

Request = dict[str, Any]
Answer = dict[str, Any]


@dataclass(frozen=True)
class Ran:
    """What a command that ran on the host returned."""

    exit_code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Sample:
    """Some files, read at one time."""

    tick: int  # from 0; those that were missed are left out
    seconds: float  # CLOCK_MONOTONIC of the host's: only differences mean something
    texts: dict[str, str]  # by path; a file that cannot be read is left out


class Entry(NamedTuple):
    """One file of a tree, itself and not what a link leads to; man 7 inode."""

    path: str
    errno: int  # why a directory could not be opened; else 0
    type: str  # file, directory, link, fifo, socket, character device, block device
    mode: int
    ino: int
    dev: int
    nlink: int
    uid: int
    gid: int
    size: int  # bytes
    rdev: int  # of a device
    mtime_ns: int  # nanoseconds since 1970


def value_of(request: Request, answer: Answer) -> Any:
    """What was asked for; raises the error that the answer stands for."""
    if "value" in answer:
        return answer["value"]
    raise host_error(request, answer)


def host_error(request: Request, answer: Answer) -> LabError:
    """The error that an agent's answer stands for."""
    op = request.get("op")
    if "bad" in answer:
        field, known = answer["bad"], ", ".join(answer["known"])
        value = request.get(field)
        return BadValueError(
            f"The host cannot {op}: {field!r} must be {answer['wanted']}.",
            seen=repr(value),
            do=f"known are: {known}" if known else f"give {answer['wanted']}",
            value=value,
        )
    what = request.get("path") or request.get("pid") or " ".join(request.get("argv", ()))
    doing, number, seen = f"{op} {what}", answer["errno"], answer["error"]
    if op == "run" and number == errno.ENOENT:
        return MissingToolError(
            f"The host has no such program: cannot {doing}.",
            tools=(str(request["argv"][0]),),
            seen=seen,
            do="install it there, or run it in a container of the `toolbox` image",
        )
    if number in (errno.ESRCH, errno.ENOENT) and ("/proc/" in doing or op in ("kill", "end")):
        return ProcessGoneError(
            f"The process has ended: cannot {doing}.",
            errno=number,
            pid=request.get("pid"),
            seen=seen,
            do="start the container again, and look at its logs if it should have been running",
        )
    if number in (errno.EACCES, errno.EPERM):
        return HostPermissionError(
            f"The kernel does not allow this user to {doing}.",
            errno=number,
            seen=seen,
            do="run as root, or let labkit look through its probe container",
        )
    return HostError(f"The host cannot {doing}.", errno=number, seen=seen, do="see `labkit doctor`")
