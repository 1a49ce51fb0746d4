from __future__ import annotations

import pytest

from labkit.errors import BadValueError
from labkit.kernel import (
    CgroupEntry,
    Mount,
    cgroup_dirs,
    cgroup_mounts,
    parse_mountinfo,
    parse_proc_cgroup,
)

from .conftest import Machine

V1 = {"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids"}


def test_mounts(machine: Machine) -> None:
    found = cgroup_mounts(machine.mounts())
    assert found.version == machine.name
    assert set(found.v1) == (set() if machine.name == "v2" else V1)
    assert found.v2 == {
        "v1": None, "v2": "/sys/fs/cgroup", "hybrid": "/sys/fs/cgroup/unified",
    }[machine.name]  # fmt: skip


def test_controllers_mounted_together(recorded: type[Machine]) -> None:
    found = cgroup_mounts(recorded("v1").mounts())
    assert found.v1["cpu"] == found.v1["cpuacct"] == "/sys/fs/cgroup/cpu,cpuacct"
    assert found.v1["cpuset"] == "/sys/fs/cgroup/cpuset"


@pytest.mark.parametrize("role", ["host", "container"])
def test_dirs(machine: Machine, role: str) -> None:
    mounts = cgroup_mounts(machine.mounts())
    end = "/labkit-record" if role == "container" else ""
    expected = {controller: at + end for controller, at in mounts.v1.items()}
    if mounts.v2 is not None:
        expected[""] = mounts.v2 + end
    assert cgroup_dirs(machine.entries(role), machine.mounts()) == expected


def test_dirs_exist(machine: Machine) -> None:
    dirs = cgroup_dirs(machine.entries("container"), machine.mounts())
    # The scene kept nothing of the devices controller.
    kept = {c: d for c, d in dirs.items() if c != "devices"}
    assert all((machine.root / directory[1:]).is_dir() for directory in kept.values())


def own(mounts: tuple[Mount, ...]) -> list[Mount]:
    return [m for m in mounts if m.mount_point.endswith("/own-cgroup")]


def test_a_mount_that_shows_only_a_subtree(machine: Machine) -> None:
    mounts = own(machine.mounts("container"))
    (at,) = (m.mount_point for m in mounts)
    key = "" if machine.name == "v2" else "memory"
    assert cgroup_dirs(machine.entries("container"), mounts) == {key: at}
    assert cgroup_dirs(machine.entries("host"), mounts) == {}
    child = CgroupEntry(0, (key,) if key else (), "/labkit-record/child")
    assert cgroup_dirs([child], mounts) == {key: f"{at}/child"}
    sibling = CgroupEntry(0, (key,) if key else (), "/labkit-record-2")
    assert cgroup_dirs([sibling], mounts) == {}


def test_inside_a_cgroup_namespace(machine: Machine) -> None:
    # The host's mounts have the root "/.." there: under what name they show us is not known.
    entries = parse_proc_cgroup(machine.inside("cgroup"))
    assert {entry.path for entry in entries} == {"/"}
    mounts = parse_mountinfo(machine.inside("mountinfo"))
    assert {m.root for m in mounts if m.fs_type.startswith("cgroup")} == {"/", "/.."}
    key = "" if machine.name == "v2" else "memory"
    assert cgroup_dirs(entries, mounts) == {key: own(mounts)[0].mount_point}


@pytest.mark.parametrize(
    ("root", "path", "expected"),
    [
        ("/", "/", "/m"),
        ("/", "/a/b", "/m/a/b"),
        ("/", "/..", None),
        ("/", "/../a", None),
        ("/", "/..a", "/m/..a"),
        ("/a", "/", None),
        ("/..", "/", None),
        ("/..", "/..", "/m"),
        ("/..", "/../a", "/m/a"),
        ("/..", "/../../a", None),
    ],
)
def test_path_and_root(root: str, path: str, expected: str | None) -> None:
    mounts = parse_mountinfo(f"1 0 0:1 {root} /m rw - cgroup2 cgroup2 rw")
    found = cgroup_dirs([CgroupEntry(0, (), path)], mounts)
    assert found == ({} if expected is None else {"": expected})


def test_named_hierarchies_are_no_controllers() -> None:
    named = "1 0 0:1 / /n rw - cgroup cgroup rw,xattr,name=systemd"
    unified = "2 0 0:2 / /u rw - cgroup2 cgroup2 rw"
    assert cgroup_mounts(parse_mountinfo(named)).version == "v1"
    assert cgroup_mounts(parse_mountinfo(f"{named}\n{unified}")).version == "v2"
    entries = parse_proc_cgroup("1:name=systemd:/a\n0::/b\n")
    assert cgroup_dirs(entries, parse_mountinfo(f"{named}\n{unified}")) == {"": "/u/b"}


def test_the_first_mount_that_shows_the_cgroup_counts() -> None:
    mounts = parse_mountinfo(
        "1 0 0:1 /other /0 rw - cgroup cgroup rw,pids\n"
        "2 0 0:1 / /1 rw - cgroup cgroup rw,pids\n"
        "3 0 0:1 / /2 rw - cgroup cgroup rw,pids\n"
    )
    assert cgroup_mounts(mounts).v1 == {"pids": "/0"}
    assert cgroup_dirs(parse_proc_cgroup("1:pids:/a"), mounts) == {"pids": "/1/a"}


def test_no_hierarchy_at_all() -> None:
    with pytest.raises(BadValueError):
        cgroup_mounts(parse_mountinfo("1 0 0:1 / / rw - tmpfs tmpfs rw"))


def test_proc_cgroup() -> None:
    text = "4:cpu,cpuacct:/a:b/c\n1:name=systemd:/\n0::/x\u2028y (deleted)\n"
    assert parse_proc_cgroup(text) == (
        CgroupEntry(4, ("cpu", "cpuacct"), "/a:b/c"),
        CgroupEntry(1, ("name=systemd",), "/"),
        CgroupEntry(0, (), "/x\u2028y (deleted)"),
    )
    assert parse_proc_cgroup("") == ()


@pytest.mark.parametrize("text", ["x", "0:/", "a::/", "0::", "0::relative", "²::/"])
def test_malformed(text: str) -> None:
    with pytest.raises(BadValueError):
        parse_proc_cgroup(text)
