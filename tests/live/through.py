"""Ways through a lab's socket: `docker`, HTTP, and bytes by hand; and what lies beside the lab."""

from __future__ import annotations

import http.client
import io
import json
import os
import secrets
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from labkit.engine import Engine
from labkit.lab import Lab

TIMEOUT = 60.0  # seconds; a busy machine is slow


def place(lab: Lab) -> Path:
    """Where the lab's socket is."""
    return Path(lab.environ()["DOCKER_HOST"].removeprefix("unix://"))


def tags(engine: Engine) -> set[str]:
    """The names of all images, asked for at once: between the requests of the SDK one may go."""
    return {tag for image in engine.client.api.images() for tag in image["RepoTags"] or ()}


def docker(lab: Lab, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """The command line, as a learner has it in a notebook of this lab."""
    return subprocess.run(
        ["docker", *argv],
        env={**os.environ, **lab.environ()},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT * 2,
    )


def does(lab: Lab, *argv: str, stdin: str = "") -> str:
    """What `docker` printed; it must succeed."""
    done = docker(lab, *argv, stdin=stdin)
    assert done.returncode == 0, f"docker {' '.join(argv)}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


class Line(http.client.HTTPConnection):
    """HTTP over a lab's socket."""

    def __init__(self, lab: Lab) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._place = str(place(lab))

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._place)


@dataclass(frozen=True)
class Answer:
    """Of the socket."""

    status: int
    body: bytes

    @property
    def value(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


def ask(
    lab: Lab,
    method: str,
    path: str,
    body: object = None,
    *,
    headers: Mapping[str, str] | None = None,
    **query: object,
) -> Answer:
    """One request; `query` are its parameters, JSON where they are not text."""
    line = Line(lab)
    said = {k: v if isinstance(v, str) else json.dumps(v) for k, v in query.items()}
    sent = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    kind = {"Content-Type": "application/json"} if sent is not None else {}
    try:
        target = f"{path}?{urlencode(said)}" if said else path
        line.request(method, target, body=sent, headers={**kind, **(headers or {})})
        answer = line.getresponse()
        return Answer(answer.status, answer.read())
    finally:
        line.close()


def dial(lab: Lab) -> socket.socket:
    """A connection, for bytes by hand."""
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(TIMEOUT)
    made.connect(str(place(lab)))
    return made


def say(lab: Lab, data: bytes, *, end: bool = False) -> list[Answer]:
    """Send bytes, and read all answers until the socket closes; `end` says that no more comes."""
    with dial(lab) as made:
        made.sendall(data)
        if end:
            made.shutdown(socket.SHUT_WR)
        parts = []
        while part := _received(made):
            parts.append(part)
    return answers(b"".join(parts))


def _received(made: socket.socket) -> bytes:
    try:
        return made.recv(1 << 16)
    except ConnectionResetError:
        return b""


class _Heard:
    """Bytes that were heard, as `http.client` wants them."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)

    def makefile(self, *_: object) -> io.BytesIO:
        return self.file


def answers(data: bytes) -> list[Answer]:
    """The answers, one after the other."""
    found = []
    while data:
        heard = _Heard(data)
        answer = http.client.HTTPResponse(heard)  # type: ignore[arg-type]  # it only reads
        heard.file.close = lambda: None  # type: ignore[method-assign]
        answer.begin()
        found.append(Answer(answer.status, answer.read()))
        data = heard.file.read()
    return found


@dataclass(frozen=True)
class Foreign:
    """A container, a network, a volume and an image beside the labs, made on the engine itself."""

    engine: Engine
    name: str
    id: str
    exec_id: str
    network_id: str
    image_id: str

    @property
    def references(self) -> list[str]:
        """Ways to say the container."""
        return [self.name, self.id, self.id[:12], self.id[:5]]

    def seen(self) -> dict[str, Any]:
        """All that the engine says of them."""
        api: Any = self.engine.client.api
        found = {
            "container": api.inspect_container(self.id),
            "network": api.inspect_network(self.network_id),
            "volume": api.inspect_volume(self.name),
            "image": api.inspect_image(self.name),
            "exec": api.exec_inspect(self.exec_id),
            "files": api.diff(self.id),
            "processes": sorted(one[-1] for one in api.top(self.id)["Processes"]),
        }
        found["image"].pop("Metadata", None)  # when it was last given a name
        return found


@contextmanager
def foreign(engine: Engine) -> Iterator[Foreign]:
    """What is beside the labs, and must be the same afterwards."""
    client, name = engine.client, f"foreign-{secrets.token_hex(3)}"
    volume = client.volumes.create(name, labels={"who": name})
    made: Any = client.containers.create(
        "labkit/base", "sleep 10000", name=name, volumes=[f"{name}:/data"], labels={"who": name},
        stop_signal="KILL",
    )  # fmt: skip
    network = client.networks.create(name, labels={"who": name})
    try:
        network.connect(made)
        made.start()
        made.commit(repository=name, changes=f"LABEL who={name}")
        exec_id = client.api.exec_create(made.id, "sleep 10000")["Id"]
        client.api.exec_start(exec_id, detach=True)
        image = client.images.get(name).id
        found = Foreign(engine, name, made.id, exec_id, str(network.id), str(image))
        before = found.seen()
        yield found
        assert found.seen() == before
    finally:
        made.remove(force=True, v=True)
        network.remove()
        volume.remove()
        client.images.remove(name, force=True)
