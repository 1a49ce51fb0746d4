"""Owners: who lives, who has ended, and of whom nobody can know."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from labkit import owner
from labkit.owner import forget_old, is_dead, kind_of_locks, this_process
from labkit.waiting import wait_until

PACKAGES = str(Path(owner.__file__).parents[1])
LIVE = "from labkit.owner import this_process; print(this_process(), flush=True); input()"
FORK = """
import os, sys, time
from labkit.owner import this_process
print(this_process(), flush=True)
if os.fork() == 0:
    print(this_process(), flush=True)
    sys.stdin.read()
    os._exit(0)
time.sleep(100)
"""
ELSEWHERE = "11111111-2222-3333-4444-555555555555:4026531836:4026531834"


class Owner:
    """A process that says its name and waits."""

    def __init__(self, code: str = LIVE, *, within: tuple[str, ...] = (), **environ: str) -> None:
        self.process = subprocess.Popen(
            [*within, sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": PACKAGES, **environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.name = self.line()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        """With its children: `unshare --fork` leaves them."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            child.kill()
        self.process.kill()
        self.process.communicate()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def living() -> Iterator[Owner]:
    made = Owner()
    yield made
    if made.process.returncode is None:
        made.kill()


def elsewhere(name: str) -> str:
    """The same owner, of another boot: only its lock can tell."""
    return "/".join([ELSEWHERE, *name.split("/")[1:]])


def test_owners_live_and_die(living: Owner) -> None:
    assert not is_dead(this_process())
    assert not is_dead(living.name)
    living.process.kill()
    os.waitid(os.P_PID, living.process.pid, os.WEXITED | os.WNOWAIT)
    assert is_dead(living.name), "a zombie holds nothing"
    living.process.communicate()
    assert is_dead(living.name)


@pytest.mark.parametrize(
    "name",
    ["", "nonsense", "machine/1/0.0", "a/b/c/d", "/-1/0/", f"{ELSEWHERE}/1/5/",
     f"{ELSEWHERE}/1/5/ext4-00", f"{ELSEWHERE}/1/5/..", "//1/5/", "/1/5/../x"],
)  # fmt: skip
def test_whose_owner_is_unknown_is_not_dead(name: str) -> None:
    assert not is_dead(name)


def test_a_pid_that_is_another_process_by_now_is_a_dead_owner(living: Owner) -> None:
    sight, pid, start, lock = living.name.split("/")
    assert is_dead(f"{sight}/{pid}/{int(start) - 1}/{lock}")


def test_after_a_reboot_the_lock_decides(living: Owner) -> None:
    name = elsewhere(living.name)
    assert not is_dead(name)
    living.kill()
    assert is_dead(name)


def test_another_home_knows_nothing(
    living: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    living.kill()
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "another"))
    assert not is_dead(elsewhere(living.name))
    assert is_dead(living.name)  # /proc needs no home


def test_a_home_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    made = Owner(LABKIT_HOME=str(file / "home"))
    assert made.name.endswith("/")
    assert not is_dead(made.name)
    made.kill()
    assert is_dead(made.name)
    assert not is_dead(elsewhere(made.name))


def test_a_fork_is_an_owner_of_its_own_and_holds_no_lock_of_its_parents() -> None:
    parent = Owner(FORK)
    child = parent.line()
    assert child.split("/")[1:] != parent.name.split("/")[1:]
    assert not is_dead(elsewhere(parent.name))
    parent.process.kill()
    parent.process.wait()
    assert is_dead(parent.name) and is_dead(elsewhere(parent.name))
    assert not is_dead(child) and not is_dead(elsewhere(child))
    parent.process.communicate()  # which the child reads, and ends
    # Its lock goes while it ends, its number when it has.
    wait_until(lambda: is_dead(elsewhere(child)), timeout=5, what="the child's end")
    wait_until(lambda: is_dead(child), timeout=5, what="the end of the child's number")


def test_old_locks_that_nobody_holds_are_removed(living: Owner, home: Path) -> None:
    ended = Owner()
    ended.kill()
    young = Owner()
    young.kill()
    for one in (living, ended):
        lock = home / "owners" / one.name.rpartition("/")[2]
        os.utime(lock, (0, time.time() - owner.LOCK_KEPT - 5))
    forget_old()
    left = {file.name for file in (home / "owners").iterdir()}
    assert left >= {one.name.rpartition("/")[2] for one in (living, young)}
    assert ended.name.rpartition("/")[2] not in left


@pytest.mark.root
def test_other_pids_and_the_same_host_name_are_another_owner() -> None:
    """Each in a pid namespace of its own; where pids of the one mean nothing to the other."""
    spaces = ("unshare", "--pid", "--fork", "--mount-proc", "--uts", "--kill-child")
    inside = Owner(within=spaces)
    look = "from labkit.owner import is_dead; import sys; print(is_dead(sys.argv[1]))"

    def seen_from_another(name: str) -> str:
        return subprocess.run(
            [*spaces, sys.executable, "-c", look, name],
            env={**os.environ, "PYTHONPATH": PACKAGES},
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip

    assert int(inside.name.split("/")[1]) < 10
    assert not is_dead(inside.name)
    assert seen_from_another(inside.name) == "False"
    assert seen_from_another(this_process()) == "False"
    inside.kill()
    assert is_dead(inside.name)
    assert seen_from_another(inside.name) == "True"


@pytest.mark.root
def test_a_proc_of_other_pids_is_not_asked() -> None:
    inside = Owner(within=("unshare", "--pid", "--fork", "--kill-child"))  # the old /proc
    assert inside.name.startswith("/1//")
    assert not is_dead(inside.name)
    inside.kill()
    assert is_dead(inside.name)


@pytest.mark.root
def test_a_process_that_proc_hides_from_this_user_is_not_dead(living: Owner) -> None:
    code = f"""
import os, sys
from labkit.owner import is_dead
os.setgroups([]); os.setgid(4242); os.setuid(4242)
assert not os.path.exists("/proc/{living.process.pid}")
print(is_dead({living.name!r}), is_dead({living.name.replace("/", "/9", 1)!r}))
"""
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec",
         'mount -t proc -o hidepid=2 proc /proc; exec "$@"',
         "sh", sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": PACKAGES},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout.split(), done.stderr) == (["False", "True"], "")


MOUNTS = """
27 1 254:0 / / rw - ext4 /dev/vda rw
31 27 0:40 / /home rw - nfs4 server:/home rw,vers=4.2,local_lock=none
32 27 0:41 / /old rw - nfs server:/old rw,vers=3,nolock,local_lock=all
33 27 0:42 / /ssh rw - fuse.sshfs me@server: rw,user_id=0
34 27 0:43 / /my\\040share rw - cifs //server/share rw,nobrl
35 27 0:44 / /shared rw - virtiofs shared rw
36 27 0:45 / /shared/disk rw - xfs /dev/vdb rw
""".strip()


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/var/lib/labkit", "ext4"), ("/home/jovyan/x", "nfs4"), ("/old/x", ""), ("/ssh", ""),
     ("/my share/x", ""), ("/shared/x", ""), ("/shared/disk/x", "xfs"), ("/homely", "ext4")],
)  # fmt: skip
def test_a_lock_that_others_would_not_see_is_none(folder: str, kind: str) -> None:
    assert kind_of_locks(Path(folder), MOUNTS) == kind
