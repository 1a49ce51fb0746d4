"""What can go wrong: one clear error that says what to do, and nothing left behind."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator

import psutil
import pytest
from other import OtherEngine
from owners import remains

from labkit.engine import Endpoint, Engine
from labkit.errors import (
    BadValueError,
    ContainerExitedError,
    DiskFullError,
    EngineGoneError,
    EngineRefusedError,
    EngineTimeoutError,
    ImageBuildError,
    ImageNotFoundError,
    LabError,
    NotFoundError,
)
from labkit.images import build_images
from labkit.lab import Lab
from labkit.lab.sweep import sweep_dead

BUILD = """
import json, sys, tempfile
from pathlib import Path
from labkit import LabError, connect, paths
from labkit.images import build_images
folder = Path(tempfile.mkdtemp(dir=paths.home()))
(folder / "toolbox").mkdir()
# A step that needs the network: a root that labkit made has all packages of its own recipes.
(folder / "toolbox/Dockerfile").write_text(
    "ARG ROOT=debian:trixie-slim\\nFROM ${ROOT}\\nRUN apt-get update && apt-get install -y hello\\n"
)
paths.images_dir = lambda: folder
try:
    build_images(connect(), on_message=print, names={"toolbox"})
    print(json.dumps(None))
except LabError as err:
    print(json.dumps([type(err).__name__, err.what, err.seen, err.do]))
"""

BAD: dict[str, tuple[type[LabError], str, Callable[[Lab], object]]] = {
    "image of ours": (ImageNotFoundError, "labkit images", lambda lab: lab.run("basse")),
    "image of others": (ImageNotFoundError, "", lambda lab: lab.run("nosuch/thing", name="x")),
    "image": (ImageNotFoundError, "labkit images", lambda lab: lab.image("basse")),
    "image name": (LabError, "", lambda lab: lab.run("Bad/Upper:case")),
    "memory": (BadValueError, '"64m"', lambda lab: lab.run("base", memory="64 megs")),
    "little memory": (EngineRefusedError, "", lambda lab: lab.run("base", memory="1k")),
    "cpus": (EngineRefusedError, "", lambda lab: lab.run("base", cpus=1000)),
    "name": (BadValueError, "letters", lambda lab: lab.run("base", name="no spaces")),
    "network's name": (BadValueError, "letters", lambda lab: lab.network("-n")),
    "volume's name": (BadValueError, "letters", lambda lab: lab.volume("a/b")),
    "subnet": (LabError, "", lambda lab: lab.network("n", subnet="10.0.0/99")),
    "network": (NotFoundError, "", lambda lab: lab.run("base", network="nosuch")),
    "partner": (NotFoundError, "", lambda lab: lab.run("base", network="container:nosuch")),
    "port": (LabError, "", lambda lab: lab.run("base", ports=["http"])),
    "program": (EngineRefusedError, "", lambda lab: lab.run("base", "nosuchprogram")),
    "capability": (EngineRefusedError, "", lambda lab: lab.run("base", cap_add=["NOSUCH"])),
    "signal": (
        EngineRefusedError,
        "",
        lambda lab: lab.run("base", name="s").kill(signal="NOSUCH"),
    ),
    "dockerfile": (LabError, "", lambda lab: lab.build("img", "FORM labkit/base\n")),
    "stage": (LabError, "", lambda lab: lab.build("img", "FROM nosuch/base\n")),
    "container": (NotFoundError, "lab.containers()", lambda lab: lab.container("nosuch")),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_values(engine: Engine, lab: Lab, bad: str) -> None:
    kind, do, act = BAD[bad]
    with pytest.raises(LabError) as raised:
        act(lab)
    assert isinstance(raised.value, kind), repr(raised.value)
    assert raised.value.what.endswith(".")
    assert raised.value.seen
    assert do in raised.value.do
    assert raised.value.do
    assert set(remains(engine, [lab.id])) <= {"container s"}


def test_a_container_that_exits_at_once(lab: Lab) -> None:
    box = lab.run("base", "sh -c 'echo cannot find my file; exit 3'", name="box")
    assert box.wait_exit() == 3
    for act in (lambda: box.exec("true"), lambda: box.namespaces(), lambda: box.kill()):
        with pytest.raises(ContainerExitedError) as raised:
            act()
        assert raised.value.exit_code == 3
        assert "cannot find my file" in raised.value.seen
        assert "first process" in raised.value.do


def test_a_container_killed_for_want_of_memory_says_so(lab: Lab) -> None:
    for number in range(3):  # Engine 20.10 misses one in a hundred
        box = lab.run("base", "tail /dev/zero", name=f"hungry{number}", memory="32m")
        assert box.wait_exit() == 137
        seen = box.inspect()["State"]["OOMKilled"]
        with pytest.raises(ContainerExitedError, match="want of memory" if seen else "32 MiB"):
            _ = box.pid
        if seen:
            return
    pytest.fail("the engine saw none of three")


def test_no_engine() -> None:
    started = time.monotonic()
    nowhere = Engine("docker", Endpoint("unix:///nowhere/docker.sock"))
    with pytest.raises(LabError) as raised, Lab(engine=nowhere) as lab:
        lab.run("base")
    assert isinstance(raised.value, EngineGoneError), repr(raised.value)
    assert "labkit doctor" in raised.value.do
    assert time.monotonic() - started < 5


def test_an_engine_stopped_under_a_live_lab(other_engine: OtherEngine) -> None:
    lab = Lab(engine=other_engine.engine)
    box = lab.run("base", name="box")
    net = lab.network("net")
    other_engine.private.stop()
    for act in (lambda: box.exec("true"), lambda: lab.run("base"), lambda: net.subnet,
                lambda: box.status, lab.containers):  # fmt: skip
        with pytest.raises(EngineGoneError) as raised:
            act()
        assert "labkit doctor" in raised.value.do
    lab.close()  # it cannot, and does not fail

    other_engine.start()
    assert remains(other_engine.engine, [lab.id])  # it was all on the disk
    assert sweep_dead(other_engine.engine.client) == []  # we, the owner, live
    code = f"""
import json
from labkit import connect
from labkit.lab import sweep
sweep.is_dead = lambda owner: owner.split("/")[1] == "{os.getpid()}"  # as it will be
print(json.dumps(sorted(sweep.sweep_dead(connect().client))))
"""
    assert other_engine.call(code) == ["box", "net"]
    assert remains(other_engine.engine, [lab.id]) == []


def test_a_daemon_that_hangs_under_a_live_lab(other_engine: OtherEngine) -> None:
    engine = other_engine.engine
    engine.client.api.timeout = 2
    with Lab(engine=engine) as lab:
        box = lab.run("base", name="box")
        daemon = psutil.Process(other_engine.pid)
        os.kill(daemon.pid, signal.SIGSTOP)
        try:
            for act in (lambda: box.status, lambda: lab.run("base", name="more")):
                with pytest.raises(EngineTimeoutError) as raised:
                    act()
                assert "in time" in raised.value.what
                assert raised.value.timeout == 2
                assert "labkit doctor" in raised.value.do
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
        engine.client.api.timeout = 60
        assert box.status == "running"
    # What was asked of it while it hung, it may still do afterwards.
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and not remains(engine, [lab.id]):
        time.sleep(0.1)
    assert set(remains(engine, [lab.id])) <= {"container more"}


def test_no_network_while_building(other_engine: OtherEngine, engine: Engine) -> None:
    engine.client.images.get("labkit/root-debian")  # built by the fixtures where none answers
    packed = b"".join(engine.client.images.get("labkit/root-debian").save(named=True))
    other_engine.load(packed)
    before = everything(other_engine)
    kind, what, seen, do = other_engine.call(BUILD)
    assert kind == ImageBuildError.__name__
    assert "toolbox" in what
    assert "apt-get" in seen
    assert "network" in do
    assert everything(other_engine) == before


@pytest.fixture
def small_engine(base_tar: bytes) -> Iterator[OtherEngine]:
    """A private engine on a disk of 48 MiB."""
    other = OtherEngine(f"lk{secrets.token_hex(3)}", memory_disk="48m")
    try:
        other.start()
        other.load(base_tar)
        yield other
    finally:
        other.remove()


def test_a_full_disk_while_building(small_engine: OtherEngine, engine: Engine) -> None:
    before = everything(small_engine)
    with Lab(engine=small_engine.engine) as lab:
        with pytest.raises(DiskFullError) as raised:
            lab.build("big", "FROM labkit/base\nRUN dd if=/dev/zero of=/big bs=1M count=90\n")
        assert "big" in raised.value.what
        assert "labkit clean" in raised.value.do
        with pytest.raises(DiskFullError):
            lab.build(
                "img", "FROM labkit/base\nCOPY big /\n", files={"big": os.urandom(60_000_000)}
            )
        small = lab.build("small", "FROM labkit/base\nRUN echo fits > /note\n")
        assert lab.once(small, "cat /note").stdout == "fits\n"
    assert everything(small_engine) == before

    packed = b"".join(engine.client.images.get("labkit/root-debian").save(named=True))
    with pytest.raises(Exception, match=r"(?i)no space left"):
        small_engine.load(packed)
    assert build_images(small_engine.engine, on_message=print, names={"base"}) == []


def everything(other: OtherEngine) -> tuple[object, ...]:
    """All containers and images of an engine, unfinished ones too."""
    api = other.engine.client.api
    images = {(one["Id"], *(one["RepoTags"] or ())) for one in api.images(all=True)}
    return images, [one["Id"] for one in api.containers(all=True)]
