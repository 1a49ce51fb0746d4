"""An overlay mount: its layers, where they are, and what its upper directory changes."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labkit.errors import NotFoundError
from labkit.host import Host
from labkit.inspect.changes import read_changes
from labkit.inspect.layers import Layer, Layers
from labkit.inspect.mounts import read_mounts
from labkit.inspect.stack import Stack, read_stack
from labkit.kernel import Change, Mount, OverlayDirs, overlay_dirs
from labkit.table import Table, Tabular

TRUSTED, USER = "trusted.overlay.", "user.overlay."


class Overlay(Tabular):
    """The layers of one overlay, the topmost first; what is merged of them is seen at `at`."""

    def __init__(
        self, host: Host, layers: Sequence[Layer], *, work: Layer | None, at: str,
        prefix: str | None,
    ) -> None:  # fmt: skip
        self.host = host
        self.at = at  # where it is mounted, as those see it who use it
        self.work = work  # the kernel's own, to prepare what appears in the upper directory whole
        self.upper = layers[0] if work else None  # None: nothing can be written
        self.lower = tuple(layers[1:] if work else layers)
        self.layers = Layers(host, layers, prefix=prefix)

    def changes(self) -> Iterator[Change]:
        """What the upper directory changes, as it is found; nothing where there is none.

        Raises HostError. Shell: `docker diff NAME`, for a container's root.
        """
        if self.upper is not None:
            lower = Layers(self.host, self.lower, prefix=self.layers.prefix)
            yield from read_changes(self.host, self.upper, lower)

    def stack(self, *, below: str | None = None, limit: int = 30) -> Stack:
        """What each layer has at the paths that were written, or at all below a directory.

        Raises HostError. Shell: `ls -lR` in each of the layers' directories.
        """
        return read_stack(self, below=below, limit=limit)

    def table(self) -> Table:
        rows = [("merged", self.at)]
        rows += [(one.name, one.directory) for one in self.layers.layers]
        rows += [("work", self.work.directory)] if self.work else []
        return Table(("layer", "directory"), rows)


def read_overlay(
    host: Host, pid: int, *, at: str = "/", root: int | None = None, names: Sequence[str] = ()
) -> Overlay:
    """The overlay that a process sees at a place. Shell: `findmnt --task PID --mountpoint AT`.

    Its layers are named as whoever mounted it sees them: with the root directory of the process
    `root`, by itself this one; a container's root was mounted by the engine, `root=host.anchor`.
    `names` are the layers' names for people. Raises NotFoundError, ProcessGoneError.
    """
    mounts = read_mounts(host, pid)
    at = posixpath.normpath(at)
    mount = next((one for one in reversed(mounts) if one.mount_point == at), None)
    dirs = overlay_dirs(mount) if mount else None
    if mount is None or dirs is None:
        raise no_overlay(at, mount, mounts)
    within = f"/proc/{pid if root is None else root}/root"
    if root == host.anchor:
        within = ""
    bases = ["", posixpath.dirname(at), host.link(f"/proc/{pid}/cwd")]
    prefix = USER if "userxattr" in mount.super_options else TRUSTED
    return _overlay(host, dirs, within=within, bases=bases, at=at, prefix=prefix, names=names)


def overlay_of_driver(host: Host, data: Mapping[str, Any], *, names: Sequence[str]) -> Overlay:
    """The overlay of a container as the engine names it, whether it is mounted or not.

    `data` is what `docker inspect -f '{{json .GraphDriver.Data}}'` prints. Raises NotFoundError.
    """
    if not (data.get("UpperDir") and data.get("WorkDir") and data.get("LowerDir")):
        raise no_overlay("/", None, ())
    dirs = OverlayDirs(tuple(data["LowerDir"].split(":")), data["UpperDir"], data["WorkDir"])
    return _overlay(host, dirs, within="", bases=[""], at="/", prefix=None, names=names)


def _overlay(
    host: Host,
    dirs: OverlayDirs,
    *,
    within: str,
    bases: Sequence[str],
    at: str,
    prefix: str | None,
    names: Sequence[str],
) -> Overlay:
    writable = dirs.upperdir is not None and dirs.workdir is not None
    given = [*([dirs.upperdir] if writable else []), *dirs.lowerdirs]
    given += [dirs.workdir] if writable else []
    found = _found(host, [str(one) for one in given], within=within, bases=bases, at=at)
    count = len(dirs.lowerdirs) + writable
    called = list(names)
    if len(called) == count + 1:  # an engine that has nothing of its own between
        called = [one for one in called if one != "init"]
    if len(called) != count:
        called = _names(found[:count], writable=writable)
    called += ["work"] if writable else []
    layers = [Layer(name, one, within + one) for name, one in zip(called, found, strict=True)]
    work = layers[-1] if writable else None
    return Overlay(host, layers[:count], work=work, at=at, prefix=prefix)


def _found(
    host: Host, given: Sequence[str], *, within: str, bases: Sequence[str], at: str
) -> list[str]:
    """Where the directories are: what was given to mount(2) may be relative, and a link."""
    for base in bases:
        if not base and not all(one.startswith("/") for one in given):
            continue
        found = [posixpath.normpath(posixpath.join(base, one)) for one in given]
        answers = host.ask([{"op": "stat", "path": within + one, "follow": True} for one in found])
        if all("value" in answer for answer in answers):
            break
    else:
        raise NotFoundError(
            f"The layers of the overlay at {at!r} are not where they were when it was mounted.",
            kind="directory",
            name=given[0],
            seen=", ".join(given),
            do="mount it with absolute paths; a directory that was removed, or is hidden below "
            "another mount, cannot be looked into",
        )
    links = host.ask([{"op": "link", "path": within + one} for one in found])
    return [
        posixpath.normpath(posixpath.join(posixpath.dirname(one), answer["value"]))
        if "value" in answer
        else one
        for one, answer in zip(found, links, strict=True)
    ]


def _names(directories: Sequence[str], *, writable: bool) -> list[str]:
    """Names for layers that nobody has named: their directories' own, where those differ."""
    own = [posixpath.basename(one) for one in directories]
    if len(set(own)) == len(own):
        return own
    lower = [f"lower {number}" for number in range(1, len(own) + 1 - writable)]
    return (["upper"] if writable else []) + lower


def no_overlay(at: str, mount: Mount | None, mounts: Sequence[Mount]) -> NotFoundError:
    """The error that says that there is no overlay at a place."""
    there = ", ".join(one.mount_point for one in mounts if one.fs_type == "overlay")
    what = f"a file system of type {mount.fs_type}" if mount else "no mount"
    return NotFoundError(
        f"There is no overlay at {at!r}.",
        kind="overlay",
        name=at,
        seen=f"{what}; overlays are at: {there or 'no place'}",
        do="an engine whose storage driver is another one (`docker info`) keeps its layers in "
        "another way; one that was mounted by hand is there as long as its mount is",
    )
