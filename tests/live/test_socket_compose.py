"""Compose through a lab's socket: a project by hand, as in a terminal."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from through import TIMEOUT, docker, does

from labkit import Lab
from labkit.engine import Engine
from labkit.waiting import wait_until

FILE = """
services:
  db:
    image: labkit/base
    stop_signal: KILL
    command: sh -c 'echo ready; exec httpd -f -p 80 -h /data'
    volumes: [data:/data]
    healthcheck: {test: wget -qO- http://127.0.0.1/kept || exit 1, interval: 1s, retries: 60}
  web:
    build: .
    stop_signal: KILL
    depends_on: {db: {condition: service_healthy}}
    environment: {COLOUR: "${COLOUR:-blue}"}
    networks: [default, front]
  tool:
    image: labkit/base
    stop_signal: KILL
    profiles: [tools]
networks: {front: {}}
volumes: {data: {}}
"""
DOCKERFILE = 'FROM labkit/base\nRUN echo built >/note\nCMD ["sleep", "600"]\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "compose.yaml").write_text(FILE)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    return folder


def compose(lab: Lab, folder: Path, *argv: str) -> str:
    """What `docker compose` printed; it must succeed."""
    done = subprocess.run(
        ["docker", "compose", *argv],
        cwd=folder,
        env={**os.environ, **lab.environ()},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT * 3,
    )
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def test_a_projects_whole_life(engine: Engine, lab: Lab, project: Path) -> None:
    with Lab(engine=engine) as other:  # a project of the same name beside it
        compose(other, project, "up", "--detach", "--build", "--no-deps", "web")
        compose(lab, project, "create", "--build", "db")
        compose(lab, project, "start", "db")
        compose(lab, project, "exec", "-T", "db", "sh", "-c", "echo kept >/data/kept")
        compose(lab, project, "up", "--detach", "--build")
        assert does(lab, "ps", "--format", "{{.Names}}").split() == ["shop-web-1", "shop-db-1"]
        assert compose(lab, project, "ps", "--services").split() == ["db", "web"]
        assert compose(lab, project, "exec", "-T", "web", "cat", "/note") == "built"
        assert compose(lab, project, "exec", "-T", "web", "sh", "-c", "echo $COLOUR") == "blue"
        asked = ("wget", "-qO-", "http://db/kept")
        assert compose(lab, project, "exec", "-T", "web", *asked) == "kept"
        assert compose(lab, project, "run", "--rm", "-T", "tool", "echo", "once") == "once"
        assert "ready" in compose(lab, project, "logs", "db")

        compose(lab, project, "up", "--detach", "--scale", "web=3")
        assert len(compose(lab, project, "ps", "--quiet", "web").split()) == 3
        assert [one.name for one in lab.containers()] == [
            "shop-db-1", "shop-web-1", "shop-web-2", "shop-web-3",
        ]  # fmt: skip
        compose(lab, project, "--profile", "tools", "up", "--detach")
        assert "shop-tool-1" in does(lab, "ps", "--format", "{{.Names}}")
        networks = does(lab, "network", "ls", "--format", "{{.Name}}").split()
        assert {"shop_default", "shop_front"} <= set(networks)

        compose(lab, project, "--profile", "tools", "down")
        assert does(lab, "ps", "--all", "--quiet") == ""
        assert does(lab, "volume", "ls", "--quiet") == "shop_data"
        compose(lab, project, "down", "--volumes", "--rmi", "local")
        assert does(lab, "volume", "ls", "--quiet") == ""
        assert docker(lab, "image", "inspect", "shop-web").returncode == 1
        assert [one.name for one in other.containers()] == ["shop-web-1"]  # still there


def test_logs_that_follow_end_with_the_project(lab: Lab, project: Path) -> None:
    compose(lab, project, "up", "--detach", "--no-deps", "db")
    following = subprocess.Popen(
        ["docker", "compose", "logs", "--follow", "db"],
        cwd=project,
        env={**os.environ, **lab.environ()},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert following.stdout is not None
        assert "ready" in following.stdout.readline()
        compose(lab, project, "down", "--timeout", "0")
        wait_until(lambda: following.poll() is not None, timeout=TIMEOUT, what="the end of the log")
    finally:
        following.kill()
        following.communicate()
