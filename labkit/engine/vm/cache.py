"""What the cache holds, who uses it, and the end of what nobody uses.

A machine leaves a note of the folder that its disk is in. A disk names the one that it is an
overlay of, and so on down to an image's: all of them are in use for as long as it is there. Who
makes something, removes it or begins with it holds the lock of the cache meanwhile.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from labkit.lock import locked

from . import boot
from .image import Progress, find_image
from .prepared import PREPARED
from .snapshot import snapshots_of

LOCK_TIMEOUT = 600.0  # seconds: another process may be making all of it
SNAPSHOTS = 3  # of one disk, which stay: machines may differ in memory, accelerator or QEMU


@contextmanager
def held(cache: Path, *, on_progress: Progress) -> Iterator[None]:
    """Hold the lock of the cache."""
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / "lock", timeout=LOCK_TIMEOUT, on_wait=lambda: on_progress("wait", None)):
        yield


def note_machine(cache: Path, folder: Path) -> None:
    """Note that a machine's disks are in this folder; hold the lock."""
    notes = cache / "machines"
    notes.mkdir(exist_ok=True)
    (notes / hashlib.sha256(bytes(folder)).hexdigest()[:16]).write_text(str(folder))


def machine_disks(cache: Path) -> list[Path]:
    """Return the disks of all machines that began with this cache, those of kept ones too."""
    found: list[Path] = []
    for note in (cache / "machines").glob("*"):
        with suppress(FileNotFoundError):
            found += [one for one in Path(note.read_text()).iterdir() if one.suffix == ".qcow2"]
    return found


def prune(cache: Path, disk: Path) -> None:
    """Remove what is not in use, but for this disk, on which machines begin; hold the lock.

    What cannot be looked at, such as another user's, stays, and all that it may be built on.
    """
    images = cache / "images"
    with suppress(OSError), locked(images / "lock", timeout=LOCK_TIMEOUT):  # none is being built
        for note in (cache / "machines").glob("*"):
            try:
                Path(note.read_text()).stat()
            except FileNotFoundError:
                note.unlink()
        begun = [
            disk,
            *machine_disks(cache),
            *(one.disk for one in snapshots_of(cache, disk)[:SNAPSHOTS]),
        ]
        if newest := find_image(cache):
            begun.append(newest.disk)
        used = {one for each in begun for one in boot.chain(each)}
        for prepared in images.glob(f"*/{PREPARED.format(key='*')}"):
            if prepared.resolve() not in used:
                prepared.unlink()
        for folder in (*(cache / "snapshots").glob("*"), *images.glob("*")):
            disks = {one.resolve() for one in folder.glob("*.qcow2")}
            if folder.is_dir() and not disks & used:
                shutil.rmtree(folder, ignore_errors=True)


def cache_contents(cache: Path) -> dict[str, list[int]]:
    """Return the bytes on disk of each thing in the cache, by what it is for."""
    prepared = list(cache.glob(f"images/*/{PREPARED.format(key='*')}"))
    return {
        "guest images": [
            _bytes(*set(folder.rglob("*")) - set(prepared)) for folder in _folders(cache / "images")
        ],
        "prepared disks, with lab images": [_bytes(one) for one in prepared],
        "snapshots to start from": [
            _bytes(*folder.rglob("*")) for folder in _folders(cache / "snapshots")
        ],
    }


def _folders(place: Path) -> list[Path]:
    return [one for one in place.glob("*") if one.is_dir()]


def _bytes(*files: Path) -> int:
    found = 0
    for file in files:
        with suppress(FileNotFoundError):  # removed meanwhile
            found += file.stat().st_blocks * 512
    return found
