"""What each layer of an overlay has at a path, and which of them is seen."""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.inspect.layers import Found, Layers, Spot
from labkit.kernel import Marks, is_whiteout
from labkit.sizes import show_size
from labkit.table import Table, Tabular

if TYPE_CHECKING:
    from labkit.inspect.overlay import Overlay

WORDS = {
    stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link", stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device",
}  # fmt: skip
DELETED, OPAQUE, METADATA, MOVED = "whiteout", "opaque", "metadata", "moved"


@dataclass(frozen=True)
class StackedFile:
    """One path, through all layers."""

    path: str
    seen: tuple[int, ...]  # the layers it is seen from, several for a directory; none: deleted
    cells: tuple[str, ...]  # what each layer has there, the topmost first; "" is nothing


@dataclass(frozen=True, repr=False)
class Stack(Tabular):
    """Some paths of an overlay, and which layer each comes from."""

    at: str  # where the overlay is mounted
    layers: tuple[str, ...]  # names, the topmost first
    writable: bool  # the first of them is an upper layer
    files: tuple[StackedFile, ...]
    left_out: int  # paths that would be too many to show
    held: int  # bytes of the files in the upper layer, as `docker ps --size` counts

    def origin(self, file: StackedFile) -> str:
        """The layer that it is seen from, in a word; a directory may be merged from several."""
        if len(file.seen) > 1:
            return "merged"
        return self.layers[file.seen[0]] if file.seen else "nothing"

    @property
    def caption(self) -> str:
        """What the whole is, in a line."""
        held = f"; the upper layer holds {show_size(self.held)}" if self.writable else ""
        more = f"; {self.left_out} paths more" if self.left_out else ""
        return f"{self.at}: {len(self.files)} paths{more}{held}"

    def table(self) -> Table:
        rows = [(printable(one.path), self.origin(one), *one.cells) for one in self.files]
        return Table(("path", "seen from", *self.layers), rows, self.caption)


def printable(path: str) -> str:
    """A path whose odd characters are told by number."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in path)


def read_stack(overlay: Overlay, *, below: str | None, limit: int) -> Stack:
    """The paths that the upper layer has, or all that are seen or covered below a directory.

    Raises HostError. Shell: `ls -lR` in each of the directories.
    """
    held, wanted, left_out = _held(overlay, limit) if overlay.upper else (0, [], 0)
    if below is not None:
        wanted, left_out = _tree(overlay.layers, posixpath.normpath("/" + below.lstrip("/")), limit)
    return Stack(
        at=overlay.at,
        layers=tuple(layer.name for layer in overlay.layers.layers),
        writable=overlay.upper is not None,
        files=tuple(_stacked(overlay.layers, sorted(wanted, key=lambda one: one.split("/")))),
        left_out=left_out,
        held=held,
    )


def _held(overlay: Overlay, limit: int) -> tuple[int, list[str], int]:
    """Bytes in the upper directory, its first paths, and how many more there are."""
    assert overlay.upper is not None
    top, held, paths, count = overlay.upper.place, 0, list[str](), 0
    linked: set[int] = set()
    with overlay.host.walk(top) as walk:
        for entry in walk:
            if entry.path == top:
                continue
            count += 1
            if len(paths) < limit:
                paths.append(entry.path[len(top) :])
            if entry.type != "directory" and entry.ino not in linked:
                held += entry.size
                if entry.nlink > 1:
                    linked.add(entry.ino)
    return held, paths, count - len(paths)


def _tree(layers: Layers, below: str, limit: int) -> tuple[list[str], int]:
    """The first paths below a directory in any layer, and how many of its own are left out."""
    waiting, found = [below.rstrip("/")], list[str]()
    while waiting:
        directory = waiting.pop(0)
        spots = [(number, directory) for number, _ in layers.top]
        names = layers.names(spots)
        room = max(limit - len(found), 0)
        found += [f"{directory}/{name}" for name in names[:room]]
        if len(names) > room:
            return found, len(names) - room
        stats = layers.stats([layers.place(spot, name) for name in names for spot in spots])
        for index, name in enumerate(names):
            some = stats[index * len(spots) : (index + 1) * len(spots)]
            if any(one and stat.S_ISDIR(one["mode"]) for one in some):
                waiting.append(f"{directory}/{name}")
    return found, 0


def _stacked(layers: Layers, paths: Sequence[str]) -> Iterator[StackedFile]:
    places = [layers.place((number, path)) for path in paths for number, _ in layers.top]
    stats = layers.stats(places)
    marks = iter(layers.marks([place for place, one in zip(places, stats, strict=True) if one]))
    cells = [_word(one, next(marks)) if one else "" for one in stats]
    known: dict[str, tuple[Spot, ...]] = {"": layers.top}
    width = len(layers.top)
    for index, path in enumerate(paths):
        found = _find(layers, path, known)
        seen = () if found is None else tuple(n for n, _ in found.spots) or (found.layer,)
        yield StackedFile(path, seen, tuple(cells[index * width : (index + 1) * width]))


def _find(layers: Layers, path: str, known: dict[str, tuple[Spot, ...]]) -> Found | None:
    """What is seen at a path; `known` are the directories that were found before."""
    parent, _, name = path.rpartition("/")
    if parent not in known:
        above = _find(layers, parent, known)
        known[parent] = above.spots if above else ()
    return layers.find([(known[parent], name)])[0]


def _word(found: Mapping[str, int], mark: Marks) -> str:
    if is_whiteout(found["mode"], found["rdev"]) or mark.whiteout:
        return DELETED
    if mark.redirect is not None:
        return MOVED
    if mark.opaque:
        return OPAQUE
    return METADATA if mark.metacopy else WORDS[stat.S_IFMT(found["mode"])]
