"""One QEMU process in one folder: started, recognised, ended, by its own pid and nothing else."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil

from labkit.errors import EngineError, EngineGoneError, WaitTimeoutError
from labkit.waiting import wait_until

from .forwarder import WIRE
from .qmp import SOCKET, monitor

PID_FILE = "qemu.pid"
LOG = "qemu.log"
SERIAL = "serial.log"
_LOG_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def spawn(folder: Path, argv: list[str]) -> int:
    """Start QEMU with `folder` as its working directory, wait for its monitor; return its pid."""
    for name in (PID_FILE, SOCKET, WIRE, SERIAL):
        (folder / name).unlink(missing_ok=True)
    # Its own session: Ctrl-C in a terminal and the end of a notebook are not its business.
    number = os.posix_spawn(
        "/bin/sh",
        ["sh", "-c", 'cd "$0" && exec "$@"', str(folder), *argv, "-pidfile", PID_FILE],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(folder / LOG), _LOG_FLAGS, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )

    def monitored() -> bool:
        ended, status = os.waitpid(number, os.WNOHANG)
        if ended:
            raise EngineError(
                f"QEMU ended at once, with status {os.waitstatus_to_exitcode(status)}.",
                seen=log_tail(folder),
                do="`labkit doctor`",
            )
        if not (folder / PID_FILE).exists():
            return False
        try:
            with monitor(folder):
                return True
        except EngineGoneError:  # a socket that is bound is there before it listens
            return False

    wait_until(monitored, timeout=20, what="QEMU's monitor", interval=0.01)
    return number


def gave_up(number: int) -> bool:
    """Whether the QEMU that this process started has ended, or soon does, and nobody killed it."""

    def ended() -> tuple[int, int] | None:
        found = os.waitpid(number, os.WNOHANG)
        return found if found[0] else None

    with suppress(WaitTimeoutError, ChildProcessError):
        _, status = wait_until(ended, timeout=2, what="the end of QEMU") or (0, 0)
        return os.waitstatus_to_exitcode(status) not in (-signal.SIGKILL, -signal.SIGTERM)
    return False


def pid(folder: Path) -> int | None:
    """Return the pid of the QEMU that runs in this folder, or None.

    A pid file may be old and the pid another's by now: the process must be QEMU, and here.
    """
    with suppress(OSError, ValueError, psutil.Error):
        process = _recorded(folder)
        here = Path(process.cwd()).samefile(folder) and "labkit-vm" in process.cmdline()
        if here and process.status() != psutil.STATUS_ZOMBIE:
            return process.pid
    return None


def cpu_seconds(folder: Path) -> float:
    """The CPU time that the QEMU of this folder has used; 0 where it has ended."""
    with suppress(psutil.Error):
        if number := pid(folder):
            times = psutil.Process(number).cpu_times()
            return float(times.user + times.system)
    return 0.0


def kill(folder: Path) -> None:
    """End the QEMU of this folder at once, if there is one, and wait for it to be gone."""
    if number := pid(folder):
        with suppress(psutil.NoSuchProcess):
            psutil.Process(number).kill()
    # Not psutil's wait: where process 1 buries nobody, as in a pod, a zombie stays.
    wait_until(lambda: _has_ended(folder), timeout=10, what="the end of QEMU", interval=0.01)


def wait_ended(folder: Path, *, timeout: float) -> bool:
    """Say whether the QEMU of this folder ended within `timeout` seconds."""
    try:
        wait_until(lambda: _has_ended(folder), timeout=timeout, what="the end of QEMU")
    except WaitTimeoutError:
        return False
    return True


def _has_ended(folder: Path) -> bool:
    """Whether no thread of this folder's QEMU is left: one that ends may still hold the disk."""
    with suppress(OSError, ValueError, psutil.Error):
        process = _recorded(folder)
        # The first thread has ended and others have not: name and threads are all one can read.
        if process.status() == psutil.STATUS_ZOMBIE and process.name().startswith("qemu-system"):
            return process.num_threads() <= 1
    return pid(folder) is None


def _recorded(folder: Path) -> psutil.Process:
    return psutil.Process(int((folder / PID_FILE).read_text()))


def assert_alive(folder: Path) -> None:
    """Raise `EngineGoneError`, with the end of the logs, unless QEMU runs."""
    if pid(folder) is None:
        raise EngineGoneError(
            "The micro-VM has ended.",
            seen=log_tail(folder),
            do=f"look at {folder / SERIAL}; then `labkit engine stop`",
        )


def assert_running(folder: Path) -> None:
    """Raise unless QEMU runs and so does its guest: on a full disk or a bad KVM it stands still."""
    assert_alive(folder)
    with monitor(folder) as qemu:
        status = qemu.command("query-status")
    if not status["running"]:
        raise EngineError(
            "The micro-VM stands still.",
            seen=f"status {status['status']}; {log_tail(folder)}",
            do="io-error: free some room on the disk, then `labkit engine stop`; "
            "internal-error: KVM fails here",
        )


def log_tail(folder: Path) -> str:
    """Return the first lines of QEMU's own log and the last of the guest's serial line."""
    parts = []
    for name, part in ((LOG, slice(2)), (SERIAL, slice(-4, None))):
        with suppress(OSError):
            text = (folder / name).read_text(errors="replace")
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            parts += [f"{name}: {line[:200]}" for line in lines[part]]
    return " | ".join(parts) or "no log"
