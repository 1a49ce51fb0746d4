"""A lab's socket when something is wrong: who asks is told, nobody else notices, and it lives."""

from __future__ import annotations

import gzip
import os
import resource
import secrets
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from other import OtherEngine
from owners import IDLE, ended, environ_of, remains, start_owner
from plain_user import PYTHON, USER
from through import answers, ask, dial, docker, does, foreign, place, say, tags

from labkit import labels
from labkit.engine import Engine
from labkit.lab import Lab, registry
from labkit.lab.reaper import revive
from labkit.waiting import wait_until

GIB = 1 << 30
MIB = 1 << 20


def rss(pid: int) -> int:
    """Bytes of a process's memory."""
    return int(psutil.Process(pid).memory_info().rss)


@contextmanager
def most_memory(pid: int) -> Iterator[list[int]]:
    """The most bytes that a process had meanwhile."""
    done, most = threading.Event(), [rss(pid)]

    def look() -> None:
        while not done.wait(0.02):
            most[0] = max(most[0], rss(pid))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield most
    finally:
        done.set()
        thread.join()


# --- whose helper, notebook or engine has gone ---------------------------------------------------


def test_a_socket_whose_notebook_has_ended(engine: Engine) -> None:
    owner = start_owner(IDLE, environ_of(engine.endpoint))
    assert owner.stdout is not None
    lab, keeper = owner.stdout.readline().split()
    [entry] = [one for one in registry.entries() if one.lab == lab]
    ps = ["docker", "--host", f"unix://{entry.socket}", "ps", "--format", "{{.Names}}"]
    assert subprocess.run(ps, capture_output=True, text=True, check=False).stdout == "box\n"
    # A stream that is under way ends, too.
    logs = subprocess.Popen([*ps[:3], "logs", "-f", "box"], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)  # fmt: skip
    owner.kill()
    owner.communicate()
    logs.wait(timeout=60)
    wait_until(lambda: not entry.socket.exists(), timeout=60, what="the socket's end")
    done = subprocess.run(ps, capture_output=True, text=True, check=False)
    assert done.returncode and "Cannot connect to the Docker daemon" in done.stderr
    wait_until(lambda: not remains(engine, [lab]), timeout=60, what="the lab's end")
    wait_until(lambda: ended(int(keeper)), timeout=60, what="the helper's end")


def test_a_helper_that_was_killed_is_replaced_at_once(lab: Lab) -> None:
    """Without a cell: a terminal that asks meanwhile waits for the next one."""
    lab.run("base", "sleep 10000", name="box", stop_signal="KILL")
    revive()
    assert revive()
    keeper = lab.reaper.pid
    wait_until(
        lambda: psutil.Process(keeper).create_time() + 3 < time.time(), timeout=60, what="its age"
    )
    os.kill(keeper, signal.SIGKILL)
    assert does(lab, "ps", "--format", "{{.Names}}") == "box"
    assert lab.reaper.pid != keeper
    assert not revive()  # so the next cell says it
    assert revive()


TAGS = """
import os, subprocess, sys, time
from labkit import Lab
lab = Lab()
argv = ["docker", "tag", "labkit/base", sys.argv[1]]
subprocess.run(argv, env={**os.environ, **lab.environ()}, check=True)
time.sleep(3)
place = lab.environ()["DOCKER_HOST"].removeprefix("unix://")
print(lab.id, lab.reaper.pid, place, flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("killed", ["helper", "all", "all and cleaned"])
def test_a_name_that_was_lent_when_its_helper_was_killed(
    engine: Engine, tmp_path: Path, killed: str
) -> None:
    """It is taken back, by the next helper or by whoever cleans; what is others' stays."""
    client, mine = engine.client, f"lent-{secrets.token_hex(3)}"
    base = client.images.get("labkit/base")
    base.tag(f"{mine}-theirs")
    environ = {**environ_of(engine.endpoint), "LABKIT_HOME": str(tmp_path)}
    owner = start_owner(TAGS, environ, mine)

    def ours() -> set[str]:
        return {tag for tag in tags(engine) if mine in tag}

    try:
        assert owner.stdout is not None
        lab, keeper, path = owner.stdout.readline().split()
        left = {f"{mine}-theirs:latest", f"labkit-{lab}/{mine}:latest"}
        assert ours() == left
        with socket.socket(socket.AF_UNIX) as build:
            build.connect(path)
            build.sendall(b"POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\nxxx")
            wait_until(lambda: f"{mine}:latest" in ours(), timeout=60, what="the name")
            if killed != "helper":
                psutil.Process(owner.pid).suspend()  # or it would start another
                wait_until(lambda: are_stopped(owner.pid), timeout=60, what="its stop")
            os.kill(int(keeper), signal.SIGKILL)
            wait_until(lambda: ended(int(keeper)), timeout=60, what="its end")
        if killed != "helper":
            owner.kill()
            owner.wait()
            left = {f"{mine}-theirs:latest"}
        if killed == "all":
            subprocess.run([sys.executable, "-c", "from labkit import Lab; Lab()"], env=environ,
                           check=True)  # fmt: skip
        if killed == "all and cleaned":
            subprocess.run([sys.executable, "-m", "labkit", "clean"], env=environ, check=True)
        wait_until(lambda: ours() == left, timeout=60, what="its end", saw=ours)
    finally:
        owner.kill()
        owner.communicate()
        client.images.remove(f"{mine}-theirs")
    wait_until(lambda: not ours(), timeout=60, what="the end of all its names", saw=ours)


def are_stopped(pid: int) -> bool:
    """Whether all threads of a process are."""
    stats = Path(f"/proc/{pid}/task").glob("*/stat")
    return all(one.read_text().rpartition(")")[2].split()[0] == "T" for one in stats)


def test_an_engine_that_is_restarted(other_engine: OtherEngine) -> None:
    with Lab(engine=other_engine.engine) as lab:
        lab.run("base", "sleep 10000", name="box", restart_policy={"Name": "always"})
        keeper = lab.reaper.pid
        assert does(lab, "ps", "--format", "{{.Names}}") == "box"
        with dial(lab) as stream:
            stream.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
            assert stream.recv(1 << 16).startswith(b"HTTP/1.1 200")
            other_engine.private.stop()
            while stream.recv(1 << 16):  # it ends
                pass
        done = docker(lab, "ps")
        assert done.returncode and "the engine behind this lab's socket" in done.stderr
        assert "labkit engine start" in done.stderr
        other_engine.start()

        def names() -> str:
            return docker(lab, "ps", "--format", "{{.Names}}").stdout

        wait_until(lambda: names() == "box\n", timeout=60, what="the container", saw=names)
        assert lab.reaper.pid == keeper and not ended(keeper)


# --- requests that are none ----------------------------------------------------------------------

UPGRADE = b"POST /grpc HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MALFORMED = [
    b"\r\n\r\n", b"x\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00",
    b"GET /_ping HTTP/1.1\r\n\r\n", b"GET /_ping HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /_ping HTTP/1.1\r\nHo st: a\r\n\r\n", b"GET /_ping HTTP/1.1\r\nHost: \0\r\n\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /_ping HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    b"GET /_ping HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{}",
    b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{}",
    b"POST /containers/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /containers/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
    b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]",
    b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n\xff\xfe\xfd",
    UPGRADE + b"\xff" * 4000, UPGRADE + PREFACE + b"\xff" * 4000,
    UPGRADE + PREFACE + b"\0\0\x04\x01\x04\0\0\0\x01\xff\xff\xff\xff",  # headers that are none
    PREFACE, b"GET /containers/json?limit=x HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n",
]  # fmt: skip


def test_malformed_requests(lab: Lab) -> None:
    for data in MALFORMED:
        with dial(lab) as line:
            try:
                line.sendall(data)
                line.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it was refused before it was said
            heard = drained(line)
        assert heard == b"" or heard.startswith(b"HTTP/1.1 "), (data[:80], heard[:200])
        assert b"Traceback" not in heard
    deep = b"[" * 200_000
    assert ask(lab, "POST", "/containers/create", deep).status == 400
    deep = b'{"a":' * 5000 + b"1" + b"}" * 5000
    assert ask(lab, "POST", "/containers/create", deep).status == 400
    assert ask(lab, "POST", "/containers/create", b" " * (17 << 20)).status == 413
    assert does(lab, "ps", "-q") == ""


TAR = {"Content-Type": "application/x-tar"}


def test_archives_that_cannot_be_read_are_refused(engine: Engine, lab: Lab, tmp_path: Path) -> None:
    """They would bring their names to the engine as they are."""
    name = f"unread-{lab.id}"
    does(lab, "tag", "labkit/base", name)
    saved = ask(lab, "GET", "/images/get", names=name).body
    does(lab, "rmi", name)
    zstd = b"\x28\xb5\x2f\xfd" + saved  # how a frame begins: RFC 8878
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0next" + zstd
    lz4 = b"\x04\x22\x4d\x18" + saved
    tail = gzip.compress(saved)[:-4000]
    for data, why in (
        (zstd, "zstd -d"), (skippable, "zstd -d"), (lz4, "no archive of images"),
        (b"x" * 5000, "no archive of images"), (gzip.compress(b"x" * 5000), "no archive of images"),
        (b"BZh9" + saved, "damaged"), (b"\x1f\x8b" + saved, "damaged"),
        (b"\xfd7zXZ\0" + saved, "damaged"),
        (gzip.compress(saved[:5120]) + b"junk" * 99, "damaged"), (tail, ""), (b"", ""),
        (saved[:100], ""), (b"\0" * 1024, ""),
    ):  # fmt: skip
        answer = ask(lab, "POST", "/images/load", data, headers=TAR)
        assert why in answer.text, (data[:8], answer)
        assert answer.status == 400 or not why, answer
    # However large it is, and whoever sends it.
    large = tmp_path / "large.zst"
    large.write_bytes(zstd + os.urandom(50 * MIB))
    done = docker(lab, "load", "--input", str(large))
    assert done.returncode
    assert "zstd -d" in done.stderr
    assert "zstd -d" in ask(lab, "POST", "/images/load", large.read_bytes(), headers=TAR).text
    assert not [tag for tag in tags(engine) if name in tag]


def test_who_goes_in_the_midst_of_a_build_leaves_no_name(engine: Engine, lab: Lab) -> None:
    name = f"left-{lab.id}"
    does(lab, "tag", "labkit/base", name)
    head = b"POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n"

    def lent() -> bool:
        return f"{name}:latest" in tags(engine)

    with dial(lab) as line:
        line.sendall(head + b"x" * 99)
        wait_until(lent, timeout=60, what="the name for the build")
    wait_until(lambda: not lent(), timeout=60, what="its end")


def drained(line: socket.socket) -> bytes:
    """What comes until the end."""
    parts = []
    try:
        while part := line.recv(1 << 16):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def test_streams_of_which_one_end_is_closed(lab: Lab) -> None:
    [answer] = say(lab, b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n", end=True)
    assert answer.status == 200
    # A program's standard input ends, and what it says afterwards still comes.
    said = does(lab, "run", "-i", "--rm", "labkit/base", "sh", "-c", "wc -c; echo end",
                stdin="x" * 3_000_000)  # fmt: skip
    assert said.split() == ["3000000", "end"]
    # Who goes in the middle of an upload leaves nothing that waits.
    lab.run("base", "sleep 10000", name="box", stop_signal="KILL")
    assert ask(lab, "GET", "/_ping").status == 200
    before = connections(lab)
    for head in (b"PUT /containers/box/archive?path=/tmp", b"POST /images/load", b"POST /build",
                 b"POST /containers/create", b"POST /images/create?fromSrc=-"):  # fmt: skip
        with dial(lab) as line:
            line.sendall(head + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n" + b"x" * 99)
    for target in (b"/events", b"/containers/box/logs?follow=1", b"/containers/box/stats"):
        with dial(lab) as line:
            line.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_few(lab, before)


KEPT = 8  # idle connections to the engine


def connections(lab: Lab) -> int:
    """How many the helper has, with clients and with the engine."""
    return len(psutil.Process(lab.reaper.pid).net_connections("unix"))


def wait_few(lab: Lab, before: int) -> None:
    """Wait until nothing is left of what went through."""
    wait_until(
        lambda: connections(lab) <= before + KEPT,
        timeout=60,
        what="the end of the connections",
        saw=lambda: f"{connections(lab)}, and {before} before",
    )


@pytest.mark.timeout(200)
def test_a_client_that_stops_reading(lab: Lab) -> None:
    """100 MB wait for it at the engine, not in the helper; others are served meanwhile."""
    box = lab.run("base", "sleep 10000", name="box", stop_signal="KILL")
    box.exec("dd if=/dev/zero of=/tmp/zeros bs=1M count=100")
    with most_memory(lab.reaper.pid) as most, dial(lab) as line:
        start = most[0]
        line.sendall(b"GET /containers/box/archive?path=/tmp HTTP/1.1\r\nHost: x\r\n\r\n")
        assert line.recv(20)
        for _ in range(20):
            assert does(lab, "ps", "-a", "--format", "{{.Names}}") == "box"
        got = sum(map(len, iter(lambda: line.recv(1 << 18), b"")))
    assert got > 100_000_000
    print(f"{got >> 20} MiB; the helper had {(most[0] - start) >> 20} MiB more")
    assert most[0] - start < 20 * MIB


@pytest.mark.timeout(280)
def test_a_gigabyte_through_cp(lab: Lab) -> None:
    box = lab.run("base", "sleep 10000", name="box", stop_signal="KILL")
    entry = tarfile.TarInfo("zeros")
    entry.size = GIB
    cp = subprocess.Popen(
        ["docker", "cp", "-", "box:/tmp"], env={**os.environ, **lab.environ()},
        stdin=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert cp.stdin is not None
    with most_memory(lab.reaper.pid) as most:
        start = most[0]
        cp.stdin.write(entry.tobuf())
        for _ in range(GIB // MIB):
            cp.stdin.write(bytes(MIB))
        cp.stdin.write(bytes(1024))
        _, err = cp.communicate(timeout=200)
    assert cp.returncode == 0, err
    assert box.exec("stat -c %s /tmp/zeros").stdout == f"{GIB}\n"
    print(f"the helper had {(most[0] - start) >> 20} MiB more")
    assert most[0] - start < 20 * MIB


@pytest.mark.timeout(200)
def test_a_thousand_connections_at_once(lab: Lab) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    assert ask(lab, "GET", "/_ping").status == 200
    before = connections(lab)
    lines: list[socket.socket] = []
    try:
        for _ in range(1000):
            lines.append(dial(lab))
        for line in lines:
            line.sendall(b"GET /containers/json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        heard = [answers(drained(line)) for line in lines]
    finally:
        for line in lines:
            line.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert {one.status for many in heard for one in many} == {200}
    assert len(heard) == 1000
    wait_few(lab, before)


def test_a_pattern_that_would_take_years(lab: Lab) -> None:
    """Docker's own engine needs no time for it; who asks is told, and others are served."""
    name = "a" * 200 + "-b"
    does(lab, "run", "-d", "--name", name, "--stop-signal", "KILL", "labkit/base")
    does(lab, "network", "create", name)
    does(lab, "volume", "create", name)
    for path in ("/containers/json", "/networks", "/volumes"):
        answer = ask(lab, "GET", path, filters={"name": ["(a+)+$"]})
        assert answer.status == 400
        assert "takes too long" in answer.text
    assert does(lab, "ps", "--format", "{{.Names}}", "--filter", "name=^a+-b$") == name


# --- names and labels that mislead ---------------------------------------------------------------


def test_a_name_that_is_the_beginning_of_anothers_id(lab: Lab) -> None:
    first = does(lab, "run", "-d", "--name", "first", "--stop-signal", "KILL", "labkit/base")
    short = first[:6]
    second = does(lab, "run", "-d", "--name", short, "--stop-signal", "KILL", "labkit/base")
    assert does(lab, "inspect", "-f", "{{.Id}}", short) == second
    assert does(lab, "inspect", "-f", "{{.Id}}", first[:7]) == first
    does(lab, "rm", "-f", short)
    assert does(lab, "ps", "-q", "--no-trunc") == first
    assert does(lab, "inspect", "-f", "{{.Id}}", short) == first  # now it can only be that one
    network = does(lab, "network", "create", "net")
    another = does(lab, "network", "create", network[:6])
    assert does(lab, "network", "inspect", "-f", "{{.Id}}", network[:6]) == another


def test_a_container_that_was_renamed_by_hand(lab: Lab) -> None:
    """It is still the lab's, by its labels; and so is a name like the lab's own of a stranger's."""
    box = lab.run("base", "sleep 10000", name="box", stop_signal="KILL")
    api = lab.engine.client.api
    other = f"renamed-{lab.id}"
    api.rename(box.id, other)
    [shown] = does(lab, "ps", "--format", "{{.Names}}").split()
    assert [one.name for one in lab.containers()] == [shown]
    for name in (shown, other, box.id[:12]):
        assert does(lab, "inspect", "-f", "{{.Id}}", name) == box.id
    does(lab, "rename", shown, "again")
    assert api.inspect_container(box.id)["Name"] == f"/labkit-{lab.id}-again"
    does(lab, "rm", "-f", "again")


def test_a_label_that_claims_another_lab(engine: Engine, lab: Lab) -> None:
    claims = [f"--label={labels.LAB}=00000000", f"--label={labels.OWNER}=me",
              f"--label={labels.SESSION}=another", f"--label={labels.NAME}=other"]  # fmt: skip
    with foreign(engine) as beside, Lab(engine=engine) as another:
        claims[0] = f"--label={labels.LAB}={another.id}"
        run = ("run", "-d", "--name", "box", "--stop-signal", "KILL")
        does(lab, *run, *claims, "labkit/base", "sleep", "10000")
        does(lab, "volume", "create", *claims, "vol")
        does(lab, "network", "create", *claims, "net")
        does(lab, "build", *claims, "-t", "img", "-", stdin=f"FROM labkit/base\nENV A={lab.id}\n")
        told = f"FROM labkit/base\nLABEL {labels.LAB}={another.id}\nENV B={lab.id}\n"
        does(lab, "build", "-t", "img2", "-", stdin=told)
        change = f"LABEL {labels.LAB}={another.id}"
        does(lab, "commit", "--change", change, "box", "img3")
        does(lab, "run", "--name", "child", "img3", "true")
        assert remains(engine, [another.id]) == []
        assert sorted(remains(engine, [lab.id])) == [
            "container box", "container child", "image img", "image img2", "image img3",
            "network net", "volume vol",
        ]  # fmt: skip
        mine = lab.labels("x")[labels.OWNER]
        assert {one.labels[labels.OWNER] for one in lab.containers()} == {mine}
        assert does(lab, "ps", "--format", "{{.Names}}", f"--filter=label={labels.LAB}") == "box"
        does(lab, "rm", "-f", beside.name)
    lab.close()
    assert remains(engine, [lab.id]) == []


# --- another user of the machine -----------------------------------------------------------------

CONNECT = """
import os, socket, sys
path = sys.argv[1]
for what in (lambda: socket.socket(socket.AF_UNIX).connect(path), lambda: os.stat(path),
             lambda: os.listdir(os.path.dirname(path))):
    try:
        what()
    except PermissionError:
        print("refused")
"""


@pytest.mark.root
def test_another_user_of_the_machine_cannot_use_it(lab: Lab) -> None:
    path = place(lab)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    for user in (USER, 65534):  # nobody
        done = subprocess.run(
            [PYTHON, "-c", CONNECT, str(path)], user=user, group=user, extra_groups=[],
            cwd="/", capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.stdout == "refused\n" * 3, done.stderr
    assert ask(lab, "GET", "/_ping").status == 200
