"""The lab's socket before other engines: over TCP, over TLS, a Podman's, and a swarm's manager."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from other import OtherEngine
from relay import certificates, relayed
from through import ask, docker, does, foreign

from labkit.engine import Endpoint, Engine
from labkit.errors import LabError
from labkit.images import needed_images
from labkit.lab import Lab
from labkit.waiting import wait_until

TESTS = Path(__file__).parents[1]


@pytest.fixture
def place(engine: Engine) -> str:
    """Where the engine itself listens."""
    return engine.endpoint.url.removeprefix("unix://")


@pytest.fixture
def by_tcp(place: str) -> Iterator[Engine]:
    """The engine, reached as one on another machine is."""
    with relayed(place) as port:
        found = Engine("docker", Endpoint(f"tcp://127.0.0.1:{port}"))
        yield found
        found.close()


def uses(lab: Lab, tmp_path: Path) -> None:
    """What a learner does with `docker` in a chapter."""
    names = ("ps", "--all", "--format", "{{.Names}}")
    assert does(lab, *names) == ""
    web = does(lab, "run", "--detach", "--name", "web", "--memory", "64m", "labkit/base",
               "httpd", "-f", "-p", "80")  # fmt: skip
    assert does(lab, *names) == "web"
    assert lab.container("web").id == web
    assert lab.container("web").cgroup().memory().max == 64 << 20
    # A connection that becomes a stream, in both directions.
    said = does(lab, "exec", "--interactive", "web", "sh", "-c", "cat; hostname", stdin="in\n")
    assert said.splitlines()[0] == "in"
    failed = docker(lab, "exec", "web", "sh", "-c", "echo wrong >&2; exit 3")
    assert (failed.returncode, failed.stderr) == (3, "wrong\n")
    (tmp_path / "note").write_bytes(b"\0note" * 100_000)
    does(lab, "cp", str(tmp_path / "note"), "web:/tmp/note")
    does(lab, "cp", "web:/tmp/note", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == (tmp_path / "note").read_bytes()
    does(lab, "network", "create", "app")
    does(lab, "network", "connect", "--alias", "www", "app", "web")
    does(lab, "volume", "create", "data")
    fetch = "wget -T 10 -O - http://www/ 2>&1; true"  # there is no page: the server says so
    found = does(lab, "run", "--rm", "--network", "app", "--volume", "data:/data", "labkit/base",
                 "sh", "-c", fetch)  # fmt: skip
    assert "404 Not Found" in found
    said = does(lab, "run", "--name", "talks", "labkit/base", "sh", "-c", "seq 3; exit 0")
    assert said.split() == does(lab, "logs", "talks").split() == ["1", "2", "3"]
    assert sorted(does(lab, *names).split()) == ["talks", "web"]
    does(lab, "rm", "--force", "web", "talks")
    does(lab, "network", "rm", "app")
    does(lab, "volume", "rm", "data")
    assert lab.containers() == []


def test_an_engine_on_another_machine(by_tcp: Engine, tmp_path: Path) -> None:
    with Lab(engine=by_tcp) as lab:
        uses(lab, tmp_path)
        builds(lab, tmp_path)


SECURED = f"""
import sys
from pathlib import Path
sys.path[:0] = [{str(TESTS)!r}, {str(TESTS / "live")!r}]
from test_socket_engines import builds, uses
from labkit import Lab, connect
with Lab(engine=connect()) as lab:
    assert lab.engine.endpoint.url.startswith("tcp:"), lab.engine.endpoint
    uses(lab, Path(sys.argv[0]))
    builds(lab, Path(sys.argv[0]))
print("all of it")
"""


@pytest.mark.root
@pytest.mark.timeout(250)
def test_an_engine_that_wants_certificates(engine: Engine, tmp_path: Path) -> None:
    certificates(tmp_path)
    other = OtherEngine(f"lk{secrets.token_hex(3)}")
    try:
        other.configure(
            hosts=[other.private.endpoint.url, "tcp://127.0.0.1:2376"], tlsverify=True,
            tlscacert=f"{tmp_path}/ca.pem", tlscert=f"{tmp_path}/server.pem",
            tlskey=f"{tmp_path}/server-key.pem",
        )  # fmt: skip
        other.start()
        for image in needed_images():
            other.load(b"".join(engine.client.images.get(image.reference).save(named=True)))
        secured = Endpoint("tcp://127.0.0.1:2376", str(tmp_path))
        code = SECURED.replace("sys.argv[0]", repr(str(tmp_path)))
        there = other.popen(code, LABKIT_ENGINE="docker", **secured.environ())
        out, err = there.communicate(timeout=200)
        assert out.endswith("all of it\n"), out + err
    finally:
        other.remove()


def builds(lab: Lab, tmp_path: Path) -> None:
    """BuildKit speaks its own protocol over the socket."""
    (tmp_path / "Dockerfile").write_text("FROM labkit/base\nRUN echo built >/note\n")
    does(lab, "build", "--quiet", "--tag", "mine", str(tmp_path))
    assert does(lab, "run", "--rm", "mine", "cat", "/note") == "built"
    said = does(lab, "image", "inspect", "--format", "{{.Id}}", "mine")
    assert lab.image("mine").id == said


def test_nothing_is_said_to_an_engine_that_cannot_show_who_it_is(
    place: str, tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    with relayed(place, tmp_path / "one"), relayed(place, tmp_path / "other") as port:
        url = f"tcp://127.0.0.1:{port}"
        for trusted in (str(tmp_path / "one"), None):  # another authority; no TLS at all
            lab = Lab(engine=Engine("docker", Endpoint(url, trusted)))
            with pytest.raises(LabError):
                lab.containers()
            said = docker(lab, "ps")
            assert said.returncode != 0 and "the engine" in said.stderr, said
            with suppress(LabError):  # nor can it be asked what there is to remove
                lab.close()


def test_a_podman(podman: Engine, tmp_path: Path) -> None:
    with foreign(podman) as beside, Lab(engine=podman) as lab:
        uses(lab, tmp_path)
        for reference in beside.references:
            assert ask(lab, "GET", f"/containers/{reference}/json").status == 404
            assert ask(lab, "DELETE", f"/containers/{reference}", force="1").status == 404
        assert beside.name not in does(lab, "network", "ls") + does(lab, "volume", "ls")
        does(lab, "container", "prune", "--force")
        does(lab, "volume", "prune", "--force")
        does(lab, "network", "prune", "--force")


@pytest.mark.timeout(250)
def test_a_swarm_by_the_command_line(other_engine: OtherEngine) -> None:
    engine = other_engine.engine
    api: Any = engine.client  # the stubs lack a swarm's types
    with Lab(engine=engine) as lab:
        does(lab, "swarm", "init", "--advertise-addr", "127.0.0.1")
        api.services.create("labkit/base", ["sleep", "1000"], name="foreign")
        secret = does(lab, "secret", "create", "word", "-", stdin="hush")
        does(lab, "network", "create", "--driver", "overlay", "wide")
        does(lab, "service", "create", "--quiet", "--detach", "--name", "web", "--replicas", "2",
             "--network", "wide", "--secret", "word",
             "labkit/base", "httpd", "-f", "-p", "80")  # fmt: skip

        def running() -> list[str]:
            states = does(lab, "service", "ps", "web", "--format", "{{.CurrentState}}")
            return [one for one in states.splitlines() if one.startswith("Running")]

        wait_until(lambda: len(running()) == 2, timeout=60, what="two tasks", saw=running)
        assert does(lab, "service", "ls", "--format", "{{.Name}} {{.Replicas}}") == "web 2/2"
        assert len(does(lab, "ps", "--quiet").split()) == 2
        does(lab, "service", "scale", "--detach", "web=1")
        wait_until(lambda: len(running()) == 1, timeout=60, what="one task", saw=running)
        task = does(lab, "ps", "--quiet").split()[0]
        assert does(lab, "exec", task, "cat", "/run/secrets/word") == "hush"
        assert secret in does(lab, "secret", "ls")
        assert docker(lab, "service", "rm", "foreign").returncode != 0
        does(lab, "service", "rm", "web")
        does(lab, "service", "create", "--quiet", "--detach", "--name", "left", "labkit/base")
    assert [one.name for one in api.services.list()] == ["foreign"]
    assert api.secrets.list() == []
