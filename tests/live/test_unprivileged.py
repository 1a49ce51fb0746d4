"""A plain user in the docker group, who may not read root's /proc, sees as much as root."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import view as view_module
from plain_user import PYTHON, USER, copy_packages
from view import settle, view

from labkit.engine import Engine
from labkit.host import LocalHost
from labkit.lab import Lab

VIEW = """
import os, pickle, sys

from view import view
from labkit import connect
pid = int(sys.argv[1])
try:
    refused = os.readlink(f"/proc/{pid}/ns/net")
except PermissionError as err:
    refused = err.strerror
engine = connect()
seen = (os.getuid(), os.getgroups(), refused, engine.host.how, view(engine.host, pid))
sys.stdout.buffer.write(pickle.dumps(seen))
"""

LAB = """
import json
from labkit import Lab, LabError
with Lab() as lab:
    web = lab.run("base", "httpd -f -p 80", name="web", memory="64m")
    web.wait_port(80)
    try:
        web.exec("sleep 300", timeout=0.5)
    except LabError as err:
        killed = type(err).__name__
    print(json.dumps({
        "container": web.id,
        "netns": web.namespaces().relation("net"),
        "memory_max": web.cgroup().memory().max,
        "killed": killed,
        "processes": [p.comm for p in web.processes()],
        "hostname": web.exec("hostname").stdout,
    }))
"""


@pytest.fixture(scope="module")
def packages() -> Iterator[Path]:
    """Copies of what labkit needs, where every user may read them."""
    with tempfile.TemporaryDirectory(prefix="lk-user-", dir="/tmp") as folder:
        place = Path(folder)
        place.chmod(0o755)
        shutil.copy(view_module.__file__, place)
        yield copy_packages(place)


def as_user(engine: Engine, packages: Path, code: str, *arguments: object) -> bytes:
    """Run code as a user who has the socket's group and nothing else."""
    socket = engine.endpoint.socket_path
    assert socket is not None
    with tempfile.TemporaryDirectory(prefix="lk-home-", dir="/tmp") as home:
        os.chown(home, USER, USER)
        done = subprocess.run(
            [PYTHON, "-c", code, *map(str, arguments)],
            user=USER,
            group=USER,
            extra_groups=[socket.stat().st_gid],
            cwd="/",
            env={
                "PATH": os.defpath,
                "HOME": home,
                "PYTHONPATH": str(packages),
                "DOCKER_HOST": engine.endpoint.url,
            },
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_the_same_view_as_root(engine: Engine, local: LocalHost, lab: Lab, packages: Path) -> None:
    web = lab.run("base", name="web", memory="64m", cpus=0.5, tmpfs={"/scratch": ""})
    settle(local, web.pid)
    uid, groups, refused, how, seen = pickle.loads(as_user(engine, packages, VIEW, web.pid))
    assert uid == USER
    assert 0 not in groups
    assert refused == "Permission denied"  # else this test proves nothing
    assert how == "through a probe container"
    assert seen == view(local, web.pid)


def test_a_whole_lab(engine: Engine, packages: Path) -> None:
    said = json.loads(as_user(engine, packages, LAB))
    container = said.pop("container")
    assert said == {
        "netns": "its own",
        "memory_max": 64 << 20,
        "killed": "ExecTimeoutError",
        "processes": ["httpd"],
        "hostname": "web\n",
    }
    assert container not in [one["Id"] for one in engine.client.api.containers(all=True)]
