"""Run a command in a container, with an end to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.errors import ExecTimeoutError, LabError
from labkit.inspect import read_processes
from labkit.sdk import STDERR, STDOUT, FrameStream
from labkit.waiting import wait_until

if TYPE_CHECKING:
    from labkit.host import Host


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
    host: Host,
    timeout: float,
    user: str,
    workdir: str | None,
    env: Mapping[str, str] | None,
) -> Output:
    """Run a command in a running container, and kill it after `timeout` seconds.

    The engine's exec has no timeout of its own. Raises ExecTimeoutError and the SDK's errors.
    """
    created = api.exec_create(container, command, user=user, workdir=workdir, environment=env)["Id"]
    stream = FrameStream(api.exec_start(created, socket=True))
    output = {STDOUT: b"", STDERR: b""}
    try:
        for which, data in stream.frames(timeout=timeout):
            output[which] += data
    except TimeoutError as err:
        _kill_tree(host, api.exec_inspect(created)["Pid"])
        raise ExecTimeoutError(
            f"The command ran for more than {timeout:g} s and was killed.",
            seen=f"{command!r}, which had printed {output[STDOUT][-200:]!r}",
            do="give it more time with `timeout=`, or end it yourself",
        ) from err
    finally:
        stream.close()
    # The stream can end a moment before the engine has noted the exit.
    ended: dict[str, Any] = {}

    def has_ended() -> bool:
        ended.update(api.exec_inspect(created))
        return ended["ExitCode"] is not None and not ended["Running"]

    wait_until(has_ended, timeout=timeout, what=f"the end of {command!r}", interval=0.005)
    stdout, stderr = (data.decode(errors="replace") for data in output.values())
    return Output(int(ended["ExitCode"]), stdout, stderr)


def _kill_tree(host: Host, pid: int) -> None:
    doomed = [pid]
    # In the order of their pids, parents come before children, but for a rollover of the pids.
    for child, process in sorted(read_processes(host).items()):
        if process.ppid in doomed:
            doomed.append(child)
    for each in doomed:
        with suppress(LabError):  # it has ended by itself
            host.kill(each, signal="KILL")
