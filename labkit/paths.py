"""Where labkit keeps what outlives a process: one folder, named by `LABKIT_HOME`."""

from __future__ import annotations

import os
from pathlib import Path

SOCKET_PATH_MAX = 107  # bytes, unix(7)
LAID_OUT = ".labkit.json"  # in a folder that `labkit course open` laid out


def home() -> Path:
    """The folder of labkit's state: `$LABKIT_HOME`, else /var/lib/labkit or the user's own.

    Root's engine serves a machine, and may be used by those whom its socket lets in.
    On macOS too, since a Unix socket's path may have 103 bytes there, and tools that come from
    Linux keep to this. Source: Filesystem Hierarchy Standard, /var/lib; XDG Base Directory
    Specification; unix(4) of macOS.
    """
    if chosen := os.environ.get("LABKIT_HOME"):
        return Path(chosen).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/labkit")
    data = os.environ.get("XDG_DATA_HOME") or Path("~/.local/share").expanduser()
    return Path(data) / "labkit"


def work() -> Path:
    """The learner's own folder: `$LABKIT_WORK`, or the nearest that was laid out, else `home()`.

    The nearest: this one, one above it, or `work` in one of these; so it is the same one from
    work/exercises, from the course's exercises/ and from anywhere in the checkout.
    """
    if chosen := os.environ.get("LABKIT_WORK"):
        return Path(chosen).expanduser().absolute()
    here = Path.cwd()
    for above in (here, *here.parents):
        for folder in (above, above / "work"):
            if (folder / LAID_OUT).is_file():
                return folder
    return home()


def sockets() -> Path:
    """The folder of the labs' sockets, which nobody but its owner may enter."""
    return home() / f"labs-{os.geteuid()}"


def cache() -> Path:
    """The folder of what can be made again: `$LABKIT_CACHE`, /var/cache/labkit or the user's own.

    Source: Filesystem Hierarchy Standard, /var/cache; XDG Base Directory, `XDG_CACHE_HOME`.
    """
    if chosen := os.environ.get("LABKIT_CACHE"):
        return Path(chosen).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/cache/labkit")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "labkit"


def images_dir() -> Path:
    """The folder of the lab images' Dockerfiles: the checkout's, else the installed package's."""
    package = Path(__file__).resolve().parent
    beside = package.parent / "images"
    return beside if beside.is_dir() else package / "_images"
