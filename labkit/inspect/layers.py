"""Directories one above the other, and what is found in them as the overlay looks for it."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.host import Host, host_error
from labkit.kernel import Marks, is_whiteout, overlay_marks

AT_ONCE = 1024  # questions of one request
NOTHING = (errno.ENOENT, errno.ENOTDIR)  # of the kernel's refusals: there is no such file
Spot = tuple[int, str]  # a directory: the number of its layer, and its path there, "" for the top


@dataclass(frozen=True)
class Layer:
    """One directory of an overlay."""

    name: str  # for people: upper, init, image 2, or the directory's own name
    directory: str  # as it was given to mount(2), links followed
    place: str  # where the host reads it: below /proc/PID/root if it is a container's own


@dataclass(frozen=True)
class Found:
    """What is seen at a path through some layers."""

    stat: Mapping[str, int]
    layer: int  # the one that it comes from
    spots: tuple[Spot, ...]  # of a directory: all those whose entries are seen in it

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.stat["mode"])


class Layers:
    """Some layers, the topmost first; it asks a host, for many paths at a time."""

    def __init__(self, host: Host, layers: Sequence[Layer], *, prefix: str | None) -> None:
        self.host = host
        self.layers = tuple(layers)
        self.prefix = prefix  # of the overlay's extended attributes
        self.top: tuple[Spot, ...] = tuple((number, "") for number in range(len(layers)))

    def place(self, spot: Spot, name: str = "") -> str:
        """The path by which the host knows a spot, or a name in it."""
        number, path = spot
        return self.layers[number].place + (path + name if not name else f"{path}/{name}")

    def find(self, wanted: Sequence[tuple[tuple[Spot, ...], str]]) -> list[Found | None]:
        """What is seen under a name in some directories, for each; None if nothing is.

        As the kernel looks: from the top down, to a whiteout, a file or an opaque directory.
        """
        seen = self.stats([self.place(spot, name) for spots, name in wanted for spot in spots])
        found: list[Found | None] = []
        directories: list[tuple[int, list[tuple[Spot, Mapping[str, int]]]]] = []
        at = 0
        for spots, name in wanted:
            there: list[tuple[Spot, Mapping[str, int]]] = []
            for spot, one in zip(spots, seen[at : at + len(spots)], strict=True):
                if one is not None:
                    there.append(((spot[0], f"{spot[1]}/{name}"), one))
                    if not stat.S_ISDIR(one["mode"]):
                        break
            at += len(spots)
            first = there[0] if there else None
            if first is None or is_whiteout(first[1]["mode"], first[1]["rdev"]):
                found.append(None)
            elif not stat.S_ISDIR(first[1]["mode"]):
                found.append(Found(first[1], first[0][0], ()))
            else:
                directories.append((len(found), there))
                found.append(Found(first[1], first[0][0], (first[0],)))
        self._descend(wanted, found, directories)
        return self._without_marked(wanted, found)

    def _descend(
        self,
        wanted: Sequence[tuple[tuple[Spot, ...], str]],
        found: list[Found | None],
        directories: list[tuple[int, list[tuple[Spot, Mapping[str, int]]]]],
    ) -> None:
        """Find all the spots of the directories among what was found."""
        last = len(self.layers) - 1
        asked = [spot for _, there in directories for spot, one in there
                 if stat.S_ISDIR(one["mode"]) and spot[0] < last]  # fmt: skip
        marks = dict(zip(asked, self.marks([self.place(spot) for spot in asked]), strict=True))
        for index, there in directories:
            parent = wanted[index][0]
            spots: list[Spot] = []
            for spot, one in there:
                if not stat.S_ISDIR(one["mode"]):
                    break
                spots.append(spot)
                mark = marks.get(spot, Marks())
                if mark.redirect is not None:
                    below = self.redirected(parent, mark.redirect, below=spot[0])
                    spots += below.spots if below else ()
                    break
                if mark.opaque:
                    break
            head = found[index]
            assert head is not None
            found[index] = Found(head.stat, head.layer, tuple(spots))

    def redirected(
        self, parent: tuple[Spot, ...], redirect: str, *, below: int = -1
    ) -> Found | None:
        """What a redirect in a directory leads to, in the layers below one."""
        if not redirect.startswith("/"):
            return self.find([(tuple(spot for spot in parent if spot[0] > below), redirect)])[0]
        found: Found | None = None
        spots = tuple(spot for spot in self.top if spot[0] > below)
        for name in filter(None, redirect.split("/")):
            found = self.find([(spots, name)])[0]
            if found is None:
                return None
            spots = found.spots
        return found

    def _without_marked(
        self, wanted: Sequence[tuple[tuple[Spot, ...], str]], found: list[Found | None]
    ) -> list[Found | None]:
        """Whiteouts can be empty files too, which an attribute marks."""
        empty = []
        for index, one in enumerate(found):
            if one is not None and stat.S_ISREG(one.stat["mode"]) and one.stat["size"] == 0:
                spots, name = wanted[index]
                spot = next(spot for spot in spots if spot[0] == one.layer)
                empty.append((index, self.place(spot, name)))
        marks = self.marks([place for _, place in empty])
        for (index, _), mark in zip(empty, marks, strict=True):
            if mark.whiteout:
                found[index] = None
        return found

    def names(self, spots: Sequence[Spot]) -> list[str]:
        """All the names in some directories, whiteouts too, sorted."""
        requests = [{"op": "list", "path": self.place(spot)} for spot in spots]
        return sorted({name for value in self._ask(requests) for name in value or ()})

    def stats(self, places: Sequence[str]) -> list[Mapping[str, int] | None]:
        """lstat(2) of many paths; None where there is nothing."""
        return self._ask([{"op": "stat", "path": place} for place in places])

    def marks(self, places: Sequence[str]) -> list[Marks]:
        """The overlay's marks of many paths."""
        return [overlay_marks(one, prefix=self.prefix) for one in self.xattrs(places)]

    def xattrs(self, places: Sequence[str]) -> list[Mapping[str, str]]:
        """The extended attributes of many paths; none where there is nothing."""
        return [one or {} for one in self._ask([{"op": "xattrs", "path": p} for p in places])]

    def _ask(self, requests: Sequence[dict[str, Any]]) -> list[Any]:
        return list(_values(self.host, requests))


def _values(host: Host, requests: Sequence[dict[str, Any]]) -> Iterator[Any]:
    """The answers, some at a time; None where there is no such file."""
    for begin in range(0, len(requests), AT_ONCE):
        some = requests[begin : begin + AT_ONCE]
        for request, answer in zip(some, host.ask(some), strict=True):
            if "value" not in answer and answer.get("errno") not in NOTHING:
                raise host_error(request, answer)
            yield answer.get("value")
