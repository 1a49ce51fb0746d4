"""The desktop is no Linux to labkit's code: else what passes on it would prove nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from desktop import ROOT, Desktop

BITES = """
import json, os, platform, select, shutil, socket, subprocess, sys
import psutil
from pathlib import Path

before = os.listdir("/proc/self"), hasattr(os, "sched_getaffinity")
import labkit
from labkit import LabError
from labkit.engine import PrivateEngine
from labkit.host import LocalHost

def refused(look):
    try:
        return repr(look())
    except (FileNotFoundError, LabError) as err:
        return "refused" if "No such file" in str(err) else str(err)

pid, host = os.getpid(), LocalHost()
print(json.dumps({
    "before": [bool(one) for one in before],
    "system": [sys.platform, platform.system(), platform.machine(), os.uname().sysname],
    "user": os.geteuid(),
    "refused": [refused(look) for look in (
        lambda: host.read("/proc/version"),
        lambda: host.link(f"/proc/{pid}/ns/net"),
        lambda: host.list("/proc"),
        lambda: host.stat("/proc/1"),
        lambda: host.sweep(read=["stat"]),
        lambda: Path("/proc/self/mountinfo").read_text(),
        lambda: Path("/etc/debian_version").open(),
        lambda: os.open("/dev/kvm", os.O_RDWR),
        lambda: list(os.scandir("/sys/fs/cgroup")),
        lambda: os.readlink("/proc/self/exe"),
    )],
    "there": [Path("/proc").exists(), os.access("/proc/self/stat", os.R_OK)],
    "programs": [shutil.which(name) for name in (
        "dockerd", "qemu-system-x86_64", "apt-get", "dpkg-deb", "lsns", "nsenter", "ip")],
    "calls": [hasattr(*one) for one in (
        (os, "sched_getaffinity"), (os, "memfd_create"), (os, "pidfd_open"), (os, "pipe2"),
        (os, "posix_fadvise"), (os, "getxattr"), (select, "epoll"), (socket, "SO_PEERCRED"),
        (psutil.Process, "cpu_affinity"))],
    "private": PrivateEngine.why_not(),
    "psutil": psutil.Process().create_time() > 0 and psutil.pid_exists(pid),
    "shell": subprocess.run(["uname", "-s"], capture_output=True).stdout.decode(),
}))
"""
# What `labkit.detached` starts is a program of its own.
DETACHED = """
import os, sys
from labkit.detached import detach
detach("told", sys.argv[1], environ=os.environ)
"""
TOLD = """
import sys, labkit
from pathlib import Path
Path(sys.argv[1]).write_text(f"{sys.platform} {Path('/proc').exists()}")
"""


def test_what_is_linux_s_is_gone_from_the_import_of_labkit_on(desktop: Desktop) -> None:
    done = desktop.python("-c", BITES)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen.pop("before") == [True, True]
    assert set(seen.pop("refused")) == {"refused"}
    assert not any(seen.pop("there") + seen.pop("programs") + seen.pop("calls"))
    assert seen == {
        "system": ["darwin", "Darwin", "arm64", "Darwin"],
        "user": 501,
        "private": "dockerd is not installed",
        "psutil": True,
        "shell": "Darwin\n",
    }


def test_the_same_program_off_the_desktop_sees_linux() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BITES.replace("lambda: list", "lambda: 1 or list")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["system"][:2] == ["linux", "Linux"]
    assert seen["refused"].count("refused") <= 2  # /dev/kvm, and Debian's file elsewhere


def test_detached_helpers_are_on_the_desktop_too(desktop: Desktop) -> None:
    (desktop.place / "told").mkdir(exist_ok=True)
    (desktop.place / "told/told.py").write_text(TOLD)
    said = desktop.place / "said"
    path = f"{desktop.environ()['PYTHONPATH']}:{desktop.place / 'told'}"
    done = desktop.python("-c", DETACHED, said, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    from labkit.waiting import wait_until

    wait_until(lambda: said.exists() and said.read_text(), timeout=20, what="what it was told")
    assert said.read_text() == "darwin False"


def test_labkit_calls_nothing_that_a_mac_s_python_has_not() -> None:
    """But in the micro-VM's rooms, into which no Mac comes: `find_qemu` is their door."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--platform", "darwin", "--cache-dir", "/dev/null"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    complaints = [line for line in done.stdout.splitlines() if ": error: " in line]
    rooms = ("labkit/engine/vm/", "labkit/inspect/vm_cost.py")
    assert [line for line in complaints if not line.startswith(rooms)] == []
    assert any("sched_getaffinity" in line for line in complaints), done.stdout


@pytest.mark.parametrize("name", ["sched_getaffinity", "pidfd_open"])
def test_what_typeshed_says_is_what_is_taken(name: str) -> None:
    from lacking import lacking

    assert name in lacking()["os"]
    assert "kqueue" not in lacking()["select"]
