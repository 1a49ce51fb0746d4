"""What an overlay's upper directory changes of what is below it: `docker diff`, from the files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from labkit.errors import HostError
from labkit.host import Entry, Host, Stream, host_error
from labkit.inspect.layers import NOTHING, Found, Layer, Layers, Spot
from labkit.kernel import Change, differs, is_whiteout

AT_ONCE = 256  # entries of the upper directory that are looked at together
CAPABILITY = "security.capability"


def read_changes(host: Host, upper: Layer, lower: Layers) -> Iterator[Change]:
    """The changes, as they are found, in memory that does not grow with their number.

    Raises HostError where the upper directory goes meanwhile. Shell: `docker diff`.
    """
    with host.walk(upper.place) as walk:
        yield from _Comparison(upper, lower).of(walk)
    host.stat(upper.place)  # what is removed while it is walked ends the walk, and is no error


class _Place(NamedTuple):
    """Where an entry of the walk is in the merged tree."""

    entry: Entry
    path: str
    parent: str
    name: str

    @classmethod
    def of(cls, entry: Entry, cut: int) -> _Place:
        path = entry.path[cut:]
        parent, _, name = path.rpartition("/")
        return cls(entry, path, parent, name)


@dataclass(eq=False)
class _Directory:
    """A directory of the merged tree that is in the upper layer, too."""

    path: str  # "" is the top
    parent: _Directory | None
    old: tuple[Spot, ...]  # what was there without the upper layer
    under: tuple[Spot, ...]  # what shows through it: the same, unless it is opaque or redirected
    kind: str  # A, C, or "" as long as nothing tells that it has changed
    told: bool
    whiteouts: bool = False


class _Comparison:
    def __init__(self, upper: Layer, lower: Layers) -> None:
        self._upper = upper
        self._lower = lower
        self._cut = len(upper.place)
        top = lower.top
        self._open = {"": _Directory("", None, top, top, "", told=True)}

    def of(self, walk: Stream[Entry]) -> Iterator[Change]:
        for entry in islice(walk, 1):  # the top itself
            _readable(entry)
        while chunk := list(islice(walk, AT_ONCE)):
            yield from self._of_chunk(chunk)
            # The walk is depth first: what is not above the last entry does not come again.
            last = chunk[-1].path[self._cut :]
            self._open = {path: one for path, one in self._open.items()
                          if path == last or last.startswith(path + "/")}  # fmt: skip

    def _of_chunk(self, chunk: Sequence[Entry]) -> Iterator[Change]:
        places = [_Place.of(entry, self._cut) for entry in chunk]
        waiting = [place for place in places if place.entry.type == "directory"]
        while waiting:  # a directory is looked for in those that its parent was found in
            self._open_all([place for place in waiting if place.parent in self._open])
            waiting = [place for place in waiting if place.path not in self._open]
        # What is in a directory that is new is new, and need not be looked for.
        known = [place for place in places
                 if place.entry.type != "directory" and self._open[place.parent].old]  # fmt: skip
        before = self._lower.find([(self._open[one.parent].old, one.name) for one in known])
        found = {one.path: old for one, old in zip(known, before, strict=True) if old}
        gone = self._marked_deleted(places)
        rights = self._of_other_capabilities(known, found)
        for place in places:
            entry, path = place.entry, place.path
            if entry.type == "directory":
                yield from self._of_directory(self._open[path])
                continue
            old = found.get(path)
            if is_whiteout(entry.mode, entry.rdev) or path in gone:
                kind = "D" if old else ""
            elif old is None:
                kind = "A"
            else:
                kind = "C" if path in rights else _kind(old, entry._asdict())
            if kind:
                parent = self._open[place.parent]
                if not parent.told:
                    yield from self._tell(parent)
                yield Change(path, kind)

    # --- directories ---------------------------------------------------------------------------

    def _open_all(self, places: Sequence[_Place]) -> None:
        """Find what is below some directories of the upper layer."""
        lower, parents = self._lower, [self._open[place.parent] for place in places]
        marks = lower.marks([place.entry.path for place in places])
        rows = list(zip(places, parents, strict=True))
        olds = lower.find([(parent.old, place.name) for place, parent in rows])
        unders = lower.find(
            [(() if parent.under == parent.old else parent.under, p.name) for p, parent in rows]
        )
        for (place, parent), mark, old, seen in zip(rows, marks, olds, unders, strict=True):
            _readable(place.entry)
            under = old if parent.under == parent.old else seen
            if mark.redirect is not None:
                under = lower.redirected(parent.under, mark.redirect)
            elif mark.opaque:
                under = None
            self._open[place.path] = _Directory(
                path=place.path,
                parent=parent,
                old=old.spots if old else (),
                under=under.spots if under else (),
                kind=_kind(old, place.entry._asdict()),
                told=False,
                whiteouts=mark.whiteouts,
            )

    def _of_directory(self, directory: _Directory) -> Iterator[Change]:
        if directory.kind:
            yield from self._tell(directory)
        if directory.under == directory.old:
            return
        # What the upper layer says nothing of, by name, is seen in another way than before.
        names = self._lower.names(list(dict.fromkeys(directory.old + directory.under)))
        mine = self._lower.stats([f"{self._upper.place}{directory.path}/{name}" for name in names])
        left = [name for name, one in zip(names, mine, strict=True) if one is None]
        yield from self._compare(directory, left, directory.under, directory.old)

    def _compare(
        self,
        directory: _Directory,
        names: Sequence[str],
        new: tuple[Spot, ...],
        old: tuple[Spot, ...],
    ) -> Iterator[Change]:
        """Two directories of the layers below, name by name."""
        news = self._lower.find([(new, name) for name in names])
        olds = self._lower.find([(old, name) for name in names])
        for name, now, before in zip(names, news, olds, strict=True):
            path = f"{directory.path}/{name}"
            if now == before:
                continue
            kind = _kind(before, now.stat if now else None)
            if kind and not (now and now.is_directory):
                yield from self._tell(directory)
                yield Change(path, kind)
            if now and now.is_directory:
                below = before.spots if before else ()
                within = _Directory(path, directory, below, now.spots, kind, told=False)
                if kind:
                    yield from self._tell(within)
                all_names = self._lower.names(list(dict.fromkeys(now.spots + below)))
                yield from self._compare(within, all_names, now.spots, below)

    def _tell(self, directory: _Directory | None) -> Iterator[Change]:
        """A directory, and all above it, that have not been told yet: something in them has."""
        untold = []
        while directory is not None and not directory.told:
            directory.told = True
            untold.append(directory)
            directory = directory.parent
        yield from (Change(one.path, one.kind or "C") for one in reversed(untold))

    # --- files ---------------------------------------------------------------------------------

    def _marked_deleted(self, places: Sequence[_Place]) -> set[str]:
        """Whiteouts that an attribute makes of empty files."""
        empty = [one for one in places if one.entry.type == "file" and one.entry.size == 0
                 and self._open[one.parent].whiteouts]  # fmt: skip
        marks = self._lower.marks([one.entry.path for one in empty])
        return {one.path for one, mark in zip(empty, marks, strict=True) if mark.whiteout}

    def _of_other_capabilities(
        self, places: Sequence[_Place], found: Mapping[str, Found]
    ) -> set[str]:
        """Files that are as before, but for the rights that whoever runs them gets."""
        pairs = []
        for one in places:
            old = found.get(one.path)
            if old and one.entry.type == "file" and not _kind(old, one.entry._asdict()):
                spots = self._open[one.parent].old
                spot = next(spot for spot in spots if spot[0] == old.layer)
                pairs.append((one, self._lower.place(spot, one.name)))
        mine = self._lower.xattrs([one.entry.path for one, _ in pairs])
        theirs = self._lower.xattrs([place for _, place in pairs])
        return {
            one.path
            for (one, _), a, b in zip(pairs, mine, theirs, strict=True)
            if a.get(CAPABILITY) != b.get(CAPABILITY)
        }


def _kind(before: Found | None, now: Mapping[str, int] | None) -> str:
    if before is None:
        return "A"
    if now is None:
        return "D"
    return "C" if differs(now, before.stat) else ""


def _readable(entry: Entry) -> None:
    """Raise HostError where a directory was there and could not be opened."""
    if entry.errno and entry.errno not in NOTHING:
        error: HostError = host_error(  # type: ignore[assignment]  # of an errno it is one
            {"op": "walk", "path": entry.path},
            {"errno": entry.errno, "error": os.strerror(entry.errno)},
        )
        raise error
