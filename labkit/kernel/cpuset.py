"""CPUs and memory nodes that a cgroup may use (man 7 cpuset; cgroup-v2.rst "Cpuset")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from labkit.kernel._text import malformed, need

CPUSET_FILES_V1: tuple[str, ...] = ("cpuset.effective_cpus", "cpuset.effective_mems")
CPUSET_FILES_V2: tuple[str, ...] = ("cpuset.cpus.effective", "cpuset.mems.effective")


@dataclass(frozen=True)
class CpusetState:
    """What the cgroup may run on in effect: its own setting, its parents' and what is online.

    `grep allowed_list /proc/PID/status` shows the same of one process.
    """

    cpus: frozenset[int]  # CPU numbers
    mems: frozenset[int]  # memory node numbers


def cpuset_state(files: Mapping[str, str]) -> CpusetState:
    """Make the state from the texts of `CPUSET_FILES_V1` or `CPUSET_FILES_V2`.

    Raises `BadValueError` where one is missing or malformed.
    """
    v1 = "cpuset.effective_cpus" in files
    names = CPUSET_FILES_V1 if v1 else CPUSET_FILES_V2
    texts = [need(files, name, v1=old) for name, old in zip(names, CPUSET_FILES_V1, strict=True)]
    return CpusetState(*map(_parse_list, texts))


def _parse_list(text: str) -> frozenset[int]:
    """Parse the kernel's list format: `0-3,7`."""
    numbers: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        match = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", part)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise malformed("a list of numbers such as 0-3,7", text)
        numbers.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frozenset(numbers)
