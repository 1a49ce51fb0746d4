"""The command line through a lab's socket does what it does on the engine itself."""

from __future__ import annotations

import bz2
import fcntl
import gzip
import json
import lzma
import os
import pty
import select
import struct
import subprocess
import tarfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest
from through import TIMEOUT, docker, does, place, tags

from labkit import Lab
from labkit.engine import Engine
from labkit.waiting import wait_until

RUN = ("run", "--detach", "--name")
IMAGE = "labkit/base"


@contextmanager
def going(lab: Lab, *argv: str) -> Iterator[subprocess.Popen[str]]:
    """A `docker` that goes on, until the block ends."""
    process = subprocess.Popen(
        ["docker", *argv],
        env={**os.environ, **lab.environ()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_one_life(lab: Lab) -> None:
    does(lab, *RUN, "web", IMAGE, "sh", "-c", "trap 'exit 3' TERM; echo up; sleep 600 & wait")
    wait_until(lambda: does(lab, "logs", "web") == "up", timeout=TIMEOUT, what="its log")
    assert does(lab, "top", "web", "-o", "pid,args").splitlines()[0].split() == ["PID", "COMMAND"]
    does(lab, "pause", "web")
    assert does(lab, "inspect", "--format", "{{.State.Status}} {{.Name}}", "web") == "paused /web"
    does(lab, "unpause", "web")
    does(lab, "rename", "web", "shop")
    assert does(lab, "ps", "--format", "{{.Names}}") == "shop"
    does(lab, "update", "--memory", "48m", "--memory-swap", "48m", "shop")
    assert lab.container("shop").cgroup().memory_limit() == 48 << 20
    assert does(lab, "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}").startswith(
        "shop "
    )
    with going(lab, "wait", "shop") as waiting:
        does(lab, "stop", "shop")
        assert waiting.communicate(timeout=TIMEOUT)[0] == "3\n"
    does(lab, "start", "shop")
    does(lab, "restart", "--time", "0", "shop")
    does(lab, "kill", "shop")
    assert does(lab, "rm", "shop") == "shop"
    assert does(lab, "ps", "--all", "--quiet") == ""


def test_streams(lab: Lab) -> None:
    does(lab, *RUN, "cat", "--interactive", IMAGE, "cat")
    assert docker(lab, "exec", "--interactive", "cat", "sha256sum", stdin="abc").stdout[:8] == (
        "ba7816bf"
    )
    with going(lab, "logs", "--follow", "cat") as log, going(lab, "attach", "cat") as attached:
        assert attached.stdin is not None
        attached.stdin.write("one\n")
        attached.stdin.flush()
        assert attached.stdout is not None
        assert attached.stdout.readline() == "one\n"
        assert log.stdout is not None
        assert log.stdout.readline() == "one\n"
        does(lab, "stop", "--time", "0", "cat")  # and with it all three end
        assert log.wait(TIMEOUT) == 0
        assert attached.wait(TIMEOUT) == 137
    done = docker(lab, "run", "--rm", "-i", IMAGE, "sh", "-c", "cat; exit 5", stdin="x" * 300_000)
    assert (done.returncode, len(done.stdout)) == (5, 300_000)
    done = docker(lab, "run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_a_terminal_and_its_size(lab: Lab) -> None:
    does(lab, *RUN, "box", "labkit/toolbox", "sleep", "600")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        ["docker", "exec", "-it", "box", "bash", "--norc"],
        env={**os.environ, **lab.environ()},
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)
    seen = b""

    def read_until(text: bytes) -> None:
        nonlocal seen
        deadline = time.monotonic() + TIMEOUT
        while text not in seen:
            assert select.select([ours], [], [], max(deadline - time.monotonic(), 0))[0], seen
            seen += os.read(ours, 4096)

    try:
        # Docker's own command tells the size when the program already runs. The quotes keep the
        # terminal's echo of a line from being taken for its end.
        until = 'until [ "$(stty size)" = "%s" ]; do sleep 0.1; done; echo %s\n'
        os.write(ours, (until % ("24 80", 'be"g"un')).encode())
        read_until(b"begun")
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 132, 0, 0))
        os.write(ours, (until % ("40 132", 're"siz"ed')).encode())
        read_until(b"resized")
        os.write(ours, b"exit 4\n")
        assert process.wait(TIMEOUT) == 4
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_files(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a").write_bytes(os.urandom(3_000_000))
    (tmp_path / "in/link").symlink_to("a")
    does(lab, *RUN, "box", IMAGE)
    does(lab, "cp", str(tmp_path / "in"), "box:/tmp/there")
    does(lab, "cp", "box:/tmp/there", str(tmp_path / "out"))
    assert (tmp_path / "out/a").read_bytes() == (tmp_path / "in/a").read_bytes()
    assert (tmp_path / "out/link").readlink() == Path("a")
    done = subprocess.run(
        ["docker", "cp", "box:/tmp/there", "-"],
        env={**os.environ, **lab.environ()}, capture_output=True, check=True,
    )  # fmt: skip
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        assert sorted(archive.getnames()) == ["there", "there/a", "there/link"]
    assert set(does(lab, "diff", "box").split("\n")) >= {"A /tmp/there", "A /tmp/there/a"}


def test_events_are_the_labs(engine: Engine, lab: Lab) -> None:
    begin = time.time()
    with Lab(engine=engine) as other, going(lab, "events", "--since", str(int(begin))) as follow:
        other.run("base", name="foreign")
        does(lab, *RUN, "mine", IMAGE)
        lines: list[str] = []

        def listen() -> None:
            assert follow.stdout is not None
            lines.extend(iter(follow.stdout.readline, ""))

        threading.Thread(target=listen, daemon=True).start()
        wait_until(
            lambda: any(" start " in one for one in lines), timeout=TIMEOUT, what="the start"
        )
    assert any("name=mine" in one for one in lines)
    assert not any("foreign" in one or "labkit.lab" in one for one in lines), lines


def test_networks_and_volumes(lab: Lab) -> None:
    does(lab, "network", "create", "app")
    does(lab, *RUN, "db", "--network", "app", IMAGE)
    does(lab, *RUN, "web", IMAGE)
    does(lab, "network", "connect", "--alias", "site", "app", "web")
    assert "1 packets received" in does(lab, "exec", "db", "ping", "-c1", "-W9", "site")
    assert "1 packets received" in does(lab, "exec", "web", "ping", "-c1", "-W9", "db")
    found = json.loads(does(lab, "network", "inspect", "app"))[0]
    assert {one["Name"] for one in found["Containers"].values()} == {"db", "web"}
    does(lab, "network", "disconnect", "app", "web")
    assert does(lab, "network", "ls", "--filter", "name=app", "--format", "{{.Name}}") == "app"
    does(lab, *RUN, "guest", "--network", "container:db", "--pid", "container:db", IMAGE)
    assert does(lab, "exec", "guest", "hostname", "-i") == does(lab, "exec", "db", "hostname", "-i")
    does(lab, *RUN, "friend", "--link", "web:old", IMAGE)
    assert "1 packets received" in does(lab, "exec", "friend", "ping", "-c1", "-W9", "old")

    does(lab, "volume", "create", "data")
    does(lab, *RUN, "one", "-v", "data:/d", IMAGE, "sh", "-c", "echo kept >/d/file; sleep 600")
    two = ("--mount", "type=volume,src=data,dst=/e")
    wait_until(
        lambda: docker(lab, "run", "--rm", *two, IMAGE, "cat", "/e/file").stdout == "kept\n",
        timeout=TIMEOUT, what="the file",
    )  # fmt: skip
    assert does(lab, "run", "--rm", "--volumes-from", "one", IMAGE, "cat", "/d/file") == "kept"
    assert does(lab, "volume", "ls", "--quiet") == "data"
    assert docker(lab, "volume", "rm", "data").returncode == 1
    assert [one.name for one in lab.volumes()] == ["data"]


def test_images(lab: Lab, tmp_path: Path) -> None:
    does(lab, *RUN, "box", IMAGE, "sh", "-c", "echo made >/made; sleep 600")
    wait_until(lambda: "A /made" in does(lab, "diff", "box"), timeout=TIMEOUT, what="the file")
    does(lab, "commit", "--change", "ENV COLOUR=blue", "box", "mine:v1")
    assert does(lab, "run", "--rm", "mine:v1", "sh", "-c", "cat /made; echo $COLOUR") == (
        "made\nblue"
    )
    does(lab, "tag", "mine:v1", "other/name:v2")
    listed = does(lab, "images", "--format", "{{.Repository}}:{{.Tag}}", "mine").split()
    assert listed == ["mine:v1"]
    saved = tmp_path / "saved.tar"
    does(lab, "save", "--output", str(saved), "mine:v1", "other/name:v2")
    with tarfile.open(saved) as archive:
        file = archive.extractfile("manifest.json")
        assert file is not None
        names = sorted(tag for one in json.load(file) for tag in one["RepoTags"])
    assert names == ["mine:v1", "other/name:v2"]
    does(lab, "rmi", "mine:v1", "other/name:v2")
    assert docker(lab, "run", "--rm", "mine:v1", "true").returncode == 125
    assert "Loaded image: mine:v1" in does(lab, "load", "--input", str(saved))
    assert does(lab, "run", "--rm", "mine:v1", "cat", "/made") == "made"
    assert does(lab, "history", "--quiet", "mine:v1")
    assert lab.image("mine:v1").docker.labels["labkit.lab"] == lab.id


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    # Compressors that use several processors write several parts.
    "parts": lambda data: gzip.compress(data[:99_999]) + gzip.compress(data[99_999:]),
}


@pytest.mark.parametrize("kind", PACKED)
def test_a_load_of_what_is_compressed(lab: Lab, tmp_path: Path, kind: str) -> None:
    """In whatever way the engine takes it the names become the lab's."""
    name, file = f"packed-{lab.id}", tmp_path / "saved"
    does(lab, "tag", IMAGE, name)
    does(lab, "save", "--output", str(file), name)
    does(lab, "rmi", name)
    file.write_bytes(PACKED[kind](file.read_bytes()))
    assert f"Loaded image: {name}" in does(lab, "load", "--input", str(file))
    found = [tag for tag in tags(lab.engine) if name in tag]
    assert found == [f"labkit-{lab.id}/{name}:latest"]


@pytest.mark.parametrize("kind", ["buildx", "classic"])
def test_builds(lab: Lab, tmp_path: Path, kind: str) -> None:
    (tmp_path / "note").write_text("a note\n")
    (tmp_path / "secret").write_text("hush\n")
    first = "FROM labkit/base\nCOPY note /note\n"
    second = "FROM first\nRUN cat /note >/copied && echo a step\n"
    command: tuple[str, ...] = ("buildx", "build", "--load")
    options = ["--secret", f"id=s,src={tmp_path}/secret"]
    if kind == "buildx":
        second += (
            "RUN --mount=type=secret,id=s --mount=type=cache,target=/c "
            "cat /run/secrets/s >/c/s && wc -c </c/s >/size\n"
        )
    else:
        command, options = ("build",), []
    for name, text in (("first", first), ("second:v1", second)):
        (tmp_path / "Dockerfile").write_text(text)
        done = subprocess.run(
            ["docker", *command, *(options if name != "first" else ()), "-t", name, str(tmp_path)],
            env={**os.environ, **lab.environ(), "DOCKER_BUILDKIT": str(int(kind == "buildx"))},
            capture_output=True, text=True, check=False, timeout=TIMEOUT * 2,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert does(lab, "run", "--rm", "second:v1", "cat", "/copied") == "a note"
    if kind == "buildx":
        assert does(lab, "run", "--rm", "second:v1", "cat", "/size") == "5"
    labels = json.loads(does(lab, "inspect", "--format", "{{json .Config.Labels}}", "second:v1"))
    assert not {"labkit.lab", "labkit.session", "labkit.owner", "labkit.name"} & set(labels or {})
    assert does(lab, "images", "--quiet", "first") != ""


def test_versions_are_negotiated(lab: Lab) -> None:
    import docker as sdk

    for version in ("auto", "1.39"):
        client = sdk.DockerClient(f"unix://{place(lab)}", version=version)
        assert client.ping()
        client.close()
    environ = {**os.environ, **lab.environ(), "DOCKER_API_VERSION": "1.39"}
    done = subprocess.run(["docker", "version"], env=environ, capture_output=True, text=True)
    assert "1.39" in done.stdout
    environ["DOCKER_API_VERSION"] = "9.99"
    done = subprocess.run(["docker", "ps"], env=environ, capture_output=True, text=True)
    assert done.returncode == 1
    assert "too new" in done.stderr
