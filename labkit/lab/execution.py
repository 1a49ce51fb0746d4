"""Run a command in a container, with an end to it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.errors import ExecTimeoutError, LabError, WaitTimeoutError
from labkit.lab.exec_end import end_exec
from labkit.sdk import STDERR, STDOUT, FrameStream
from labkit.waiting import wait_until

if TYPE_CHECKING:
    from labkit.host import Host

NOTED = 2.0  # seconds in which the engine notes the exit, once the streams have ended
LATE = 86400.0  # and at the latest: a program may close its streams and go on


@dataclass(frozen=True, repr=False)
class Output:
    """What a command printed, and how it ended."""

    exit_code: int
    stdout: str
    stderr: str

    def __repr__(self) -> str:
        parts = [self.stdout.rstrip("\n")] if self.stdout else []
        if self.stderr:
            parts.append(f"[stderr] {self.stderr.rstrip()}")
        if self.exit_code:
            parts.append(f"[exit code {self.exit_code}]")
        return "\n".join(parts) or "[nothing printed]"


def execute(
    api: Any,
    container: str,
    command: str | Sequence[str],
    *,
    host: Callable[[], Host],
    timeout: float,
    user: str,
    workdir: str | None,
    env: Mapping[str, str] | None,
) -> Output:
    """Run a command in a running container, and collect what it prints; see `carry_out`."""
    printed = {STDOUT: bytearray(), STDERR: bytearray()}
    try:
        exit_code = carry_out(
            api,
            container,
            command,
            sink=lambda which, data: printed[which].extend(data),
            host=host,
            timeout=timeout,
            user=user,
            workdir=workdir,
            env=env,
        )
    except ExecTimeoutError as err:
        err.stdout = printed[STDOUT].decode(errors="replace")
        err.seen += f", which had printed {bytes(printed[STDOUT][-200:])!r}"
        raise
    stdout, stderr = (data.decode(errors="replace") for data in printed.values())
    return Output(exit_code, stdout, stderr)


def carry_out(
    api: Any,
    container: str,
    command: str | Sequence[str],
    *,
    sink: Callable[[int, bytes], object],
    host: Callable[[], Host],
    timeout: float = math.inf,
    user: str = "",
    workdir: str | None = None,
    env: Mapping[str, str] | None = None,
) -> int:
    """Run a command in a running container; return its exit code.

    `sink` is given what it prints, as it comes: STDOUT or STDERR, and bytes. After `timeout`
    seconds, or an interrupt, the command is killed: the engine's exec has no timeout of its own.
    `host` is looked for only where there is something to kill.
    Raises ExecTimeoutError and the SDK's errors.
    """
    created = api.exec_create(container, command, user=user, workdir=workdir, environment=env)["Id"]
    began = time.monotonic()
    stream: FrameStream | None = None
    try:
        stream = FrameStream(api.exec_start(created, socket=True))
        for which, data in stream.frames(timeout=timeout):
            sink(which, data)
        left = timeout - time.monotonic() + began
        return _exit_code(api, created, min(max(left, NOTED), LATE))
    except (TimeoutError, WaitTimeoutError) as err:
        alive = _end(api, created, container, host, began)
        raise ExecTimeoutError(
            f"The command ran for more than {timeout:g} s and "
            + (f"could not be killed: {alive}." if alive else "was killed."),
            timeout=timeout,
            seen=repr(command),
            do="remove the container, which ends all that is in it; `labkit doctor` tells more"
            if alive
            else "give it more time with `timeout=`, or end it yourself",
        ) from err
    except BaseException as err:
        # An interrupt. An error is the engine's own, which began nothing, or has gone.
        if not isinstance(err, Exception) and (alive := _end(api, created, container, host, began)):
            err.add_note(f"The command still runs in the container: {alive}.")
        raise
    finally:
        if stream is not None:
            stream.close()


def _exit_code(api: Any, created: str, timeout: float) -> int:
    """The stream can end a moment before the engine has noted the exit, or long before it."""
    ended: dict[str, Any] = {}

    def has_ended() -> bool:
        ended.update(api.exec_inspect(created))
        return ended["ExitCode"] is not None and not ended["Running"]

    wait_until(has_ended, timeout=timeout, what="the end of the command", interval=0.005)
    return int(ended["ExitCode"])


def _end(api: Any, created: str, container: str, host: Callable[[], Host], began: float) -> str:
    """Why the command could not be killed; nothing if it has ended."""
    try:
        end_exec(api, created, container=container, host=host, began=began)
    except LabError as err:
        return f"{err.what.rstrip('.')} ({err.seen})"
    return ""
