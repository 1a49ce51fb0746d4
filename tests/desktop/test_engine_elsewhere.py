"""What a student's Mac is told of its engine: the one it has, or why there is none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from desktop import Desktop

NO_ENGINE = """
import json
from labkit import LabError, connect
try:
    connect(**({kind}))
except LabError as err:
    print(json.dumps([type(err).__name__, err.what, err.seen, err.do]))
"""
NO_IMAGES = """
import json
from labkit import LabError, connect
from labkit.images import roots
roots.ROOTS["root-none"] = "nobody/has:this"
try:
    roots.ensure_root(connect(), "root-none", packages=[], on_message=print)
except LabError as err:
    print(json.dumps([type(err).__name__, err.what, err.seen, err.do]))
"""
LAB = """
import json, urllib.request
from labkit import Lab
with Lab() as lab:
    web = lab.run("base", "httpd -f -p 80 -h /root", name="web", memory="64m", ports=[80])
    web.put("/root/index.html", "hello")
    web.wait_port(80)
    print(json.dumps({
        "kind": lab.engine.kind,
        "url": lab.engine.endpoint.url,
        "sight": lab.engine.host.how,
        "netns": web.namespaces().relation("net"),
        "memory": web.cgroup().memory().max,
        "page": urllib.request.urlopen(web.url(80) + "/index.html").read().decode(),
        "bound to": web.docker.ports["80/tcp"][0]["HostIp"],
    }))
"""


LEFT_BEHIND = """
import json
from labkit import Lab, LabError
with Lab() as lab:
    try:
        lab.run("no/such")
    except LabError as err:
        print(json.dumps([type(err).__name__, err.what, err.seen, err.do]))
    # Where no registry is asked, no password is.
    lab.build("img", "FROM labkit/base\\nENV A=1\\n")
    print(json.dumps(lab.run("img", name="web").name))
"""


@pytest.fixture
def docker_desktop(desktop: Desktop) -> Iterator[Path]:
    """Docker Desktop's socket, in the desktop's home."""
    path = desktop.home / ".docker/run/docker.sock"
    path.parent.mkdir()
    path.symlink_to(desktop.socket)
    yield path
    shutil.rmtree(path.parent)


def test_the_engine_is_anybody_s_and_seen_through_the_probe(desktop: Desktop) -> None:
    # The authority is the engine's own, whatever this machine trusts besides.
    done = desktop.python("-c", LAB, REQUESTS_CA_BUNDLE="/dev/null")
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen.pop("bound to")
    assert seen == {
        "kind": "docker",
        "url": desktop.endpoint.url,
        "sight": "through a probe container",
        "netns": "its own",
        "memory": 64 << 20,
        "page": "hello",
    }


def test_docker_desktop_is_found_in_the_home_with_nothing_set(
    desktop: Desktop, docker_desktop: Path
) -> None:
    done = desktop.python("-c", LAB, engine=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "kind": "docker",
        "url": f"unix://{docker_desktop}",
        "sight": "through a probe container",
        "netns": "its own",
        "memory": 64 << 20,
        "page": "hello",
        "bound to": "127.0.0.1",
    }


def test_doctor_finds_all_well(desktop: Desktop) -> None:
    done = desktop.python("-m", "labkit", "doctor", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["healthy"]
    assert found["host"].startswith("through a probe container, 8 kinds")
    assert "this machine runs macOS" in found["vm"]["none"]


def test_the_engine_commands(desktop: Desktop) -> None:
    started = desktop.python("-m", "labkit", "engine", "start")
    assert (started.returncode, started.stderr) == (0, "")
    assert "docker: one that was already running" in started.stdout
    told = desktop.python("-m", "labkit", "engine", "env", "--engine-itself")
    assert f"export DOCKER_HOST={desktop.endpoint.url}\n" in told.stdout
    told = desktop.python("-m", "labkit", "engine", "env")
    assert "/notebook-of-the-last-cell.sock\n" in told.stdout
    assert f"export LABKIT_ITSELF_DOCKER_HOST={desktop.endpoint.url}\n" in told.stdout
    for command, code, says in (
        ("status", 3, "no engine of labkit's runs\n"),
        ("stop", 0, "no engine of labkit's was running\n"),
    ):
        done = desktop.python("-m", "labkit", "engine", command)
        assert (done.returncode, done.stdout, done.stderr) == (code, says, "")


@pytest.mark.parametrize("kind", ["any", "private", "vm"])
def test_without_an_engine_one_line_says_what_a_mac_needs(desktop: Desktop, kind: str) -> None:
    wanted = {} if kind == "any" else {"kind": kind}
    done = desktop.python("-c", NO_ENGINE.format(kind=wanted), engine=False)
    assert done.returncode == 0, done.stderr
    error, _, seen, do = json.loads(done.stdout)
    assert error == "NoEngineError"
    assert "this machine runs macOS" in seen
    assert "brew install --cask docker" in do
    assert "apt" not in seen + do
    if kind == "any":
        assert "Docker Desktop at" in seen and "Colima" in seen and "OrbStack" in seen


def test_without_a_registry_images_are_not_made_on_a_mac(desktop: Desktop) -> None:
    done = desktop.python("-c", NO_IMAGES)
    assert done.returncode == 0, done.stderr
    error, what, seen, do = json.loads(done.stdout.splitlines()[-1])
    assert error == "ImageBuildError"
    assert "this machine cannot make images" in what
    assert "this machine is macOS" in seen or "this machine runs macOS" in seen
    assert "connect to the internet" in do


def test_what_a_docker_desktop_that_has_gone_left_is_named(desktop: Desktop) -> None:
    """Its helper is gone and its name stays: who goes on with Colima meets this."""
    configuration = desktop.home / ".docker/config.json"
    configuration.write_text('{"credsStore": "desktop"}')
    try:
        done = desktop.python("-W", "ignore", "-c", LEFT_BEHIND)
    finally:
        configuration.unlink()
    assert done.returncode == 0, done.stderr
    refused, made = map(json.loads, done.stdout.splitlines())
    assert made == "web"
    error, what, seen, do = refused
    assert error == "EngineError"
    assert "registry passwords" in what
    assert "docker-credential-desktop" in seen
    assert "credsStore" in do
