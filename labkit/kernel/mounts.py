"""The mounts of a mount namespace, from /proc/PID/mountinfo (man 5 proc_pid_mountinfo)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from labkit.kernel._text import malformed


@dataclass(frozen=True)
class Mount:
    """One mount; all names are unescaped. `findmnt -o +PROPAGATION` shows the same."""

    mount_id: int
    parent_id: int  # of a mount that the reader may not see, for the top of the tree
    device: str  # "major:minor"
    root: str  # the directory of the file system that is mounted here
    mount_point: str  # relative to the root directory of the process
    options: tuple[str, ...]  # of this mount: rw, nosuid, relatime
    propagation: tuple[str, ...]  # shared:N, master:N, propagate_from:N, unbindable; () is private
    fs_type: str
    source: str  # may be empty
    super_options: tuple[str, ...]  # of the file system, whatever shows it


@dataclass(frozen=True)
class OverlayDirs:
    """The directories of an overlay mount, as they were given to mount(2): maybe relative.

    None of `upperdir` and `workdir` means that the mount is read-only.
    """

    lowerdirs: tuple[str, ...]  # the topmost first, data-only layers last
    upperdir: str | None
    workdir: str | None


def parse_mountinfo(text: str) -> tuple[Mount, ...]:
    """Parse a mountinfo, in its order; raise `BadValueError` at a malformed line."""
    return tuple(_parse_line(line) for line in text.split("\n") if line)


def overlay_dirs(mount: Mount) -> OverlayDirs | None:
    """Return the directories of an overlay mount, None of any other; `findmnt -t overlay`.

    Since Linux 6.8 a layer may be given one at a time: `lowerdir+=DIR`, where a colon is just a
    colon. In the other options a backslash takes the meaning from the character after it.
    Documentation/filesystems/overlayfs.rst
    """
    if mount.fs_type != "overlay":
        return None
    lower: list[str] = []
    data: list[str] = []
    single: dict[str, str] = {}
    for option in mount.super_options:
        name, _, value = option.partition("=")
        if name == "lowerdir":
            # "::" comes before data-only layers, hence the empty parts.
            parts = re.findall(r"(?:\\.|[^:\\])+", value, flags=re.DOTALL)
            lower += [_without_backslashes(part) for part in parts]
        elif name == "lowerdir+":
            lower.append(value)
        elif name == "datadir+":
            data.append(value)
        elif name in ("upperdir", "workdir"):
            single[name] = _without_backslashes(value)
    return OverlayDirs(tuple(lower + data), single.get("upperdir"), single.get("workdir"))


def _parse_line(line: str) -> Mount:
    # The optional fields end at a lone hyphen. Split at single spaces: the source may be empty.
    before, hyphen, after = line.partition(" - ")
    fields = before.split(" ")
    rest = after.split(" ", 2)
    if not hyphen or len(fields) < 6 or len(rest) != 3:
        raise malformed("a line of a mountinfo", line)
    if not (
        fields[0].isdecimal() and fields[1].isdecimal() and re.fullmatch(r"\d+:\d+", fields[2])
    ):
        raise malformed("a line of a mountinfo that begins with its ids", line)
    return Mount(
        mount_id=int(fields[0]),
        parent_id=int(fields[1]),
        device=fields[2],
        root=_unescape(fields[3]),
        mount_point=_unescape(fields[4]),
        options=tuple(fields[5].split(",")),
        propagation=tuple(fields[6:]),
        fs_type=_unescape(rest[0]),
        source=_unescape(rest[1]),
        super_options=tuple(_unescape(option) for option in rest[2].split(",")),
    )


def _unescape(text: str) -> str:
    # Space, tab, newline, backslash and, in an option, the comma are written \ooo.
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _without_backslashes(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
