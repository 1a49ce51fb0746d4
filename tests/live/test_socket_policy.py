"""A grader's policy before a real engine: what it refuses in every way, and what still works."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from through import ask, docker, does

from labkit.engine import Engine
from labkit.errors import BadValueError
from labkit.lab import Lab, reaper
from labkit.waiting import wait_until

POLICY = {
    "privileged": False, "host_paths": [], "devices": False, "capabilities": [],
    "host_namespaces": [], "security_options": False, "limits": False,
}  # fmt: skip


@pytest.fixture
def judged(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A lab under the policy, whose file is said as from this folder; another helper serves it."""
    (tmp_path / "policy.json").write_text(json.dumps(POLICY))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABKIT_POLICY", "policy.json")
    monkeypatch.setattr(reaper, "_reapers", {})
    with Lab(engine=engine) as made:
        yield made
    for one in reaper._reapers.values():
        one.let_go()


def refused(lab: Lab, path: str, body: dict[str, Any]) -> str:
    """What was said; nothing of it may be there afterwards."""
    answer = ask(lab, "POST", path, body)
    assert answer.status == 403, (path, body, answer)
    assert does(lab, "ps", "-aq") == does(lab, "volume", "ls", "-q") == ""
    return str(answer.value["message"])


def test_the_hosts_network_by_whatever_name(judged: Lab, engine: Engine) -> None:
    [host] = [one for one in engine.client.networks.list() if one.name == "host"]
    id = str(host.id)
    ways: list[dict[str, Any]] = [
        {"HostConfig": {"NetworkMode": id}},
        {"HostConfig": {"NetworkMode": id[:12]}},
        {"NetworkingConfig": {"EndpointsConfig": {id: {}}}},
        {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"NetworkID": id}}}},
    ]
    for body in ways:
        said = refused(judged, "/containers/create", {"Image": "labkit/base", **body})
        assert "no exercise here needs the host's net namespace" in said
    box = does(judged, "create", "--network", "none", "labkit/base", "true")
    for name in ("host", id, id[:12]):
        answer = ask(judged, "POST", f"/networks/{name}/connect", {"Container": box})
        assert answer.status == 403, answer
    does(judged, "network", "create", "net")
    end = {"Container": box, "EndpointConfig": {"NetworkID": id}}
    assert ask(judged, "POST", "/networks/net/connect", end).status == 403


def test_a_volume_that_is_the_hosts(judged: Lab) -> None:
    root = {"type": "none", "o": "bind", "device": "/"}
    over = {"type": "overlay", "device": "overlay", "o": "lowerdir=/etc:/usr"}
    for options, named in ((root, "the host's /"), (over, "lowerdir=/etc:/usr")):
        said = refused(judged, "/volumes/create", {"Name": "v", "DriverOpts": options})
        assert named in said
        driver = {"DriverConfig": {"Name": "local", "Options": options}}
        mount = {"Type": "volume", "Source": "v", "Target": "/v", "VolumeOptions": driver}
        body = {"Image": "labkit/base", "HostConfig": {"Mounts": [mount]}}
        assert named in refused(judged, "/containers/create", body)
    other = {"VolumeDriver": "other", "Binds": ["v:/v"]}
    said = refused(judged, "/containers/create", {"Image": "labkit/base", "HostConfig": other})
    assert "the driver other" in said


def test_what_is_said_twice_is_judged_as_it_goes_on(judged: Lab) -> None:
    """Go reads both, one into the other; what we read of them is all that the engine gets."""
    does(judged, "run", "-d", "--name", "box", "--stop-signal", "KILL", "labkit/base")
    twice = b'{"RestartPolicy":{"Name":"always"},"RestartPolicy":{"MaximumRetryCount":0}}'
    assert ask(judged, "POST", "/containers/box/update", twice).status == 200
    [box] = judged.containers()
    assert box.docker.attrs["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert ask(judged, "POST", "/containers/box/update", {"Memory": 1 << 30}).status == 403
    twice = b'{"Cmd":["true"],"Privileged":true,"privileged":false}'
    assert ask(judged, "POST", "/containers/box/exec", twice).status == 400


@pytest.mark.parametrize("buildkit", ["0", "1"])
def test_a_build_in_the_hosts_network(
    judged: Lab, buildkit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_BUILDKIT", buildkit)
    stdin = f"FROM labkit/base\nRUN echo {judged.id}; ls /sys/class/net\n"
    done = docker(judged, "build", "--network", "host", "-", stdin=stdin)
    assert done.returncode
    assert "network.host" in done.stderr or "the host's net namespace" in done.stderr, done.stderr
    does(judged, "build", "-", stdin=stdin)


def test_what_is_usual_still_works(judged: Lab, tmp_path: Path) -> None:
    words = [
        "--name",
        "box",
        "-v",
        "vol:/v",
        "-v",
        "/anonymous",
        "--tmpfs",
        "/t",
        "--memory",
        "64m",
    ]
    does(judged, "network", "create", "net")
    does(judged, "run", "-d", "--network", "net", "--stop-signal", "KILL", *words, "labkit/base")
    assert does(judged, "exec", "box", "echo", "ran") == "ran"
    does(judged, "update", "--restart", "no", "box")
    said = docker(judged, "update", "--memory", "128m", "--memory-swap", "-1", "box").stderr
    assert "no exercise here needs another Memory for a container: it is refused" in said
    (tmp_path / "compose.yaml").write_text(
        "services:\n  one:\n    image: labkit/base\n    command: sleep 1000\n"
        "    stop_signal: KILL\n    volumes: [data:/data]\nvolumes:\n  data:\n"
    )
    folder = ["--project-directory", str(tmp_path)]
    does(judged, "compose", *folder, "up", "--detach")
    assert "one" in does(judged, "ps", "--format", "{{.Names}}")
    does(judged, "compose", *folder, "down", "--volumes")


def test_another_helper_knows_it_too(judged: Lab, tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text("{}")
    os.kill(judged.reaper.pid, signal.SIGKILL)
    wait_until(lambda: not reaper.revive(), timeout=30, what="another helper")
    body = {"Image": "labkit/base", "HostConfig": {"Privileged": True}}
    assert "a privileged container" in refused(judged, "/containers/create", body)


def test_a_policy_that_is_none_is_told_before_there_is_a_lab(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text('{"privileged": "no"}')
    monkeypatch.setenv("LABKIT_POLICY", str(policy))
    monkeypatch.setattr(reaper, "_reapers", {})
    with pytest.raises(BadValueError) as raised:
        Lab(engine=engine)
    for said in (str(policy), "'privileged'", '"no"', "true or false"):
        assert said in str(raised.value)
    assert reaper._reapers == {}
