"""Which engine is found, in which order, and what is said when none can be used."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from other import PACKAGES

from labkit import connect
from labkit.engine import Endpoint, Engine, discovery
from labkit.errors import BadValueError, NoEngineError


@pytest.fixture
def silent() -> Iterator[Endpoint]:
    """A socket that takes every connection and never says a word."""
    with tempfile.TemporaryDirectory(prefix="lk-", dir="/tmp") as folder:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(f"{folder}/silent.sock")
        listening.listen()
        taken: list[socket.socket] = []

        def take() -> None:
            while True:
                try:
                    taken.append(listening.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=take)
        thread.start()
        yield Endpoint(f"unix://{folder}/silent.sock")
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()
        for connection in taken:
            connection.close()


def test_a_chosen_engine_comes_alone(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in engine.endpoint.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LABKIT_ENGINE", "docker")
    names = [name for name, _ in discovery.candidates()]
    assert names == [f"DOCKER_HOST={engine.endpoint.url}"]
    found = connect()
    assert (found.kind, found.endpoint) == ("docker", engine.endpoint)
    assert connect() is found
    assert found.client.ping()
    found.close()


def test_a_chosen_engine_that_is_dead_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.delenv("LABKIT_ENGINE", raising=False)
    with pytest.raises(NoEngineError) as raised:
        connect()
    assert "no socket there: DOCKER_HOST=unix:///nowhere/docker.sock" in raised.value.seen
    assert "correct DOCKER_HOST" in raised.value.do
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")  # nothing listens there
    with pytest.raises(NoEngineError) as raised:
        connect()
    assert "refused" in raised.value.seen


@pytest.mark.parametrize("url", ["nonsense", "tcp://", "http://[::1", "ftp://x"])
def test_an_address_that_is_none_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", url)
    monkeypatch.delenv("LABKIT_ENGINE", raising=False)
    with pytest.raises(NoEngineError) as raised:
        connect()
    assert "DOCKER_HOST" in raised.value.seen


def test_an_engine_that_never_answers_is_given_up(
    silent: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", silent.url)
    started = time.monotonic()
    with pytest.raises(NoEngineError) as raised:
        connect(kind="docker")
    assert 2 < time.monotonic() - started < 6
    assert "timed out" in raised.value.seen.lower()


def test_the_current_context_is_used(
    engine: Engine, silent: Endpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import hashlib

    digest = hashlib.sha256(b"mine").hexdigest()
    meta = tmp_path / "contexts/meta" / digest
    meta.mkdir(parents=True)
    if engine.endpoint.cert_path:
        shutil.copytree(engine.endpoint.cert_path, tmp_path / "contexts/tls" / digest / "docker")
    described = {
        "Name": "mine",
        "Metadata": {},
        "Endpoints": {"docker": {"Host": engine.endpoint.url, "SkipTLSVerify": False}},
    }
    (meta / "meta.json").write_text(json.dumps(described))
    (tmp_path / "config.json").write_text('{"currentContext": "mine"}')
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    code = "from labkit.engine import discovery; print(*discovery.find()[0:1]); "
    code += "print(next(discovery.candidates())[0])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DOCKER_CONFIG": str(tmp_path), "PYTHONPATH": PACKAGES},
        capture_output=True,
        text=True,
        check=True,
    )
    assert engine.endpoint.url in done.stdout
    assert "context 'mine'" in done.stdout

    described["Endpoints"] = {"docker": {"Host": silent.url, "SkipTLSVerify": False}}
    (meta / "meta.json").write_text(json.dumps(described))
    (tmp_path / "config.json").write_text('{"currentContext": "lost"}')  # names no context
    code = "from labkit.engine import discovery; print([n for n, _ in discovery.candidates()])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DOCKER_CONFIG": str(tmp_path), "PYTHONPATH": PACKAGES},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("['Docker at /var/run/docker.sock'")


def test_an_unknown_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadValueError) as raised:
        connect(kind="lxc")
    assert "private" in raised.value.do
    monkeypatch.setenv("LABKIT_ENGINE", "lxc")
    with pytest.raises(BadValueError):
        connect()


@pytest.mark.root  # who alone can become another user
def test_a_user_without_any_engine_is_told_what_to_do(tmp_path: Path) -> None:
    """As uid 4242, with a PATH that holds nothing, in a home that holds nothing."""
    code = """
import os, sys
import labkit, docker.context, labkit.engine.discovery as discovery, labkit.engine.engine
from labkit import LabError, connect
from pathlib import Path
import labkit.engine.private, docker, docker.errors, requests.exceptions, urllib3.exceptions
try:
    discovery.why_not(labkit.engine.engine.Endpoint("unix:///nowhere"))
    os.setgroups([]); os.setgid(4242); os.setuid(4242)
    connect()
except LabError as err:
    print(type(err).__name__); print(err)
"""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("DOCKER", "LABKIT"))
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "PYTHONPATH": PACKAGES, "HOME": str(tmp_path), "PATH": str(tmp_path),
             "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    kind, said = done.stdout.split("\n", 1)
    assert kind == "NoEngineError"
    assert "Docker at /var/run/docker.sock" in said
    assert "rootless Podman" in said
    assert "a private engine: " in said
    commands = [line for line in said.splitlines() if line.startswith("  do:")]
    assert len(commands) == 1
    assert "sudo apt-get install" in commands[0] or "install Docker" in commands[0]
