from __future__ import annotations

import pytest

from labkit.errors import BadValueError
from labkit.kernel import Mount, OverlayDirs, overlay_dirs, parse_mountinfo

from .conftest import Machine


def by_end(mounts: tuple[Mount, ...], end: str) -> Mount:
    (found,) = (m for m in mounts if m.mount_point.endswith(end))
    return found


def test_container_overlay(machine: Machine) -> None:
    mount = by_end(machine.mounts("container"), "/merged")
    assert overlay_dirs(mount) == OverlayDirs(("lower:one", "lower two"), "upper,dir", "work")


def test_escaped_names(machine: Machine) -> None:
    mount = by_end(machine.mounts("container"), "/a mount")
    assert (mount.fs_type, mount.source, mount.root) == ("tmpfs", "a source", "/")
    assert overlay_dirs(mount) is None


def test_host(machine: Machine) -> None:
    mounts = machine.mounts()
    proc = next(m for m in mounts if m.mount_point == "/proc")
    assert (proc.fs_type, proc.options, proc.super_options) == ("proc", ("rw", "relatime"), ("rw",))
    ids = {m.mount_id for m in mounts}
    assert len(ids) == len(mounts)
    assert by_end(mounts, "/sys").parent_id in ids


def test_the_example_of_the_manual() -> None:
    # man 5 proc_pid_mountinfo
    line = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"
    assert parse_mountinfo(line) == (
        Mount(
            mount_id=36,
            parent_id=35,
            device="98:0",
            root="/mnt1",
            mount_point="/mnt2",
            options=("rw", "noatime"),
            propagation=("master:1",),
            fs_type="ext3",
            source="/dev/root",
            super_options=("rw", "errors=continue"),
        ),
    )


def test_none_one_or_more_optional_fields_and_an_empty_source() -> None:
    text = (
        "1 0 0:1 / / rw - tmpfs  rw\n"
        "2 1 0:2 / /a rw shared:1 master:2 propagate_from:3 - tmpfs - rw\n"
        "3 1 0:3 / /- rw unbindable - tmpfs \\055\\040- rw,a=\\054b\n"
    )
    one, two, three = parse_mountinfo(text)
    assert (one.propagation, one.source) == ((), "")
    assert (two.propagation, two.source) == (("shared:1", "master:2", "propagate_from:3"), "-")
    assert (three.propagation, three.source) == (("unbindable",), "- -")
    assert three.super_options == ("rw", "a=,b")


def test_all_escapes() -> None:
    (mount,) = parse_mountinfo("1 0 0:1 / /a\\040b\\011c\\012d\\134040\\043e rw - tmpfs x rw")
    assert mount.mount_point == "/a b\tc\nd\\040#e"


def test_a_line_ends_only_at_a_newline() -> None:
    (mount,) = parse_mountinfo("1 0 0:1 / /a\r\x0b\x0c\x85\u2028b rw - tmpfs x rw\n")
    assert mount.mount_point == "/a\r\x0b\x0c\x85\u2028b"


def overlay(options: str) -> OverlayDirs | None:
    (mount,) = parse_mountinfo(f"1 0 0:1 / /m rw - overlay overlay {options}")
    return overlay_dirs(mount)


def test_layers_given_one_at_a_time() -> None:
    # As Linux 6.18 shows a mount made with fsconfig(2), of directories named with a colon, a
    # comma and a space, and a backslash.
    found = overlay(
        r"rw,lowerdir+=/t/one:colon,lowerdir+=/t/two\040a\054b,datadir+=/t/back\134slash,"
        r"upperdir=/t/up:per\134\134x,workdir=/t/work,redirect_dir=on,uuid=on,metacopy=on"
    )
    assert found == OverlayDirs(
        ("/t/one:colon", "/t/two a,b", "/t/back\\slash"), "/t/up:per\\x", "/t/work"
    )


def test_a_backslash_in_a_layer_given_alone_is_itself() -> None:
    found = overlay("rw,lowerdir+=/a\\134b")
    assert found == OverlayDirs(("/a\\b",), None, None)


def test_data_only_layers_and_a_read_only_overlay() -> None:
    assert overlay("ro,lowerdir=/a:/b::/c::/d") == OverlayDirs(("/a", "/b", "/c", "/d"), None, None)


def test_backslashes_in_overlay_directories() -> None:
    found = overlay("rw,lowerdir=/a\\134\\134b\\134::/c=d,upperdir=/u\\134:v,workdir=/w")
    assert found == OverlayDirs(("/a\\b:", "/c=d"), "/u:v", "/w")


@pytest.mark.parametrize(
    "line",
    [
        "x",
        "1 0 0:1 / /m rw tmpfs x rw",
        "1 0 0:1 / /m - tmpfs x rw",
        "1 0 0:1 / /m rw - tmpfs x",
        "a 0 0:1 / /m rw - tmpfs x rw",
        "1 b 0:1 / /m rw - tmpfs x rw",
        "1 0 01 / /m rw - tmpfs x rw",
    ],
)
def test_malformed(line: str) -> None:
    with pytest.raises(BadValueError):
        parse_mountinfo(line)
