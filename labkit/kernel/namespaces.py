"""The namespaces of one process, as the links in /proc/PID/ns name them (man 7 namespaces)."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from labkit.kernel._text import malformed

KINDS: tuple[str, ...] = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")


@dataclass(frozen=True, order=True)
class Namespace:
    """One namespace: two processes are in the same one if kind and inode number are equal."""

    kind: str
    inode: int

    def __str__(self) -> str:
        return f"{self.kind}:[{self.inode}]"

    @classmethod
    def parse(cls, text: str) -> Namespace:
        """Parse `net:[4026531833]`, what `readlink /proc/PID/ns/net` prints.

        Raises `BadValueError` where the text has another form or names no kind of `KINDS`.
        """
        return _parsed(text)


@functools.lru_cache(maxsize=4096)
def _parsed(text: str) -> Namespace:
    """Kept, because a machine's processes share most of their namespaces."""
    match = re.fullmatch(r"([a-z]+):\[([0-9]+)\]", text)
    if match is None or match[1] not in KINDS:
        raise malformed("a namespace such as net:[4026531833]", text)
    return Namespace(match[1], int(match[2]))


class Namespaces(Mapping[str, Namespace]):
    """The namespaces of one process by kind, in the order of `KINDS`; `lsns -p PID`.

    A kind is absent where its link could not be read or the kernel does not have it.
    """

    __slots__ = ("_by_kind",)
    _by_kind: Mapping[str, Namespace]

    def __init__(self, namespaces: Mapping[str, Namespace]) -> None:
        by_kind = {kind: namespaces[kind] for kind in KINDS if kind in namespaces}
        object.__setattr__(self, "_by_kind", MappingProxyType(by_kind))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"Namespaces are frozen: cannot set {name}")

    @classmethod
    def from_links(cls, links: Mapping[str, str]) -> Namespaces:
        """Build from `{"net": "net:[4026531833]", ...}`, names and targets of /proc/PID/ns/*.

        Names not in `KINDS` are left out: pid_for_children and time_for_children are of the
        children. Raises `BadValueError` where a target is malformed or of another kind.
        """
        found = {}
        for name, target in links.items():
            if name in KINDS:
                found[name] = Namespace.parse(target)
                if found[name].kind != name:
                    raise malformed(f"a namespace of kind {name}", target)
        return cls(found)

    def __getitem__(self, kind: str) -> Namespace:
        return self._by_kind[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_kind)

    def __len__(self) -> int:
        return len(self._by_kind)

    def __hash__(self) -> int:
        return hash(tuple(self._by_kind.values()))

    def __repr__(self) -> str:
        return f"Namespaces({', '.join(map(str, self._by_kind.values()))})"

    def shared_with(self, other: Namespaces) -> frozenset[str]:
        """Return the kinds of which both processes are in the same namespace."""
        return frozenset(kind for kind in self if other.get(kind) == self[kind])

    def differs_from(self, other: Namespaces) -> frozenset[str]:
        """Return the kinds, known of both processes, of which they are in different namespaces."""
        return frozenset(kind for kind in self if kind in other and other[kind] != self[kind])
