"""Overlays: found as findmnt finds them, and their changes those that `docker diff` tells."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from labkit.errors import HostError, NotFoundError
from labkit.host import Host
from labkit.inspect import Container, read_overlay
from labkit.kernel import overlay_dirs
from labkit.lab import Container as LabContainer
from labkit.lab import Lab

KINDS = "CAD"  # docker's 0, 1, 2
WORKBENCH: dict[str, Any] = {
    "cap_add": ["SYS_ADMIN", "MKNOD"],
    "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
}
# Every way in which a tree can change, in places that both images have.
DEEDS = {
    "nothing": "true",
    "touched and left as it was": "touch -r /etc/passwd /etc/passwd; touch /tmp/x; rm /tmp/x",
    "added": "mkdir -p /new/in/side; echo x >/new/in/side/file; ln -s /nowhere /new/link",
    "changed": "echo x >>/etc/passwd; chmod 600 /etc/group; chown 7 /tmp; touch /etc",
    "deleted": "rm /etc/passwd; rm -r /root",
    "replaced": "rm -r /root; echo x >/root; rm /etc/group; mkdir /etc/group; echo x >/etc/group/y",
    "deleted and made anew": "rm -r /usr/share; mkdir /usr/share; echo x >/usr/share/own",
    "moved": "mv /etc/passwd /etc/moved; mv /root /root2",
    "nested anew": "cp -a /etc /etc2; rm -r /etc; mv /etc2 /etc; mkdir -p /etc/a/b; rm -r /etc/a",
    "special": "mkfifo /pipe; mknod /device c 1 3; mknod /zero c 0 0 || true; "
    "python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('/sock')\" || true",
    "strange names": "touch '/a b' '/\\' \"$(printf '/line\\nbreak')\" \"$(printf '/\\377\\376')\"",
    "rights": "setcap cap_net_raw+ep /usr/bin/curl || true",
    "deep": "p=/deep; for i in $(seq 300); do p=$p/d; done; mkdir -p $p; touch $p/file",
}


@pytest.fixture(params=["local", "probe"])
def host(request: pytest.FixtureRequest, local: Host) -> Host:
    """The host, seen both ways."""
    found: Host = request.getfixturevalue(request.param)
    return found


def told(container: LabContainer) -> list[str]:
    """What the engine says; its JSON has no names that are not UTF-8."""
    found = container.engine.client.api.diff(container.id) or []
    return sorted(f"{KINDS[one['Kind']]} {one['Path']}" for one in found)


def read(container: Container) -> list[str]:
    """What the upper directory says."""
    names = (str(one) for one in container.changes())
    return sorted(os_bytes(name).decode("utf-8", "replace") for name in names)


def os_bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("image", ["base", "toolbox"])
@pytest.mark.parametrize("deed", DEEDS)
def test_the_changes_are_those_that_the_engine_tells(lab: Lab, deed: str, image: str) -> None:
    box = lab.run(image, name="box", cap_add=["MKNOD"])
    done = box.exec(["sh", "-c", DEEDS[deed]])
    assert done.exit_code == 0, done
    assert read(box) == told(box)
    if deed not in ("nothing", "touched and left as it was", "rights"):
        assert read(box)


def test_one_change_after_the_other(lab: Lab) -> None:
    box = lab.run("toolbox", name="box", cap_add=["MKNOD"])
    for deed, line in DEEDS.items():
        box.exec(["sh", "-c", line])
        assert read(box) == told(box), deed


def test_over_an_image_that_deletes_and_hides(lab: Lab) -> None:
    """Whiteouts and opaque directories in the layers below."""
    lines = [
        "FROM labkit/base",
        "RUN mkdir -p /d/sub /e && echo 1 >/d/a && echo 1 >/d/b && echo 1 >/e/a && echo 1 >/f",
        "RUN rm /d/a && rm -r /e && mkdir /e && echo 2 >/e/b",
        "RUN rm -r /d/sub /f && mkdir /f && echo 3 >/f/in && echo 3 >/d/c",
    ]
    lab.build("layered", "\n".join(lines))
    box = lab.run("layered", name="box")
    assert read(box) == told(box) == []
    line = "echo 4 >/d/a; rm /d/b; echo 4 >/e/a; rm -r /f; mkdir -p /f /d/sub; echo 4 >/f/in"
    box.exec(["sh", "-c", line])
    assert read(box) == told(box)
    assert {"A /d/a", "D /d/b", "A /e/a", "C /f/in", "A /d/sub"} <= set(read(box))


def test_of_a_container_in_every_state(lab: Lab) -> None:
    box = lab.run("base", "sh -c 'echo x >/made; exec sleep 1000'", name="box", start=False)
    assert read(box) == told(box) == []
    box.start()
    box.wait_until(lambda: read(box), what="its first file")
    assert read(box) == told(box) == ["A /made"]
    box.pause()
    assert read(box) == ["A /made"]
    box.unpause()
    box.stop(timeout=0)
    assert read(box) == told(box) == ["A /made"]


def test_of_a_container_that_is_read_only_or_has_mounts(lab: Lab) -> None:
    volume = lab.volume("data")
    box = lab.run(
        "base", name="box", read_only=True, tmpfs={"/tmp": ""}, volumes={volume.docker.id: "/v/w"}
    )
    box.exec("touch /tmp/x /v/w/x /y")
    assert read(box) == told(box) == ["A /v", "A /v/w"]


def test_the_layers_against_findmnt_and_the_engine(host: Host, lab: Lab, local: Host) -> None:
    box = lab.run("toolbox", name="box")
    line = ["findmnt", "--json", "--task", str(box.pid), "--output", "FS-OPTIONS", "/"]
    options = json.loads(local.run(line).stdout)["filesystems"][0]["fs-options"].split(",")
    given = dict(option.partition("=")[::2] for option in options)
    found = read_overlay(host, box.pid, root=host.anchor)
    assert found.upper is not None
    assert found.work is not None
    assert (found.upper.directory, found.work.directory) == (given["upperdir"], given["workdir"])
    lower = given["lowerdir"].split(":")
    assert len(found.lower) == len(lower)
    inodes = [local.stat(one, follow=True)["ino"] for one in lower]
    assert [host.stat(one.place)["ino"] for one in found.lower] == inodes
    assert [one.directory for one in found.lower] == [one.directory for one in box.overlay().lower]
    (mount,) = (one for one in box.mounts() if one.mount_point == "/")
    assert overlay_dirs(mount) is not None
    names = [one.name for one in box.overlay().layers.layers]
    layers = len(lab.image("toolbox").diff_ids)
    assert names == ["upper", "init", *(f"image {n}" for n in range(layers, 0, -1))]
    assert "upper" in repr(box.overlay())


# --- mounted by hand ------------------------------------------------------------------------------

# A tree below, in two layers of which the second hides something of the first.
MAKE = """
set -e
cd /layers
mkdir -p one/d/sub one/e one/g two/d two/e upper work merged before empty
for name in a b c; do echo 1 >one/d/$name; echo 1 >one/g/$name; done
echo 1 >one/d/sub/x; echo 1 >one/e/x; head -c 100000 /dev/zero >one/big
ln one/big one/linked
echo 2 >two/d/b; mknod two/d/a c 0 0; echo 2 >two/e/y
python3 -c "import os; os.setxattr('two/e', 'trusted.overlay.opaque', b'y')"
mount -t overlay overlay -o lowerdir=two:one before
dirs=lowerdir=$PWD/two:$PWD/one,upperdir=$PWD/upper,workdir=$PWD/work
mount -t overlay overlay -o $OPTIONS,$dirs merged
cd merged
"""
BY_HAND = {
    "plain": ("index=off", "rm d/b; echo 3 >d/c; rm -r e; mkdir e; echo 3 >e/z; chmod 600 big"),
    "metadata alone": ("metacopy=on", "chmod 600 big; chown 7 g/a; echo 3 >>g/b; touch d/c"),
    "renamed": (
        "redirect_dir=on",
        "mv d d2; rm d2/c; echo 3 >d2/new; mkdir d; echo 3 >d/own; mv d2/sub g/moved; mv g g2; "
        "mv e e2; mv e2/y y",
    ),
    "renamed onto the old": ("redirect_dir=on", "mv g x; mv d g; mv x d; rm g/b"),
    "both": ("metacopy=on,redirect_dir=on", "mv d/sub sub; chmod 700 linked; mv big g/big; mv g h"),
    "an index": ("index=on", "echo 3 >>linked; rm big; ln linked d/again"),
}
# By brute force, as the engine does it: two trees, compared path by path.
BRUTE = """
import os, stat, sys
def tree(top):
    found = {}
    for here, dirs, files in os.walk(top):
        for name in dirs + files:
            path = os.path.join(here, name)
            s = os.lstat(path)
            still = (s.st_mode, s.st_uid, s.st_gid, s.st_rdev)
            found[path[len(top):]] = (still if stat.S_ISDIR(s.st_mode)
                                      else still + (s.st_size, s.st_mtime_ns))
    return found
old, new = tree("before"), tree("merged")
told = {p: "A" for p in new if p not in old} | {p: "C" for p in new if old.get(p, new[p]) != new[p]}
told |= {p: "D" for p in old if p not in new
         and (os.path.dirname(p) == "/" or stat.S_ISDIR(new.get(os.path.dirname(p), (0,))[0]))}
for path in list(told):
    while (path := os.path.dirname(path)) != "/":
        told.setdefault(path, "C")
print("\\n".join(sorted(f"{kind} {path}" for path, kind in told.items())))
"""


def by_brute_force(bench: LabContainer) -> list[str]:
    done = bench.exec(["sh", "-c", f"cd /layers; python3 - <<'E'\n{BRUTE}\nE"])
    assert done.exit_code == 0, done
    return sorted(filter(None, done.stdout.split("\n")))


@pytest.fixture
def bench(lab: Lab) -> Iterator[LabContainer]:
    """A container that may mount, with a place that is no overlay itself."""
    volume = lab.volume("layers")
    yield lab.run("toolbox", name="bench", volumes={volume.docker.id: "/layers"}, **WORKBENCH)


@pytest.mark.parametrize("case", BY_HAND)
def test_by_hand_against_the_trees_themselves(bench: LabContainer, host: Host, case: str) -> None:
    options, deed = BY_HAND[case]
    done = bench.exec(["sh", "-c", f"OPTIONS={options}; {MAKE} {deed}"])
    assert done.exit_code == 0, done
    found = read_overlay(host, bench.pid, at="/layers/merged")
    assert [one.name for one in found.layers.layers] == ["upper", "two", "one"]
    assert sorted(str(one) for one in found.changes()) == by_brute_force(bench)


XATTRS = """
cd ..; umount merged before; touch two/d/c; rm -f two/d/a
python3 - <<'E'
import os
os.setxattr("two/d", "trusted.overlay.opaque", b"x")
os.setxattr("two/d/c", "trusted.overlay.whiteout", b"")
E
mount -t overlay overlay -o lowerdir=two:one before
mount -t overlay overlay -o lowerdir=two:one,upperdir=upper,workdir=work merged
echo 3 >merged/d/c; rm merged/d/a merged/d/b
"""


def test_deleted_by_an_attribute(bench: LabContainer, host: Host) -> None:
    """Linux 6.7: below, a whiteout may be an empty file, in a directory that says so."""
    done = bench.exec(["sh", "-c", f"OPTIONS=index=off; {MAKE} {XATTRS}"])
    assert done.exit_code == 0, done
    found = read_overlay(host, bench.pid, at="/layers/merged")  # mounted with relative names
    changes = sorted(str(one) for one in found.changes())
    assert {"A /d/c", "D /d/a", "D /d/b"} <= set(changes)
    assert changes == by_brute_force(bench)


def test_an_overlay_without_an_upper_layer_changes_nothing(bench: LabContainer, host: Host) -> None:
    bench.exec(["sh", "-c", f"OPTIONS=index=off; {MAKE}"])
    found = read_overlay(host, bench.pid, at="/layers/before/")
    assert found.upper is None
    assert list(found.changes()) == []


# --- bad input ------------------------------------------------------------------------------------


def test_where_there_is_none(lab: Lab) -> None:
    box = lab.run("base", name="box", tmpfs={"/tmp": ""})
    with pytest.raises(NotFoundError, match="no overlay at '/tmp'") as raised:
        box.overlay(at="/tmp")
    assert "tmpfs" in raised.value.seen
    with pytest.raises(NotFoundError, match="no overlay at '/nowhere'"):
        box.overlay(at="/nowhere")


def test_layers_that_have_gone(bench: LabContainer) -> None:
    bench.exec(["sh", "-c", f"OPTIONS=index=off; {MAKE}"])
    bench.exec("mv /layers/one /layers/elsewhere")
    with pytest.raises(NotFoundError, match="not where they were") as raised:
        bench.overlay(at="/layers/merged")
    assert "/layers/one" in raised.value.seen


def test_a_container_that_goes_between_two_reads(lab: Lab) -> None:
    box = lab.run("base", name="box")
    box.exec(["sh", "-c", "mkdir /m; cd /m; for i in $(seq 2000); do echo >$i; done"])
    changes = box.changes()
    assert str(next(changes)) == "A /m"
    box.remove()
    with pytest.raises(NotFoundError, match="box"):
        list(changes)


def test_an_overlay_that_goes_between_two_reads(bench: LabContainer, host: Host) -> None:
    bench.exec(["sh", "-c", f"OPTIONS=index=off; {MAKE} for i in $(seq 2000); do echo >$i; done"])
    changes = read_overlay(host, bench.pid, at="/layers/merged").changes()
    next(changes)
    bench.remove()
    with pytest.raises(HostError):
        list(changes)


def test_many_files_take_no_more_memory_than_few(lab: Lab, host: Host) -> None:
    box = lab.run("base", name="box")

    def peak(count: int) -> int:
        box.exec(["sh", "-c", f"mkdir -p /m; cd /m; for i in $(seq {count}); do echo >$i; done"])
        overlay = read_overlay(host, box.pid, root=host.anchor)
        tracemalloc.start()
        found = sum(1 for _ in overlay.changes())
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found == count + 1
        return most

    few = peak(2000)
    assert peak(20_000) < few + (1 << 20)
