"""The picture of an overlay: every file's layer, and as files are written, followed."""

from __future__ import annotations

import threading
from typing import Any

import psutil
import pytest

from labkit import show
from labkit.errors import NotFoundError
from labkit.inspect import Stack
from labkit.lab import Container, Lab
from labkit.waiting import wait_until

WORKBENCH: dict[str, Any] = {
    "cap_add": ["SYS_ADMIN"],
    "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
}
MAKE = """
set -e
cd /layers; mkdir -p one/d two/d upper work merged; echo 1 >one/d/a; echo 1 >one/d/b
echo 2 >two/d/b; echo 1 >one/c; mkdir one/e; echo 1 >one/e/x
dirs=lowerdir=$PWD/two:$PWD/one,upperdir=$PWD/upper,workdir=$PWD/work
mount -t overlay overlay -o redirect_dir=on,metacopy=on,$dirs merged
cd merged; rm d/a; chmod 700 c; echo 3 >n; mv e f; mkdir e; mkfifo p
"""


@pytest.fixture
def bench(lab: Lab) -> Container:
    """An overlay with everything in it."""
    made = lab.run(
        "toolbox", name="bench", volumes={lab.volume("v").docker.id: "/layers"}, **WORKBENCH
    )
    done = made.exec(["sh", "-c", MAKE])
    assert done.exit_code == 0, done
    return made


def rows(stack: Stack) -> dict[str, tuple[str, ...]]:
    return {one.path: (stack.origin(one), *one.cells) for one in stack.files}


def test_every_files_layer(bench: Container) -> None:
    overlay = bench.overlay(at="/layers/merged")
    assert rows(overlay.stack(below="/")) == {
        "/c": ("upper", "metadata", "", "file"),
        "/d": ("merged", "directory", "directory", "directory"),
        "/d/a": ("nothing", "whiteout", "", "file"),
        "/d/b": ("two", "", "file", "file"),
        "/e": ("upper", "opaque", "", "directory"),
        "/e/x": ("nothing", "", "", "file"),
        "/f": ("merged", "moved", "", ""),
        "/n": ("upper", "file", "", ""),
        "/p": ("upper", "fifo", "", ""),
    }
    written = overlay.stack()
    assert list(rows(written)) == ["/c", "/d", "/d/a", "/e", "/f", "/n", "/p"]
    assert (written.held, written.left_out) == (4, 0)  # of c, whose contents are below, too
    assert rows(overlay.stack(below="d")).keys() == {"/d/a", "/d/b"}
    few = overlay.stack(limit=3)
    assert (len(few.files), few.left_out) == (3, 4)
    assert "4 paths more" in repr(few)


def test_the_figure_says_what_the_table_says(bench: Container) -> None:
    overlay = bench.overlay(at="/layers/merged")
    figure = show.overlay_stack(overlay, below="/")
    assert figure.png.startswith(b"\x89PNG")
    assert repr(figure) == repr(overlay.stack(below="/"))
    assert "upper, two, one" in figure.alt


def seen(picture: show.LiveOverlay, word: str, *, there: bool = True) -> None:
    wait_until(
        lambda: (word in picture.picture.value) is there,
        timeout=30,
        what=f"{word!r} in the picture" if there else f"a picture without {word!r}",
    )


def test_it_follows_what_is_written(lab: Lab) -> None:
    box = lab.run("toolbox", name="box")
    picture = show.live_overlay(box)
    assert "0 paths" in repr(picture)
    box.exec(["sh", "-c", "echo x >/srv/new"])
    seen(picture, "/srv/new")
    box.exec("rm /etc/group")
    seen(picture, "whiteout")
    box.exec("rm /srv/new")
    seen(picture, "/srv/new", there=False)
    box.exec(["sh", "-c", "touch '/<b>'"])
    seen(picture, "/&lt;b&gt;")
    assert "0 paths" in repr(picture)  # what is stored is what it showed first
    box.remove()
    seen(picture, "alert")


def test_it_follows_no_more_when_told_or_shown_again(lab: Lab) -> None:
    before = set(threading.enumerate())
    box = lab.run("base", name="box")
    first = show.live_overlay(box)
    second = show.live_overlay(box)
    assert not first.follow.value
    box.exec("touch /one")
    seen(second, "/one")
    assert "/one" not in first.picture.value
    second.stop()
    wait_until(
        lambda: not set(threading.enumerate()) - before, timeout=30, what="the end of its threads"
    )
    box.exec("touch /late")
    second.follow.value = True
    seen(second, "/late")
    second.stop()


@pytest.mark.parametrize("files", [1, 3000])
def test_at_rest_it_costs_next_to_nothing(lab: Lab, files: int) -> None:
    box = lab.run("base", name="box")
    box.exec(["sh", "-c", f"mkdir /m; cd /m; for i in $(seq {files}); do echo >$i; done"])
    picture = show.live_overlay(box)
    seen(picture, "/m")
    process = psutil.Process()

    def spent() -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    before = spent()
    with pytest.raises(TimeoutError):
        wait_until(lambda: False, timeout=6, what="nothing", interval=6)
    assert spent() - before < 0.06  # 1 % of a core
    picture.stop()


def test_where_there_is_no_overlay(lab: Lab) -> None:
    box = lab.run("base", name="box", tmpfs={"/tmp": ""})
    with pytest.raises(NotFoundError):
        show.live_overlay(box.overlay(at="/tmp"))
