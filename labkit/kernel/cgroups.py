"""Which control groups a process is in and where they are mounted (man 7 cgroups).

What the files of a cgroup say is in `memory`, `cpu`, `cpuset`, `pids`, `freezer` and `io`: one
record each, the same for v1 and v2, and the names of the files that it is made from. A file's
name begins with the v1 controller whose directory it is in: `cpuacct.usage` is in `cpuacct`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from labkit.errors import BadValueError
from labkit.kernel._text import malformed
from labkit.kernel.mounts import Mount

# All that v1 ever had: its mounts name theirs among other options, and there will be no more.
_V1_CONTROLLERS = frozenset(
    {"blkio", "cpu", "cpuacct", "cpuset", "devices", "dmem", "freezer", "hugetlb", "memory"}
    | {"misc", "net_cls", "net_prio", "perf_event", "pids", "rdma"}
)


@dataclass(frozen=True)
class CgroupEntry:
    """The cgroup of a process in one hierarchy: a line of /proc/PID/cgroup."""

    hierarchy_id: int  # 0 for v2
    controllers: tuple[str, ...]  # () for v2; ("name=systemd",) for a named hierarchy
    path: str  # from the root of the reader's cgroup namespace; "/.." leads out of it


@dataclass(frozen=True)
class CgroupMounts:
    """Where the hierarchies are mounted; `findmnt -t cgroup,cgroup2`.

    "hybrid": v1 controllers are mounted and a v2 tree too, with or without controllers in it.
    """

    version: Literal["v1", "v2", "hybrid"]
    v1: Mapping[str, str]  # controller -> mount point
    v2: str | None  # mount point


def parse_proc_cgroup(text: str) -> tuple[CgroupEntry, ...]:
    """Parse /proc/PID/cgroup, in its order; raise `BadValueError` at a malformed line."""
    entries = []
    for line in filter(None, text.split("\n")):
        number, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if not (number.isdecimal() and colon and path.startswith("/")):
            raise malformed("a line ID:CONTROLLERS:PATH of a /proc/PID/cgroup", line)
        names = tuple(controllers.split(",")) if controllers else ()
        entries.append(CgroupEntry(int(number), names, path))
    return tuple(entries)


def cgroup_mounts(mounts: Iterable[Mount]) -> CgroupMounts:
    """Find the hierarchies among the mounts; where one is mounted twice, the first counts.

    Raises `BadValueError` where no hierarchy is mounted at all.
    """
    mounts = tuple(mounts)
    v1: dict[str, str] = {}
    v2 = None
    named = False
    for mount in mounts:
        if mount.fs_type == "cgroup2":
            v2 = v2 or mount.mount_point
        elif mount.fs_type == "cgroup":
            named = True
            for controller in _V1_CONTROLLERS.intersection(mount.super_options):
                v1.setdefault(controller, mount.mount_point)
    if not (v1 or v2 or named):
        raise BadValueError(
            "No cgroup hierarchy is mounted here.",
            value=mounts,
            seen="no mount of type cgroup or cgroup2",
            do="Read the mountinfo of a process of the host, such as /proc/1/mountinfo.",
        )
    version: Literal["v1", "v2", "hybrid"] = "v1" if v2 is None else "hybrid" if v1 else "v2"
    return CgroupMounts(version, MappingProxyType(v1), v2)


def cgroup_dirs(entries: Iterable[CgroupEntry], mounts: Iterable[Mount]) -> dict[str, str]:
    """Return the directories of a process's cgroups: v1 controller -> directory, "" -> v2's.

    Entries and mounts must be of one reader: the process's /proc/PID/cgroup and the reader's own
    /proc/self/mountinfo, because both are told from the reader's cgroup namespace. A hierarchy
    is absent where no mount shows the cgroup, and named hierarchies are left out.
    """
    paths: dict[str, str] = {}
    for entry in entries:
        for controller in entry.controllers or ("",):
            paths[controller] = entry.path
    dirs: dict[str, str] = {}
    for mount in mounts:
        if mount.fs_type == "cgroup2":
            shown: Iterable[str] = ("",)
        elif mount.fs_type == "cgroup":
            shown = _V1_CONTROLLERS.intersection(mount.super_options)
        else:
            continue
        for controller in shown:
            if controller in paths and controller not in dirs:
                below = _path_below(mount.root, paths[controller])
                if below is not None:
                    dirs[controller] = (mount.mount_point.rstrip("/") + below) or "/"
    return dirs


def _path_below(root: str, path: str) -> str | None:
    """Return `path` as seen from `root`, "" for the root itself, None where it is not below.

    A mount made outside the reader's cgroup namespace has a root such as "/..": what is below
    that is known only of paths that lead out in the same way (man 7 cgroup_namespaces).
    """
    root, path = root.rstrip("/"), path.rstrip("/")
    if path != root and not path.startswith(root + "/"):
        return None
    below = path[len(root) :]
    return None if below == "/.." or below.startswith("/../") else below
