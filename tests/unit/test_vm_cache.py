"""What stays in the micro-VM's cache and what goes, on disks of a header and nothing else."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.cli.doctor import vm_cache
from labkit.engine.vm import Image, find_disk, image
from labkit.engine.vm import cache as caches
from labkit.engine.vm.boot import chain
from labkit.engine.vm.snapshot import Snapshot, snapshots_of

RECIPE = image.recipe()
MIB = bytes(1 << 20)


def disk(path: Path, backing: Path | None = None, *, age: int = 0) -> Path:
    """A qcow2 that is an overlay; `age` orders them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    name = os.fsencode(backing) if backing else b""
    head = struct.pack(">4sIQI", b"QFI\xfb", 3, 112 if name else 0, len(name))
    path.write_bytes(head.ljust(112, b"\0") + name)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


class Cache:
    """A cache with an image of this recipe, and what is put into it besides."""

    def __init__(self, place: Path) -> None:
        self.place = place / "cache"
        self.homes = place / "homes"
        self.image = self.an_image(f"{RECIPE}-new")

    def an_image(self, key: str, *, age: int = 0) -> Path:
        return disk(self.place / "images" / key / "disk.qcow2", age=age)

    def prepared(self, base: Path, key: str, *, age: int = 0) -> Path:
        return disk(base.parent / f"prepared-{key}.qcow2", base, age=age)

    def snapshot(self, base: Path, name: str, *, age: int = 0) -> Path:
        made = Snapshot(self.place / "snapshots" / name)
        disk(made.disk, base)
        made.memory.write_bytes(MIB)
        made.state.write_bytes(b"state")
        os.utime(made.state, (1e9 - age, 1e9 - age))
        return made.folder

    def machine(self, name: str, base: Path, *, kept: bool = False) -> Path:
        folder = self.homes / name
        disk(folder / ("kept.qcow2" if kept else "disk.qcow2"), base)
        caches.note_machine(self.place, folder)
        return folder

    def prune(self) -> None:
        newest = image.find_image(self.place)
        assert newest is not None
        caches.prune(self.place, find_disk(newest))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


def test_a_disk_names_what_it_is_built_on(cache: Cache, tmp_path: Path) -> None:
    prepared = cache.prepared(cache.image, "lab")
    snapshot = cache.snapshot(prepared, "one")
    assert chain(snapshot / "disk.qcow2") == [snapshot / "disk.qcow2", prepared, cache.image]
    link = tmp_path / "link.qcow2"
    link.symlink_to(snapshot / "disk.qcow2")
    assert chain(link) == chain(snapshot / "disk.qcow2")
    for content in (b"", b"QFI\xfb", b"not a disk at all" * 64):
        cache.image.write_bytes(content)
        assert chain(prepared) == [prepared, cache.image]


def test_what_is_of_now_stays_and_the_rest_goes(cache: Cache) -> None:
    older = cache.an_image(f"{RECIPE}-old", age=10)
    other = cache.an_image("otherrecipe1-new")
    gone = [
        older.parent,
        other.parent,
        cache.prepared(older, "lab"),
        cache.prepared(cache.image, "before", age=10),
        cache.snapshot(other, "of-another"),
        cache.snapshot(cache.image, "without-lab-images"),
    ]
    lab = cache.prepared(cache.image, "lab")
    stays = [cache.image, lab, *(cache.snapshot(lab, f"s{n}", age=n) for n in range(3))]
    gone.append(cache.snapshot(lab, "least-used", age=9))
    (discarded := cache.snapshot(lab, "discarded")).joinpath("state").unlink()
    cache.prune()
    assert [path for path in stays if not path.exists()] == []
    assert [path for path in (*gone, discarded) if path.exists()] == []


@pytest.mark.parametrize("kept", [False, True])
def test_what_a_machine_is_built_on_stays_until_its_folder_is_gone(
    cache: Cache, kept: bool
) -> None:
    older = cache.an_image(f"{RECIPE}-old", age=10)
    lab = cache.prepared(older, "lab")
    snapshot = cache.snapshot(lab, "old")
    folder = cache.machine("student", lab if kept else snapshot / "disk.qcow2", kept=kept)
    cache.prune()
    assert lab.exists() and older.exists()
    assert snapshot.exists() == (not kept)
    for left in folder.iterdir():
        left.unlink()
    folder.rmdir()
    cache.prune()
    assert not any(path.exists() for path in (lab, older, older.parent, snapshot))
    assert not list((cache.place / "machines").iterdir())
    assert cache.image.exists()


def test_a_machine_that_only_stopped_holds_nothing_and_its_note_stays(cache: Cache) -> None:
    older = cache.an_image("otherrecipe1-old")
    folder = cache.machine("student", older)
    (folder / "disk.qcow2").unlink()  # as a stop does
    cache.prune()
    assert not older.exists()
    assert len(list((cache.place / "machines").iterdir())) == 1


def test_where_a_machine_cannot_be_looked_at_nothing_goes(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = cache.an_image("otherrecipe1-old")
    folder = cache.machine("another-users", older)
    look = Path.iterdir

    def refused(path: Path) -> Iterator[Path]:
        if path == folder:
            raise PermissionError
        return look(path)

    monkeypatch.setattr(Path, "iterdir", refused)
    cache.prune()
    assert older.exists()


def test_the_disk_asked_for_last_is_the_one_to_begin_with(cache: Cache) -> None:
    found = Image(cache.image.parent.name, cache.image.parent)
    assert find_disk(found) == cache.image
    first = cache.prepared(cache.image, "one", age=1)
    assert find_disk(found) == first
    second = cache.prepared(cache.image, "two", age=0)
    assert find_disk(found) == second
    os.utime(first)
    assert find_disk(found) == first


def test_snapshots_are_those_of_their_disk_the_one_used_last_first(cache: Cache) -> None:
    lab = cache.prepared(cache.image, "lab")
    cache.snapshot(cache.image, "plain")
    older, newer = cache.snapshot(lab, "b", age=5), cache.snapshot(lab, "a", age=1)
    assert [one.folder for one in snapshots_of(cache.place, lab)] == [newer, older]


def test_doctor_says_what_it_holds_and_how_it_is_removed(cache: Cache) -> None:
    lab = cache.prepared(cache.image, "lab")
    cache.snapshot(lab, "one"), cache.snapshot(lab, "two")
    folder = cache.machine("student", lab, kept=True)
    said = vm_cache(cache.place)
    assert said["cache"].startswith("2 MiB in ")
    for part in (
        "guest images 0 (1);",
        "prepared disks, with lab images 0 (1);",
        "snapshots to start from 2 (2).",
    ):
        assert part in said["cache"]
    assert f"rm -r {cache.place}" in said["cache's end"]
    assert str(folder / "kept.qcow2") in said["cache's end"]
    assert vm_cache(cache.place / "nowhere") == {
        "cache": f"nothing in {cache.place / 'nowhere'} yet"
    }
