"""End what an exec has started: its process, and no other, with all below it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from labkit import labels
from labkit.errors import HostError, LabError, ProcessGoneError, WaitTimeoutError
from labkit.inspect import read_process
from labkit.owner import this_process
from labkit.sdk import translated
from labkit.waiting import wait_until

if TYPE_CHECKING:
    from labkit.host import Host

BEGIN = 1.0  # seconds in which an exec that was asked for has begun to begin
PID = 15.0  # and then has a process: an emulated engine is slow
END = 10.0  # what is killed has ended
CLOCK_TICKS = 100  # a second, as the kernel tells times to programs: man 5 proc_pid_stat
SLACK = 1.0  # seconds by which an age may be told differently

# The same from a shell beside the engine's processes: stopped first, for what is stopped cannot
# fork. $1 is the pid, $2 the container's id.
SCRIPT = r"""
grep -q "$2" "/proc/$1/cgroup" || exit 3
doomed=" " fresh=$1
while [ -n "$fresh" ]; do
    for pid in $fresh; do kill -STOP "$pid"; doomed="$doomed$pid "; done
    fresh=
    for file in /proc/[0-9]*/stat; do
        read -r line < "$file" || continue
        pid=${line%% *}
        set -- ${line##*) }
        case $doomed in *" $2 "*) ;; *) continue ;; esac
        case $doomed in *" $pid "*) ;; *) fresh="$fresh $pid" ;; esac
    done
done
kill -KILL $doomed
"""


def end_exec(
    api: Any, exec_id: str, *, container: str, host: Callable[[], Host], began: float
) -> None:
    """Kill what an exec runs, if it runs; `began`: when it was asked for, on the monotonic clock.

    Where the engine's host cannot be seen, a helper of the container's own image kills it.
    Raises LabError where neither can.
    """
    with translated("see what the exec runs"):
        pid = _pid(api, exec_id)
        if pid is None:
            return
        try:
            seen = host()
        except LabError:  # no toolbox, say
            _end_from_beside(api, container, pid)
        else:
            _end_by_host(api, exec_id, container, seen, pid, began)
        wait_until(
            lambda: not api.exec_inspect(exec_id)["Running"],
            timeout=END,
            what="the killed command to end",
        )


def _pid(api: Any, exec_id: str) -> int | None:
    """The process of an exec as the host numbers it; None if it runs none.

    The engine tells 0 while it is about to start one; and 0, for kill(2), is the caller's group.
    """
    asked, found = time.monotonic(), {}

    def decided() -> bool:
        found.update(api.exec_inspect(exec_id))
        begun = found["Running"] or time.monotonic() - asked < BEGIN
        return bool(found["Pid"]) or found["ExitCode"] is not None or not begun

    wait_until(decided, timeout=PID, what="the process of the exec", interval=0.01)
    return int(found["Pid"]) if found["Running"] and found["Pid"] else None


def _end_by_host(
    api: Any, exec_id: str, container: str, host: Host, pid: int, began: float
) -> None:
    try:
        start = read_process(host, pid).start_time
        groups, uptime = host.read(f"/proc/{pid}/cgroup"), host.read("/proc/uptime")
    except ProcessGoneError:
        return
    # It ran before and after that look: so it was this process, which `end` knows by its start.
    now = api.exec_inspect(exec_id)
    if not now["Running"]:
        return
    age = float(uptime.split()[0]) - start / CLOCK_TICKS
    if now["Pid"] != pid or container not in groups or age > time.monotonic() - began + SLACK:
        raise HostError(
            "The engine names a process that is not the command's.",
            seen=f"process {pid}, {age:.1f} s old, in {groups.splitlines()[-1:]}",
            do="end it yourself",
        )
    with suppress(ProcessGoneError):
        host.end(pid, start=start)


def _end_from_beside(api: Any, container: str, pid: int) -> None:
    """Kill it from a helper container of the same image, which is certainly there."""
    full = api.inspect_container(container)
    helper = api.create_container(
        full["Image"],
        [SCRIPT, "sh", str(pid), full["Id"]],
        entrypoint=["sh", "-c"],
        user="0:0",
        labels={labels.PROBE: "1", labels.OWNER: this_process()},
        host_config=api.create_host_config(
            pid_mode="host",
            userns_mode="host",
            cgroupns="host",
            network_mode="none",
            cap_drop=["ALL"],
            cap_add=["KILL"],
        ),
    )["Id"]
    try:
        api.start(helper)
        state: dict[str, Any] = {}

        def has_ended() -> bool:
            state.update(api.inspect_container(helper)["State"])
            return not state["Running"]

        wait_until(has_ended, timeout=END, what="the helper that kills the command")
        if state["ExitCode"] not in (0, 3):
            raise WaitTimeoutError(
                "The helper could not kill the command.",
                timeout=END,
                seen=f"exit code {state['ExitCode']}: {api.logs(helper).decode()!r}",
                do="remove the container",
            )
    finally:
        api.remove_container(helper, v=True, force=True)
