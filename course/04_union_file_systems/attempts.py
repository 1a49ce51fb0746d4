"""Attempts at the exercises of chapter 04, and what their checks must say."""

import os

from labkit import Container, Lab, answer, piece, trial, variant
from labkit.authoring.attempts import docker, right, wrong
from labkit.checks import catalog
from labkit.checks.ledger import student
from labkit.shell.cells import on_host

LINES = "each line of your order is there"
NO_OTHER = "and there is no other"
IMAGE = "it was started from the image toolbox"


def paths(kind: str) -> list[str]:
    """Those of the order that have no line below them."""
    lines = variant("04.1").diff
    return [line[2:] for line in lines if line.startswith(kind)
            and not any(other[2:].startswith(f"{line[2:]}/") for other in lines)]  # fmt: skip


def commands() -> list[str]:
    return [f"rm -r {' '.join(paths('D'))}", f"chown 5 {' '.join(paths('C'))}",
            f"mkdir {' '.join(paths('A'))}"]  # fmt: skip


def does(container: Container, *lines: str) -> None:
    done = container.exec(["sh", "-ec", "; ".join(lines)])
    assert done.exit_code == 0, done


@right("04.1")
def by_the_command_line(lab: Lab) -> None:
    docker(lab, "run", "-d", "--name", "made", "labkit/toolbox")
    for line in commands():
        docker(lab, "exec", "made", *line.split())


@right("04.1")
def as_it_starts(lab: Lab) -> None:
    line = "; ".join([*commands(), "echo done; exec sleep 1000"])
    made = lab.run("toolbox", ["sh", "-ec", line], name="made")
    made.wait_log("done")


@right("04.1")
def with_detours(lab: Lab) -> None:
    """What is made and deleted again leaves no line; nor does a copy that is as before."""
    made = lab.run("toolbox", name="made")
    does(made, *commands(), "touch /var/x; rm /var/x", "touch -r /bin/tar /bin/tar",
         "chmod g+w /opt; chmod g-w /opt")  # fmt: skip


@wrong("04.1", fails=LINES, hint="C alone")
def the_directory_was_touched_alone(lab: Lab) -> None:
    made = lab.run("toolbox", name="made")
    file, directory = sorted(paths("C"), key=lambda path: not path.startswith("/etc"))
    does(made, commands()[0], commands()[2], f"chmod o-r {file}",
         f"touch {directory} {directory}/x; rm {directory}/x")  # fmt: skip


@wrong("04.1", fails=[LINES, NO_OTHER], hint="another letter")
def deleted_and_made_anew(lab: Lab) -> None:
    made = lab.run("toolbox", name="made")
    file = next(path for path in paths("D") if path.startswith("/etc"))
    does(made, *commands(), f"echo anew >{file}")


@wrong("04.1", fails=NO_OTHER, hint="undo it")
def a_note_too_many(lab: Lab) -> None:
    does(lab.run("toolbox", name="made"), *commands(), "echo all is well >/tmp/note")


@wrong("04.1", fails=NO_OTHER, hint="another time")
def changed_and_put_back(lab: Lab) -> None:
    does(lab.run("toolbox", name="made"), *commands(), "cp /bin/tar /dev/shm/tar",
         "cp /dev/shm/tar /bin/tar")  # fmt: skip


@wrong("04.1", fails=[LINES, IMAGE], hint="first argument")
def another_image(lab: Lab) -> None:
    """It has none of the files."""
    lab.run("base", name="made")


@wrong("04.1", fails=LINES)
def nothing_done_yet(lab: Lab) -> None:
    lab.run("toolbox", name="made")


# --- 04.2 ------------------------------------------------------------------------------------

WHITEOUTS = "the number of whiteouts"
OPAQUE = "the directory that was made anew"
COPIED = "the bytes that were copied for nothing"


def what_was_done() -> dict[str, object]:
    """What the scene did: the truth, from the other end."""
    return catalog.find("04.2").variant(student())


def truth(lab: Lab) -> dict[str, object]:
    own = what_was_done()
    copied = own["_copied"]
    assert isinstance(copied, list)
    deleted = own["_deleted"]
    assert isinstance(deleted, list)
    sizes = lab.container("kept").exec(["stat", "-c", "%s", *copied]).stdout.split()
    return {"whiteouts": len(deleted), "opaque": own["_anew"], "copied": sum(map(int, sizes))}


@right("04.2")
def from_what_was_done(lab: Lab) -> None:
    answer("04.2", **truth(lab))


@right("04.2")
def as_texts(lab: Lab) -> None:
    found = truth(lab)
    answer("04.2", whiteouts=str(found["whiteouts"]), copied=f" {found['copied']} ",
           opaque=f"{found['opaque']}/")  # fmt: skip


@wrong("04.2", fails=WHITEOUTS, hint="begin with D")
def lines_of_docker_diff(lab: Lab) -> None:
    kept = lab.container("kept")
    deleted = [one for one in kept.changes() if one.kind == "D"]
    answer("04.2", **{**truth(lab), "whiteouts": len(deleted)})


@wrong("04.2", fails=COPIED, hint="some of it was added")
def all_that_it_holds(lab: Lab) -> None:
    held = lab.container("kept").overlay().stack().held
    answer("04.2", **{**truth(lab), "copied": held})


@wrong("04.2", fails=[OPAQUE, COPIED])
def a_place_on_the_host(lab: Lab) -> None:
    upper = lab.container("kept").overlay().upper
    assert upper is not None
    answer("04.2", **{**truth(lab), "opaque": f"{upper.directory}{what_was_done()['_anew']}",
                      "copied": 0})  # fmt: skip


@wrong("04.2", fails=[WHITEOUTS, OPAQUE])
def one_answer_is_not_all(lab: Lab) -> None:
    answer("04.2", copied=truth(lab)["copied"])


# --- 04.3 ------------------------------------------------------------------------------------

SEES = "the shop sees the prices and the hours of June"
ITSELF = "they come from the directory of June itself"
WROTE = "what the shop wrote is seen, and it can write more"
SOFTWARE = "the software is as it was delivered"
UMOUNT = "umount /shop/merged"
UPPER = "upperdir=/shop/mine,workdir=/shop/work"
WHITEOUT = "rm -f /shop/mine/opening"


def mount(*lower: str, upper: str = UPPER) -> str:
    layers = ":".join(f"/shop/{one}" for one in lower)
    dirs = ",".join(filter(None, [f"lowerdir={layers}", upper]))
    return f"mount -t overlay overlay -o {dirs} /shop/merged"


def mend(lab: Lab, *lines: str) -> None:
    does(lab.container("shop"), *lines)


@right("04.3")
def from_the_host(lab: Lab) -> None:
    line = "; ".join([UMOUNT, WHITEOUT, mount("june", "may")])
    on_host("", f"nsenter --target $shop --mount --pid sh -ec '{line}'")


@right("04.3")
def with_another_upper_directory(lab: Lab) -> None:
    mend(lab, UMOUNT, "mkdir /shop/own /shop/own/files /shop/own/work",
         "cp -a /shop/mine/orders /shop/own/files/",
         mount("june", "may", upper="upperdir=/shop/own/files,workdir=/shop/own/work"))  # fmt: skip


@right("04.3")
def above_the_old_one(lab: Lab) -> None:
    """Without a umount: what is mounted last is seen. The old upper layer becomes a lower one."""
    above = "upperdir=/shop/upper2,workdir=/shop/work2"
    mend(lab, "mkdir /shop/upper2 /shop/work2", UMOUNT, WHITEOUT, mount("may", "june"),
         mount("mine", "june", "may", upper=above))  # fmt: skip


@wrong("04.3", fails=[SEES, ITSELF], hint="covers it")
def the_order_alone(lab: Lab) -> None:
    mend(lab, UMOUNT, mount("june", "may"))


@wrong("04.3", fails=[SEES, ITSELF], hint="above the other")
def the_whiteout_alone(lab: Lab) -> None:
    mend(lab, UMOUNT, WHITEOUT, mount("may", "june"))


@wrong("04.3", fails=ITSELF, hint="out of date")
def copied_by_hand(lab: Lab) -> None:
    mend(lab, "cp /shop/june/* /shop/merged/")


@wrong("04.3", fails=WROTE, hint="read-only")
def nobody_can_write(lab: Lab) -> None:
    mend(lab, UMOUNT, WHITEOUT, mount("mine", "june", "may", upper=""))


@wrong("04.3", fails=WROTE, hint="where the orders are")
def a_clean_upper_directory(lab: Lab) -> None:
    mend(lab, UMOUNT, "rm -r /shop/mine; mkdir /shop/mine", mount("june", "may"))


@wrong("04.3", fails=SOFTWARE, hint="next delivery")
def one_directory_for_both(lab: Lab) -> None:
    mend(lab, UMOUNT, WHITEOUT, "cp -n /shop/may/menu /shop/june/", mount("june"))


@wrong("04.3", fails=[SEES, ITSELF, WROTE], hint="mount it")
def unmounted(lab: Lab) -> None:
    mend(lab, UMOUNT)


@wrong("04.3", fails=SEES, hint="above the other")
def the_newest_alone(lab: Lab) -> None:
    mend(lab, UMOUNT, WHITEOUT, mount("june"))


# --- 04.4 ------------------------------------------------------------------------------------

ITS_ROOT = "its / is an overlay of the layers"
KEEPS = "what it writes is kept in its directory"
BEGINS = "it begins in its /"
AROUND = "the workbench and the layers are as they were"
MAKE = "mkdir $2/upper $2/work $2/merged"
DIRS = "lowerdir=$1,upperdir=$2/upper,workdir=$2/work"


def tried(script: str) -> None:
    piece("04.4").write(script)
    trial("04.4")


def shell(*lines: str, unshare: str = "exec unshare --mount") -> None:
    tried(f"#!/bin/sh\n{unshare} sh -ec '{'; '.join(lines)}' sh \"$@\"\n")


IN_PYTHON = """
#!/usr/bin/env python3
import ctypes, os, sys, warnings  # what exec needs is not found in the other /
layers, room, *program = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x20000) == 0                                   # CLONE_NEWNS
assert libc.mount(None, b"/", None, 1 << 18 | 1 << 14, None) == 0   # MS_PRIVATE, MS_REC
for name in ("files", "prepared", "root"):
    os.mkdir(f"{room}/{name}")
dirs = f"lowerdir={layers},upperdir={room}/files,workdir={room}/prepared"
root = f"{room}/root".encode()
assert libc.mount(b"overlay", root, b"overlay", 0, dirs.encode()) == 0
os.chroot(root)
os.chdir("/")
os.execvp(program[0], program)
"""


@right("04.4")
def in_python(lab: Lab) -> None:
    tried(IN_PYTHON)


@right("04.4")
def with_pivot_root(lab: Lab) -> None:
    """As the engine does it: the old root goes."""
    shell(MAKE, f"mount -t overlay overlay -o {DIRS} $2/merged", "cd $2/merged", "shift 2",
          "pivot_root . .", "busybox umount -l .", 'exec busybox chroot . "$@"')  # fmt: skip


@right("04.4")
def by_hand_and_without_the_trial_ending(lab: Lab) -> None:
    """The program as a child of the piece: it is not asked who is whose."""
    shell(MAKE, f"mount -t overlay overlay -o {DIRS} $2/merged", "room=$2", "shift 2",
          'chroot $room/merged "$@"; true', unshare="unshare -m")  # fmt: skip


@wrong("04.4", fails=[ITS_ROOT, KEEPS, BEGINS], hint="shows what your piece says")
def it_ends_at_once(lab: Lab) -> None:
    tried("#!/bin/sh\necho no\n")


@wrong("04.4", fails=[ITS_ROOT], hint="as they were given")
def the_wrong_way_round(lab: Lab) -> None:
    dirs = DIRS.replace("$1", "/image/one:/image/two")
    shell(MAKE, f"mount -t overlay overlay -o {dirs} $2/merged", "room=$2", "shift 2",
          'exec chroot $room/merged "$@"')  # fmt: skip


@wrong("04.4", fails=[AROUND], hint="unshare --mount")
def for_all_to_see(lab: Lab) -> None:
    shell(MAKE, f"mount -t overlay overlay -o {DIRS} $2/merged", "room=$2", "shift 2",
          'exec chroot $room/merged "$@"', unshare="exec")  # fmt: skip


@wrong("04.4", fails=[KEEPS], hint="second word")
def in_a_place_of_its_own(lab: Lab) -> None:
    shell("mkdir -p /rooms/mine", "room=$(mktemp -d /rooms/mine/XXXX)",
          "mkdir $room/upper $room/work $room/merged",
          "mount -t overlay overlay -o lowerdir=$1,upperdir=$room/upper,workdir=$room/work "
          "$room/merged", "shift 2", 'exec chroot $room/merged "$@"')  # fmt: skip


@wrong("04.4", fails=[ITS_ROOT, KEEPS, BEGINS])
def a_copy_is_no_overlay(lab: Lab) -> None:
    shell("cp -a /image/one/. /image/two/. $2/", "room=$2", "shift 2", 'exec chroot $room "$@"')


@wrong("04.4", fails=[BEGINS], hint="chdir")
def it_stands_outside(lab: Lab) -> None:
    tried(IN_PYTHON.replace('os.chdir("/")', 'os.chdir(".")'))


@wrong("04.4", fails=[ITS_ROOT, KEEPS, BEGINS, AROUND])
def written_into_the_image(lab: Lab) -> None:
    shell("cp -a /image/two/. /image/one/", "shift 2", 'exec chroot /image/one "$@"')
