"""Attempts at the exercises of chapter 04, and what their checks must say."""

import os
import subprocess

from labkit import Container, Lab, answer, variant
from labkit.authoring.attempts import right, wrong
from labkit.checks import catalog
from labkit.checks.ledger import student
from labkit.shell.cells import on_host

LINES = "each line of your order is there"
NO_OTHER = "and there is no other"
IMAGE = "it was started from the image toolbox"


def docker(lab: Lab, *words: str) -> None:
    environ = {**os.environ, **lab.environ()}
    subprocess.run(["docker", *words], env=environ, check=True, stdout=subprocess.DEVNULL)


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


@wrong("04.1", fails=IMAGE, hint="first argument")
def an_image_of_ones_own(lab: Lab) -> None:
    lab.build("own", "FROM labkit/toolbox\nENV NOTHING=1\n")
    does(lab.run("own", name="made"), *commands())


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
