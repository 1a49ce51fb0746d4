"""What the files in an overlay's layers mean (Documentation/filesystems/overlayfs.rst).

A layer is an ordinary directory. What it says of the layers below it, it says by a character
device of number 0, by extended attributes, and by having a file of the same name.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass

Stat = Mapping[str, int]  # mode, uid, gid, size, rdev, mtime_ns: inode(7)
NAMESPACES = ("trusted.overlay.", "user.overlay.")  # the second where it is mounted `userxattr`
SECOND = 1_000_000_000  # nanoseconds


@dataclass(frozen=True, order=True)
class Change:
    """How a path of the merged tree differs from what is below the upper layer."""

    path: str
    kind: str  # A: added, C: changed, D: deleted; as `docker diff` has it

    def __str__(self) -> str:
        return f"{self.kind} {self.path}"


@dataclass(frozen=True)
class Marks:
    """What the extended attributes of a file in a layer say to the overlay."""

    opaque: bool = False  # a directory: nothing below it shows through
    whiteouts: bool = False  # a directory: empty files in it may be whiteouts, by an attribute
    whiteout: bool = False  # an empty file in such a directory: what is below is deleted
    redirect: str | None = None  # what is below has another path: absolute, or another name
    metacopy: bool = False  # a file's metadata alone: its contents are still below


def overlay_marks(xattrs: Mapping[str, str], *, prefix: str | None = None) -> Marks:
    """The marks among a file's extended attributes; `prefix` is one of `NAMESPACES`, None both.

    Shell: `getfattr --no-dereference -d -m overlay FILE`.
    """
    own = {
        name.removeprefix(one): value
        for one in ([prefix] if prefix else NAMESPACES)
        for name, value in xattrs.items()
        if name.startswith(one)
    }
    return Marks(
        opaque=own.get("opaque") == "y",
        whiteouts=own.get("opaque") == "x",
        whiteout="whiteout" in own,
        redirect=own.get("redirect"),
        metacopy="metacopy" in own,
    )


def is_whiteout(mode: int, rdev: int) -> bool:
    """Whether a file is a character device 0/0, which means: deleted. Shell: `ls -l`."""
    return stat.S_ISCHR(mode) and rdev == 0


def differs(new: Stat, old: Stat) -> bool:
    """Whether a file is another than before: by its type, mode, owner, device, size and time.

    Of a directory, size and time tell only of its entries. A time that an archive has cut to whole
    seconds is equal to one that it was cut from: that is how `docker diff` judges.
    """
    if any(new[name] != old[name] for name in ("mode", "uid", "gid", "rdev")):
        return True
    if stat.S_ISDIR(new["mode"]):
        return False
    return new["size"] != old["size"] or not _same_time(new["mtime_ns"], old["mtime_ns"])


def _same_time(a: int, b: int) -> bool:
    cut = 0 in (a % SECOND, b % SECOND)
    return a == b or (cut and a // SECOND == b // SECOND)
