"""The name of the machine, as a process is told it."""

from __future__ import annotations

from labkit.host import Host


def read_hostname(host: Host, pid: int) -> str:
    """The host name in the uts namespace of a process. Shell: `nsenter -t PID -u uname -n`.

    Raises ProcessGoneError, HostPermissionError.
    """
    return host.run(["uname", "-n"], pid=pid, namespaces=["uts"]).stdout.strip()
