"""How the exercises of chapter 04 are judged: by what lies in the layers' directories."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from labkit.checks import Evidence, Exercise, Finding, made_from
from labkit.inspect import Container, Overlay, Process, StackedFile, read_mounts, read_overlay

FILES = ("host.conf", "debian_version", "xattr.conf", "pam.conf", "debconf.conf")
DIRECTORIES = ("/usr/share/tabset", "/usr/share/debconf", "/usr/share/base-files", "/etc/skel")
PROGRAMS = ("/usr/bin/tar", "/usr/bin/find", "/usr/bin/curl", "/usr/bin/grep", "/usr/bin/ls")
SHOWN = 4  # lines of a diff in a finding


# --- 04.1 ------------------------------------------------------------------------------------


def _ordered(draw: random.Random) -> dict[str, Any]:
    """A line of each kind, and the lines that follow from them."""
    lines = [f"D /etc/{draw.choice(FILES)}", f"D {draw.choice(DIRECTORIES[:3])}",
             f"C /etc/{draw.choice(['issue', 'login.defs', 'bash.bashrc'])}",
             f"C {draw.choice(['/media', '/mnt', '/opt', '/home'])}",
             f"A /srv/{draw.choice(['note', 'list', 'letter'])}{draw.randrange(10, 99)}",
             "C /etc", "C /srv", "C /usr", "C /usr/share"]  # fmt: skip
    return {"diff": sorted(lines, key=lambda line: line[2:])}


made = Exercise(
    "04.1",
    "A diff to order",
    containers=["made"],
    hints=[
        "Begin with the lines that have no line below them: those of the directories above come "
        "by themselves.",
        "A directory in which nothing was changed is changed when its own record is: its mode, or "
        "its owner. When something was made in it and deleted again, it is not.",
        "`docker exec made chmod g+w /media` and `docker exec made rm -r ...`, for your paths. A "
        "shell that you opened in it may have written its history: look at `docker diff made`.",
    ],
    vary=_ordered,
)


def _diff(container: Container) -> set[str]:
    """As the engine tells it, whatever its storage driver; of a container that runs."""
    _ = container.pid
    told = container.engine.client.api.diff(container.id) or []
    return {f"{'CAD'[one['Kind']]} {one['Path']}" for one in told}


def _some(lines: set[str]) -> str:
    more = f", and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return ", ".join(sorted(lines, key=lambda line: line[2:])[:SHOWN]) + more


@made.criterion("each line of your order is there", points=2)
def _(see: Evidence) -> Finding:
    found, wanted = _diff(see.container("made")), set(see.variant["diff"])
    missing = wanted - found
    other = {line[2:] for line in found} & {line[2:] for line in missing}
    return Finding(
        passed=not missing,
        expected="`docker diff made` has all the lines of your variant",
        observed=f"not there: {_some(missing)}",
        hint=f"{min(other)} is there with another letter: A is new, C is another than in the "
        "image, D is gone"
        if other
        else "C alone is a change of the record: `chmod`, `chown`; A is what the image has not",
    )


@made.criterion("and there is no other", guard=True)
def _(see: Evidence) -> Finding:
    more = _diff(see.container("made")) - set(see.variant["diff"])
    return Finding(
        passed=not more,
        expected="no line that was not ordered",
        observed=f"too much: {_some(more)}",
        hint='undo it, or begin again: `reset("04.1")`. What was copied up can be a line as well, '
        "if it was put back with another time",
    )


@made.criterion("it was started from the image toolbox", guard=True)
def _(see: Evidence) -> Finding:
    return made_from(see, "made", "toolbox")


# --- 04.2 ------------------------------------------------------------------------------------


def _written(draw: random.Random) -> dict[str, Any]:
    return {
        "_deleted": [f"/etc/{name}" for name in draw.sample(FILES, draw.randrange(2, 5))],
        "_anew": draw.choice(DIRECTORIES),
        "_copied": draw.sample(PROGRAMS, 2),
        "_added": draw.randrange(100_000, 900_000),
    }


kept = Exercise(
    "04.2",
    "Read the upper directory",
    containers=["kept"],
    answers=["whiteouts", "opaque", "copied"],
    hints=[
        "`lab.container('kept').overlay().stack()` shows what its layers have, a row for each path "
        "that was written. `limit=` shows more of them.",
        "What was deleted with its directory, which was then made anew, needs no whiteout: the "
        "directory is marked. So lines with a D are not the same as whiteouts.",
        "Of the files that are in `upper` and below, which have another content, which only "
        "another record? `docker diff` does not tell. Compare with a fresh container: `md5sum`.",
    ],
    vary=_written,
    scene=True,
)


def _stacked(see: Evidence) -> tuple[Overlay, tuple[StackedFile, ...]]:
    kept = see.container("kept")
    _ = kept.pid  # it must run
    overlay = kept.overlay()
    return overlay, overlay.stack(limit=5000).files


def _copies(overlay: Overlay, files: tuple[StackedFile, ...]) -> int:
    """Bytes of the files whose copy differs by its record alone: a write changes the time, too."""
    layers, total = overlay.layers, 0
    for one in files:
        below = next((n for n, cell in enumerate(one.cells[1:], 1) if cell), None)
        if one.cells[0] != "file" or below is None:
            continue
        mine, theirs = layers.stats([layers.place((n, one.path)) for n in (0, below)])
        if mine and theirs and all(mine[what] == theirs[what] for what in ("size", "mtime_ns")):
            total += mine["size"]
    return total


@kept.criterion("the number of whiteouts")
def _(see: Evidence) -> Finding:
    given = see.number("whiteouts")
    _, files = _stacked(see)
    count = sum(one.cells[0] == "whiteout" for one in files)
    deleted = sum(line.startswith("D ") for line in _diff(see.container("kept")))
    return Finding(
        passed=given == count,
        expected="how many whiteouts are in the upper directory of kept",
        observed=f"your answer, {given}, is not that",
        hint="that is how many lines of `docker diff` begin with D; a file whose directory was "
        "made anew has no whiteout"
        if given == deleted
        else "a whiteout is a character device 0, 0 in the upper directory",
    )


@kept.criterion("the directory that was made anew")
def _(see: Evidence) -> Finding:
    given = str(see.answer("opaque")).rstrip("/")
    _, files = _stacked(see)
    opaque = [one.path for one in files if one.cells[0] == "opaque"]
    return Finding(
        passed=given in opaque,
        expected="the path, in kept, of a directory that is opaque",
        observed=f"your answer, {given!r}, is not that",
        hint="the picture of the layers names it; give the path as kept sees it, as /etc/skel",
    )


@kept.criterion("the bytes that were copied for nothing")
def _(see: Evidence) -> Finding:
    given = see.number("copied")
    overlay, files = _stacked(see)
    return Finding(
        passed=given == _copies(overlay, files),
        expected="the bytes of the files of the image that were copied up, and are the same",
        observed=f"your answer, {given}, is not that",
        hint="what all of the upper directory holds is more: some of it was added, and some was "
        "changed; in some files only the record is another"
        if given >= _copies(overlay, files)
        else "add up the sizes of all files that are the same as in a fresh container, byte by "
        "byte, and are in the upper directory all the same",
    )


# --- 04.3 ------------------------------------------------------------------------------------

AT = "/shop/merged"


def _facts(draw: random.Random) -> dict[str, Any]:
    may, june = draw.sample(range(20, 80), 2)
    facts = {"may": may, "june": june, "hour": draw.randrange(7, 12),
             "order": draw.randrange(100, 999)}  # fmt: skip
    return {"_facts": facts}


shop = Exercise(
    "04.3",
    "The old prices",
    containers=["shop"],
    volumes=["shop"],
    hints=[
        "Two things are wrong. In a cell with `%%in shop`: `findmnt /shop/merged` says which layer "
        "is above which, and `ls -l /shop/mine` what the shop has written.",
        "The first directory of `lowerdir` is the topmost. And what covers `opening` is in the "
        "upper directory: it was deleted there once, by somebody.",
        "The order is given to `mount`: `umount /shop/merged` first. Then delete the whiteout, a "
        "file in `/shop/mine` like any other, and mount again.",
    ],
    vary=_facts,
    scene=True,
)


def _texts(see: Evidence, *paths: str) -> dict[str, str]:
    """Files of the shop, as its programs see them; those that are there."""
    root = f"/proc/{see.container('shop').pid}/root"
    found = see.host.read_many([f"{root}/shop/{path}" for path in paths])
    return {name.removeprefix(f"{root}/shop/"): text for name, text in found.items()}


def _software(facts: dict[str, int]) -> dict[str, str]:
    return {"may/prices": f"tea {facts['may']}\n", "may/menu": "tea\n",
            "june/prices": f"tea {facts['june']}\n",
            "june/opening": f"from {facts['hour']} o'clock\n"}  # fmt: skip


@shop.criterion("the shop sees the prices and the hours of June", points=2)
def _(see: Evidence) -> Finding:
    software = _software(see.variant["_facts"])
    wanted = {"merged/prices": software["june/prices"], "merged/opening": software["june/opening"],
              "merged/menu": software["may/menu"]}  # fmt: skip
    found = _texts(see, *wanted)
    wrong = [path for path, text in wanted.items() if found.get(path) != text]
    mounted = see.container("shop").mounts().at(AT) is not None
    words = {
        "merged/prices": "the prices",
        "merged/opening": "the hours",
        "merged/menu": "the menu",
    }
    return Finding(
        passed=not wrong,
        expected="prices and opening of June, and the menu, which is in May alone, below "
        "/shop/merged",
        observed=f"not as it must be: {', '.join(words[path] for path in wrong)}"
        if mounted
        else "nothing is mounted at /shop/merged",
        hint="mount it: `mount -t overlay overlay -o lowerdir=...,upperdir=/shop/mine,"
        "workdir=/shop/work /shop/merged`"
        if not mounted
        else "something in the upper directory covers it: `ls -l /shop/mine`"
        if wrong == ["merged/opening"]
        else "which of the two directories is above the other? `findmnt /shop/merged`",
    )


@shop.criterion("they come from the directory of June itself", guard=True)
def _(see: Evidence) -> Finding:
    container = see.container("shop")
    root = f"/proc/{container.pid}/root"
    names = ("prices", "opening")
    wanted = [f"{root}/shop/june/{name}" for name in names]
    mount = container.mounts().at(AT)
    if mount is not None and mount.fs_type == "overlay":
        overlay = container.overlay(at=AT)
        layers = overlay.layers
        seen = {one.path: one.seen for one in overlay.stack(below="/").files}
        found = [layers.place((seen[f"/{name}"][0], f"/{name}"))
                 if seen.get(f"/{name}") else f"{root}{AT}/{name}" for name in names]  # fmt: skip
    else:  # by whatever mounts, it is the same file
        found = [f"{root}{AT}/{name}" for name in names]
    requests = [{"op": "stat", "path": path} for path in (*wanted, *found)]
    facts = [one.get("value") for one in see.host.ask(requests)]
    other = [name for name, a, b in zip(names, facts[:2], facts[2:], strict=True)
             if not a or not b or (a["dev"], a["ino"]) != (b["dev"], b["ino"])]  # fmt: skip
    return Finding(
        passed=not other,
        expected="the very files of /shop/june are seen",
        observed=f"another file is: {', '.join(other)}",
        hint="a copy will be out of date: delete it from the upper directory while nothing is "
        "mounted, so that what is below is seen",
    )


@shop.criterion("what the shop wrote is seen, and it can write more", guard=True)
def _(see: Evidence) -> Finding:
    wanted = f"a pot of tea, number {see.variant['_facts']['order']}\n"
    there = _texts(see, "merged/orders").get("merged/orders", "")
    mount = see.container("shop").mounts().at(AT)
    options = (*mount.options, *mount.super_options) if mount else ("ro",)
    kept_it, writable = there.startswith(wanted), "ro" not in options
    return Finding(
        passed=kept_it and writable,
        expected="orders as the shop wrote it, in a file system that can be written to",
        observed="the orders are not there" if not kept_it else "it is mounted read-only",
        hint="`upperdir=/shop/mine` is where the orders are; `reset` if they are lost"
        if not kept_it
        else "an overlay without an upper directory is read-only: name `upperdir` and `workdir`",
    )


@shop.criterion("the software is as it was delivered", guard=True)
def _(see: Evidence) -> Finding:
    wanted = _software(see.variant["_facts"])
    root = f"/proc/{see.container('shop').pid}/root/shop"
    found = {
        f"{where}/{name}" for where in ("may", "june") for name in see.host.list(f"{root}/{where}")
    }
    texts = _texts(see, *wanted)
    changed = sorted((found - set(wanted)) | {p for p in wanted if texts.get(p) != wanted[p]})
    return Finding(
        passed=not changed,
        expected="/shop/may and /shop/june with their files, and no others",
        observed=f"not as they were: {', '.join(changed)}",
        hint='they are overwritten by the next delivery: `scene("04.3")` sets them up anew; change '
        "how they are mounted",
    )


# --- 04.4 ------------------------------------------------------------------------------------

LAYERS = ("/image/two", "/image/one")
SLEEPERS = ("sleep", "busybox")  # by what the kernel calls a program of that name


def _boxes(draw: random.Random) -> dict[str, Any]:
    names = draw.sample(["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "oak"], 2)
    return {"boxes": {name: draw.randrange(2000, 9000) for name in names}}


rootfs = Exercise(
    "04.4",
    "Your own container: the files",
    containers=["bench"],
    volumes=["rooms"],
    hints=[
        "`unshare --mount sh -c '...'` begins a shell that may mount what nobody else sees. In a "
        'script, `$1` and `$2` are layers and directory; after `shift 2`, `"$@"` is the rest.',
        "The overlay needs three directories in the one that was given: upper, work, and one to "
        "be mounted at. Name them with their whole paths.",
        "`exec chroot DIRECTORY PROGRAM` begins the program in another `/`, and in it.",
        "`exec unshare --mount sh -ec 'mkdir $2/upper $2/work $2/merged; mount -t overlay overlay "
        "-o lowerdir=$1,upperdir=$2/upper,workdir=$2/work $2/merged; cd $2/merged; shift 2; "
        'exec chroot . "$@"\' sh "$@"`',
    ],
    vary=_boxes,
    piece="rootfs",
)


def _programs(see: Evidence) -> dict[str, Process]:
    """The programs of the trial by the name of their box."""
    bench, found = see.container("bench"), {}
    for name, seconds in see.variant["boxes"].items():
        for process in bench.processes():
            if process.comm in SLEEPERS and process.cmdline == ("sleep", str(seconds)):
                found[name] = process
    return found


def _each(
    see: Evidence, expected: str, wrong_with: Callable[[str, Process], str], hint: str
) -> Finding:
    """Of both boxes alike: what is wrong with one, or nothing."""
    found = _programs(see)
    if missing := [name for name in see.variant["boxes"] if name not in found]:
        return Finding(
            passed=False,
            expected=f"`sleep {see.variant['boxes'][missing[0]]}` in bench, started by your piece",
            observed="no such process",
            hint='`trial("04.4")` shows what your piece says; try it by hand in a `%%in bench` '
            "cell: `mkdir /rooms/own; rootfs /image/two:/image/one /rooms/own ls /`",
        )
    wrong = {name: told for name, one in found.items() if (told := wrong_with(name, one))}
    return Finding(
        passed=not wrong,
        expected=expected,
        observed="; ".join(f"{name}: {told}" for name, told in wrong.items()),
        hint=hint,
    )


def _root(see: Evidence, process: Process) -> Overlay | None:
    """The overlay that is mounted at its root directory, if it is another than that of bench."""
    bench = see.container("bench")
    top = bench.mounts().at("/")
    for one in reversed(read_mounts(see.host, process.pid)):
        if one.mount_point == "/":
            if one.fs_type != "overlay" or (top and one.device == top.device):
                return None
            return read_overlay(see.host, process.pid, root=bench.pid)
    return None


def _same_files(see: Evidence, paths: list[str]) -> bool:
    """Whether all paths lead to one directory."""
    answers = see.host.ask([{"op": "stat", "path": path, "follow": True} for path in paths])
    facts = {(one["value"]["dev"], one["value"]["ino"]) for one in answers if "value" in one}
    return len(facts) == 1 and all("value" in one for one in answers)


@rootfs.criterion("its / is an overlay of the layers", points=2)
def _(see: Evidence) -> Finding:
    top = f"/proc/{see.container('bench').pid}/root"

    def told(_: str, process: Process) -> str:
        overlay = _root(see, process)
        if overlay is None:
            return "its / is no overlay of its own"
        places = [layer.place for layer in overlay.lower]
        if len(places) == len(LAYERS) and all(
            _same_files(see, [place, top + layer])
            for place, layer in zip(places, LAYERS, strict=True)
        ):
            return ""
        return f"its lower layers are {', '.join(layer.directory for layer in overlay.lower)}"

    return _each(
        see,
        f"a / below which are {' and '.join(LAYERS)}, in this order",
        told,
        "`lowerdir=` takes the layers as they were given; then `chroot`, to where it is mounted",
    )


@rootfs.criterion("what it writes is kept in its directory")
def _(see: Evidence) -> Finding:
    top = f"/proc/{see.container('bench').pid}/root"
    wanted = {"A /mine", "C /etc", "D /etc/motd"}

    def told(name: str, process: Process) -> str:
        overlay = _root(see, process)
        if overlay is None or overlay.upper is None:
            return "there is nothing that it could write to"
        room, place = f"{top}/rooms/{name}", overlay.upper.directory
        inside = place.startswith(f"/rooms/{name}/") and see.host.list(room)
        if not inside:
            return f"it writes to {place}"
        if (changes := {str(one) for one in overlay.changes()}) != wanted:
            return f"what changed is {', '.join(sorted(changes)) or 'nothing'}"
        return ""

    return _each(
        see,
        "an upper directory below /rooms, in that of the box, with all that the program did",
        told,
        "the second word that your piece is given is the directory; `upperdir` belongs below it",
    )


@rootfs.criterion("it begins in its /")
def _(see: Evidence) -> Finding:
    def told(_: str, process: Process) -> str:
        here = f"/proc/{process.pid}"
        if _root(see, process) is None:
            return "its / is that of bench"
        return "" if _same_files(see, [f"{here}/cwd", f"{here}/root"]) else "it begins elsewhere"

    return _each(
        see,
        "a program whose working directory is its /",
        told,
        "`chroot`, the command, sees to it; the system call does not: it wants a `chdir` as well",
    )


@rootfs.criterion("the workbench and the layers are as they were", guard=True)
def _(see: Evidence) -> Finding:
    bench = see.container("bench")
    top = f"/proc/{bench.pid}/root/image"
    mounted = [one.mount_point for one in bench.mounts() if one.fs_type == "overlay"]
    texts = {"one/etc/release": "layer one\n", "two/etc/release": "layer two\n",
             "one/etc/motd": "delete me\n"}  # fmt: skip
    found = see.host.read_many([f"{top}/{path}" for path in texts])
    changed = [path for path, text in texts.items() if found.get(f"{top}/{path}") != text]
    changed += [f"one/{name}" for name in see.host.list(f"{top}/one") if name not in ("bin", "etc")]
    changed += [f"two/{name}" for name in see.host.list(f"{top}/two") if name != "etc"]
    observed = f"another overlay is mounted at {', '.join(mounted[1:])}"
    if changed:
        observed = f"not as it was: {', '.join(f'/image/{path}' for path in changed)}"
    return Finding(
        passed=len(mounted) == 1 and not changed,
        expected="one overlay in bench, its own /, and layers that nobody has written to",
        observed=observed,
        hint="mount in a mnt namespace of the program's own: `unshare --mount`, before `mount`",
    )
