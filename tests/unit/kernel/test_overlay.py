from __future__ import annotations

import stat

import pytest

from labkit.kernel import Change, Marks, differs, is_whiteout, overlay_marks

FILE = {
    "mode": stat.S_IFREG | 0o644, "uid": 0, "gid": 0, "rdev": 0, "size": 7,
    "mtime_ns": 5_000_000_001,
}  # fmt: skip
DIRECTORY = {**FILE, "mode": stat.S_IFDIR | 0o755}


@pytest.mark.parametrize(
    ("xattrs", "marks"),
    [
        ({}, Marks()),
        ({"trusted.overlay.opaque": "y"}, Marks(opaque=True)),
        ({"user.overlay.opaque": "y"}, Marks(opaque=True)),
        ({"trusted.overlay.opaque": "x"}, Marks(whiteouts=True)),
        ({"trusted.overlay.whiteout": ""}, Marks(whiteout=True)),
        ({"trusted.overlay.redirect": "/a/b"}, Marks(redirect="/a/b")),
        ({"trusted.overlay.metacopy": "", "trusted.overlay.origin": "\0"}, Marks(metacopy=True)),
        ({"user.opaque": "y", "security.capability": "\1", "trusted.overlay.impure": "y"}, Marks()),
        # An overlay whose layer is an overlay: the marks of the inner one mean nothing here.
        ({"trusted.overlay.overlay.opaque": "y"}, Marks()),
    ],
)
def test_marks(xattrs: dict[str, str], marks: Marks) -> None:
    assert overlay_marks(xattrs) == marks


def test_marks_of_one_prefix_alone() -> None:
    both = {"trusted.overlay.opaque": "y", "user.overlay.redirect": "old"}
    assert overlay_marks(both, prefix="trusted.overlay.") == Marks(opaque=True)
    assert overlay_marks(both, prefix="user.overlay.") == Marks(redirect="old")


def test_a_whiteout_is_a_character_device_of_number_0() -> None:
    assert is_whiteout(stat.S_IFCHR, 0)
    assert not is_whiteout(stat.S_IFCHR | 0o666, 0x103)  # /dev/null
    assert not is_whiteout(stat.S_IFBLK, 0)
    assert not is_whiteout(stat.S_IFREG, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"mode": stat.S_IFREG | 0o600},
        {"mode": stat.S_IFLNK | 0o644},
        {"uid": 1},
        {"gid": 1},
        {"rdev": 1},
        {"size": 8},
        {"mtime_ns": 6_000_000_001},
        {"mtime_ns": 5_000_000_002},
    ],
)
def test_a_file_differs(change: dict[str, int]) -> None:
    assert differs({**FILE, **change}, FILE)
    assert not differs(FILE, dict(FILE))


def test_a_time_that_was_cut_to_seconds_is_the_same() -> None:
    assert not differs({**FILE, "mtime_ns": 5_000_000_000}, FILE)
    assert not differs(FILE, {**FILE, "mtime_ns": 5_000_000_000})
    assert differs({**FILE, "mtime_ns": 6_000_000_000}, FILE)


def test_a_directorys_entries_tell_nothing_of_itself() -> None:
    assert not differs({**DIRECTORY, "size": 9, "mtime_ns": 1}, DIRECTORY)
    assert differs({**DIRECTORY, "mode": stat.S_IFDIR | 0o700}, DIRECTORY)


def test_changes_read_like_docker_diff_and_sort_by_path() -> None:
    changes = [Change("/b", "A"), Change("/a/x", "D"), Change("/a", "C")]
    assert [str(one) for one in sorted(changes)] == ["C /a", "D /a/x", "A /b"]
