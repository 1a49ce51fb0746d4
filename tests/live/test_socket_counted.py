"""However it was made, it counts: by `docker` and Compose through a lab's socket, too."""

from __future__ import annotations

from pathlib import Path

import pytest
from owners import environ_of, remains, start_owner
from through import TIMEOUT, does

from labkit import Lab, check, labels, reset
from labkit.checks import Evidence, Look, Memory, Outcome
from labkit.engine import Engine
from labkit.waiting import wait_until

DOCKERFILE = 'FROM labkit/base\nRUN echo built >/note\nCMD ["sleep", "600"]\n'


@pytest.fixture
def progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "progress.db"))


def evidence(engine: Engine) -> Evidence:
    return Evidence(Look(engine, Memory()), session=labels.session(), answers={}, variant={})


def test_a_check_sees_what_docker_made(engine: Engine, lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    does(lab, "network", "create", "app")
    does(lab, "volume", "create", "data")
    does(lab, "run", "-d", "--name", "box", "--network", "app", "-v", "data:/d", "labkit/base")
    does(lab, "buildx", "build", "--load", "-t", "mine", str(tmp_path))
    does(lab, "tag", "labkit/base", "named")
    see = evidence(engine)
    assert see.container("box").id == lab.container("box").id
    assert see.network("app").id == lab.networks("app")[0].id
    assert see.volume("data").name == "data"
    assert see.image("mine").id == lab.image("mine").id
    assert see.image("named").id == see.lab_image("base").id
    # What labkit shows and what docker shows is called the same, after a new name too.
    does(lab, "rename", "box", "case")
    assert [one.name for one in evidence(engine).containers()] == ["case"]
    assert [one.name for one in lab.containers()] == ["case"]
    assert does(lab, "ps", "--format", "{{.Names}}") == "case"


def test_an_exercise_is_solved_and_begun_again_by_docker_alone(lab: Lab, progress: None) -> None:
    does(lab, "run", "--detach", "--name", "watcher", "--pid", "host", "labkit/base")
    report = check("02.1")
    assert report.outcome is Outcome.PASSED, report
    assert repr(reset("02.1")) == "removed: watcher"
    assert does(lab, "ps", "--all", "--quiet") == ""
    assert check("02.1").outcome is Outcome.NOT_ATTEMPTED


MADE = """
import os, subprocess, sys, time
from labkit import Lab
lab = Lab()
folder = sys.argv[1]
environ = {**os.environ, **lab.environ()}
for words in (
    "network create app",
    "volume create data",
    "run -d --name box --network app -v data:/d -v /anonymous labkit/base",
    f"buildx build --load -t mine {folder}",
    "tag labkit/base named",
    "run -d --name other mine",
):
    subprocess.run(["docker", *words.split()], env=environ, check=True, capture_output=True)
print(lab.id, flush=True)
time.sleep(1000)
"""


def test_all_of_it_goes_after_a_kill(engine: Engine, tmp_path: Path) -> None:
    api = engine.client.api
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    owner = start_owner(MADE, environ_of(engine.endpoint), tmp_path)
    try:
        assert owner.stdout is not None
        lab = owner.stdout.readline().strip()
        assert lab
        found = remains(engine, [lab])
        assert {"container box", "container other", "network app", "volume data"} <= set(found)
        mine = {"label": f"labkit.lab={lab}"}
        volumes = {
            mount["Name"]
            for one in api.containers(filters=mine)
            for mount in one["Mounts"]
            if mount["Type"] == "volume"
        }
        assert len(volumes) == 2  # one has no name, and no label
    finally:
        owner.kill()
        owner.communicate()
    wait_until(
        lambda: not remains(engine, [lab]),
        timeout=TIMEOUT,
        what="the end of all that the lab had",
        saw=lambda: str(remains(engine, [lab])),
    )
    wait_until(
        lambda: not volumes & {one["Name"] for one in api.volumes()["Volumes"] or ()},
        timeout=TIMEOUT,
        what="the end of its volumes",
    )
    tags = [tag for one in api.images() for tag in one["RepoTags"] or ()]
    assert not [tag for tag in tags if lab in tag]
