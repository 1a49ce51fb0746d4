"""How user and group ids of a user namespace map to those outside it (man 7 user_namespaces)."""

from __future__ import annotations

from dataclasses import dataclass

from labkit.kernel._text import malformed


@dataclass(frozen=True)
class IdRange:
    """`count` consecutive ids: `inside` is the first in the namespace, `outside` its image."""

    inside: int
    outside: int
    count: int


@dataclass(frozen=True)
class IdMap:
    """A uid_map or gid_map; with no ranges it has not been written yet and maps nothing.

    "Outside" is the user namespace of whoever read the file, or, where that is the mapped
    namespace itself, its parent.
    """

    ranges: tuple[IdRange, ...]

    def to_outside(self, id: int) -> int | None:
        """Return what the id of the namespace is outside, or None where it is not mapped."""
        for r in self.ranges:
            if r.inside <= id < r.inside + r.count:
                return r.outside + id - r.inside
        return None

    def to_inside(self, id: int) -> int | None:
        """Return what the outside id is in the namespace, or None where it is not mapped.

        The kernel shows an id that is not mapped as /proc/sys/kernel/overflowuid, 65534.
        """
        for r in self.ranges:
            if r.outside <= id < r.outside + r.count:
                return r.inside + id - r.outside
        return None

    @property
    def is_identity(self) -> bool:
        """Whether ids are mapped and each to itself, as in the initial user namespace."""
        return bool(self.ranges) and all(r.inside == r.outside for r in self.ranges)


def parse_id_map(text: str) -> IdMap:
    """Parse /proc/PID/uid_map or gid_map; raise `BadValueError` where it is malformed."""
    ranges = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) != 3 or not all(f.isdecimal() for f in fields):
            raise malformed("a line INSIDE OUTSIDE COUNT of a uid_map", line)
        found = IdRange(*map(int, fields))
        if found.count == 0:
            raise malformed("a line of a uid_map that maps at least one id", line)
        ranges.append(found)
    return IdMap(tuple(ranges))
