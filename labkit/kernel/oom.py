"""Whom the kernel killed because the whole machine had no memory left, from its log (dmesg(1)).

Source: Linux, mm/oom_kill.c, dump_oom_summary.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# A group that has used up its own limit is CONSTRAINT_MEMCG.
_KILLED = re.compile(
    r"^\[ *(\d+\.\d+)\].*oom-kill:constraint=CONSTRAINT_NONE,.*?"
    r"task_memcg=(.*?),task=(.*),pid=(\d+),uid=\d+$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Victim:
    """A process that was killed for want of memory on its machine."""

    at: float  # seconds since the machine booted
    cgroup: str  # "/docker/ID"
    name: str
    pid: int


def parse_victims(log: str) -> list[Victim]:
    """Parse what `dmesg` prints; those killed by a limit of their own control group are left out.

    Shell: `dmesg | grep oom-kill`.
    """
    return [
        Victim(float(at), cgroup, name, int(pid)) for at, cgroup, name, pid in _KILLED.findall(log)
    ]
