"""Which engine is found, in which order, and what is said when none can be used."""

from __future__ import annotations

import gc
import json
import os
import select
import shutil
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from other import PACKAGES, OtherEngine

from labkit import connect
from labkit.engine import Endpoint, Engine, discovery
from labkit.errors import BadValueError, EngineTimeoutError, NoEngineError


@pytest.fixture(autouse=True)
def _collect_sockets() -> Iterator[None]:
    """What the SDK leaves where no engine answers is this test's, not the next one's."""
    yield
    gc.collect()


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
    silent: Endpoint, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(discovery, "PATIENCE", 2.0)
    monkeypatch.setenv("DOCKER_HOST", silent.url)
    started = time.monotonic()
    with pytest.raises(EngineTimeoutError) as raised:
        connect(kind="docker")
    assert 4 < time.monotonic() - started < 9
    assert raised.value.timeout == discovery.PING_TIMEOUT + 2
    assert silent.url in raised.value.what
    assert "timed out" in raised.value.seen.lower()
    assert "LABKIT_ENGINE=private" in raised.value.do
    assert "it gets 2 s more" in capsys.readouterr().err


def test_a_queue_that_is_full_is_not_an_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "PING_TIMEOUT", 0.5)
    monkeypatch.setattr(discovery, "PATIENCE", 0.5)
    with tempfile.TemporaryDirectory(prefix="lk-", dir="/tmp") as folder, ExitStack() as open_:
        listening = open_.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(f"{folder}/full.sock")
        listening.listen(0)
        waiting = open_.enter_context(socket.socket(socket.AF_UNIX))
        waiting.connect(f"{folder}/full.sock")
        monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/full.sock")
        with pytest.raises(EngineTimeoutError):
            connect(kind="docker")


def test_a_machine_that_cannot_be_reached_is_an_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that nobody takes is no engine that hangs."""
    monkeypatch.setattr(discovery, "PING_TIMEOUT", 0.5)
    with ExitStack() as open_:
        listening = open_.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        for _ in range(4):  # until the kernel drops what comes
            waiting = open_.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{address[1]}")
        with pytest.raises(NoEngineError, match="timed out"):
            connect(kind="docker")


class Slow:
    """A way to an engine's socket that lets the first byte of each conversation wait."""

    def __init__(self, socket_path: Path, place: Path) -> None:
        self.delay = 0.0  # seconds
        self.endpoint = Endpoint(f"unix://{place}")
        outer = self

        class Relay(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with socket.socket(socket.AF_UNIX) as engine:
                    engine.connect(str(socket_path))
                    other = {engine: self.request, self.request: engine}
                    while True:
                        for ready in select.select(list(other), [], [])[0]:
                            try:
                                if not (data := ready.recv(1 << 16)):
                                    return
                                if ready is self.request:
                                    time.sleep(outer.delay)
                                other[ready].sendall(data)
                            except OSError:  # who asked has given up
                                return

        self.server = socketserver.ThreadingUnixStreamServer(str(place), Relay)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def slow(other_engine: OtherEngine) -> Iterator[Slow]:
    with tempfile.TemporaryDirectory(prefix="lk-", dir="/tmp") as folder:
        made = Slow(other_engine.private.socket, Path(folder) / "slow.sock")
        yield made
        made.close()


def test_a_slow_engine_is_waited_for_and_stays_the_same(
    slow: Slow, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(discovery, "PING_TIMEOUT", 1.0)
    monkeypatch.setenv("DOCKER_HOST", slow.endpoint.url)
    monkeypatch.delenv("LABKIT_ENGINE", raising=False)
    slow.delay = 1.5
    found = connect()
    assert found.endpoint == slow.endpoint
    assert capsys.readouterr().err.count("is silent") == 1
    slow.delay = 0
    assert connect() is found and found.answers()
    assert capsys.readouterr().err == ""
    slow.delay = 1.5
    assert connect() is found
    assert capsys.readouterr().err.count("is silent") == 1
    slow.close()
    found.close()


FIND = """
import sys, time
from labkit import connect
from labkit.engine import discovery
discovery.PATIENCE = float(sys.argv[1])
discovery.candidates = lambda: iter([("Docker at /mine", discovery.Endpoint(sys.argv[2]))])
first = connect()
print(first.kind, flush=True)
input()
try:
    print(connect() is first, flush=True)
except Exception as err:
    print(type(err).__name__, err.what, err.do, flush=True)
"""


@pytest.mark.parametrize("chosen", ["", "private"])
def test_a_daemon_that_hangs_is_named_and_not_replaced(
    other_engine: OtherEngine, chosen: str
) -> None:
    """Stopped by SIGSTOP, before it is found, and after."""
    words = [sys.executable, "-c", FIND]
    environ = other_engine.environ(LABKIT_ENGINE=chosen)

    def start(patience: float) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{other_engine.name}", *words, str(patience),
             other_engine.private.endpoint.url],
            env=environ, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    before = {process.pid for process in other_engine.processes()}
    found = start(2)
    assert found.stdout is not None
    assert found.stdout.readline().strip() == (chosen or "docker")
    daemon = psutil.Process(other_engine.pid)
    daemon.suspend()
    try:
        out, err = found.communicate("\n", timeout=60)
        assert "EngineTimeoutError An engine listens and does not answer" in out, out + err
        assert other_engine.private.endpoint.url in out
        assert ("engine stop" if chosen else "LABKIT_ENGINE=vm") in out
        out, err = start(2).communicate("\n", timeout=60)
        assert out == "" and "EngineTimeoutError" in err
        assert ("the private engine" if chosen else "Docker at /mine") in err
        # One that is only busy: it is waited for, by a new process and by one that knew it.
        late = start(30)
        assert late.stderr is not None
        assert "gets 30 s more" in late.stderr.readline()
    finally:
        daemon.resume()
    out, err = late.communicate("\n", timeout=60)
    assert out.splitlines() == [chosen or "docker", "True"], err
    assert before == {process.pid for process in other_engine.processes()}


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
