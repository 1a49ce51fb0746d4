"""Memory use and limits of a cgroup (kernel: cgroup-v1/memory.rst, cgroup-v2.rst "Memory")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labkit.kernel._text import flat_keyed, integer, limit, need

MEMORY_FILES_V1: tuple[str, ...] = (
    "memory.usage_in_bytes",
    "memory.limit_in_bytes",
    "memory.soft_limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    "memory.oom_control",
    "memory.failcnt",
    "memory.max_usage_in_bytes",
)
MEMORY_FILES_V2: tuple[str, ...] = (
    "memory.current",
    "memory.max",
    "memory.low",
    "memory.high",
    "memory.swap.max",
    "memory.events",
    "memory.peak",
)

# No limit in v1 is the largest multiple of the page size in 63 bits; pages have up to 64 KiB.
_V1_UNLIMITED = (1 << 63) - (1 << 16)
_ALL = 9223372036854771712  # what "all memory" is called in v1, with pages of 4 KiB


@dataclass(frozen=True)
class MemoryState:
    """Memory of a cgroup and all below it, in bytes; `docker stats`, `systemd-cgtop`."""

    current: int  # page cache included
    max: int | None  # hard limit; None: no limit
    low: int | None  # v1 soft limit, v2 memory.low (docker --memory-reservation); None: not set
    swap_max: int | None  # swap alone; None: no limit, or the kernel does not count swap
    oom_kills: int | None  # processes killed; None: v1 of Linux before 4.13
    max_events: int | None  # times the use was about to go over the limit
    peak: int | None  # most ever used; None: v2 of Linux before 5.19
    high: int | None = None  # v2 alone: above it, who asks for more is slowed down; None: not set


def memory_state(files: Mapping[str, str]) -> MemoryState:
    """Make the state from the texts of `MEMORY_FILES_V1` or `MEMORY_FILES_V2`, those there are.

    v1 limits memory and swap together: the limit of swap alone is the difference. Raises
    `BadValueError` where a text is malformed or the use or limit is missing (the root of v2).
    """
    if "memory.usage_in_bytes" in files:
        return _state_v1(files)
    low = _number(files, "memory.low", of_max=_ALL)
    events = flat_keyed(files.get("memory.events", ""), name="memory.events")
    v1 = "memory.usage_in_bytes"
    return MemoryState(
        current=integer(need(files, "memory.current", v1=v1), name="memory.current"),
        max=limit(need(files, "memory.max", v1=v1), name="memory.max"),
        low=low or None,
        swap_max=_number(files, "memory.swap.max"),
        oom_kills=events.get("oom_kill"),
        max_events=events.get("max"),
        peak=_number(files, "memory.peak"),
        high=_number(files, "memory.high"),
    )


def memory_stat(text: str) -> dict[str, int]:
    """The lines of memory.stat; v1 has what is below it only in those that begin with `total_`.

    Raises `BadValueError` where the text is malformed.
    """
    return flat_keyed(text, name="memory.stat")


def program_memory(stat: str) -> int:
    """Bytes that programs wrote for themselves, from memory.stat: anonymous and shared memory.

    What the kernel keeps of files, to have it at hand, is not among it: it goes when it must.
    Raises `BadValueError` where the text is malformed.
    """
    found = memory_stat(stat)
    if "anon" in found:
        return found["anon"] + found.get("shmem", 0)
    # v1 counts what is below only in the totals; before Linux 5.4 it had no shared memory.
    return found["total_rss"] + found.get("total_shmem", 0)


def lowest_limit(texts: Iterable[str]) -> int | None:
    """The limit that counts, of a cgroup's own memory.max or limit_in_bytes and those above."""
    limits = [limit(text, name="memory limit") for text in texts]
    return min((n for n in limits if n is not None and n < _V1_UNLIMITED), default=None)


def _state_v1(files: Mapping[str, str]) -> MemoryState:
    def unless_huge(name: str) -> int | None:
        number = _number(files, name)
        return None if number is None or number >= _V1_UNLIMITED else number

    need(files, "memory.limit_in_bytes", v1="memory.limit_in_bytes")
    memory_max = unless_huge("memory.limit_in_bytes")
    both_max = unless_huge("memory.memsw.limit_in_bytes")
    oom = flat_keyed(files.get("memory.oom_control", ""), name="memory.oom_control")
    return MemoryState(
        current=integer(files["memory.usage_in_bytes"], name="memory.usage_in_bytes"),
        max=memory_max,
        low=unless_huge("memory.soft_limit_in_bytes"),
        swap_max=None if memory_max is None or both_max is None else both_max - memory_max,
        oom_kills=oom.get("oom_kill"),
        max_events=_number(files, "memory.failcnt"),
        peak=_number(files, "memory.max_usage_in_bytes"),
    )


def _number(files: Mapping[str, str], name: str, *, of_max: int | None = None) -> int | None:
    if name not in files:
        return None
    number = limit(files[name], name=name)
    return of_max if number is None else number
