"""Which program a process runs."""

from __future__ import annotations

from dataclasses import dataclass

from labkit.host import Host


@dataclass(frozen=True)
class Executable:
    """A program by its file: equal for two processes that run the same one, whatever its name."""

    device: int  # of the file system
    inode: int


def read_executable(host: Host, pid: int) -> Executable:
    """The file that a process was made from. Raises ProcessGoneError, HostPermissionError.

    Shell: `stat -L -c '%d %i' /proc/PID/exe`. Source: proc_pid_exe(5).
    """
    found = host.stat(f"/proc/{pid}/exe", follow=True)
    return Executable(found["dev"], found["ino"])
