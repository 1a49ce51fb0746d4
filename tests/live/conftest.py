"""Real engines for the live tests. Where none can be had the tests fail: none is skipped."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from other import OtherEngine
from podmans import podman_service

from labkit import connect
from labkit.engine import Engine, VmEngine
from labkit.host import Host, LocalHost, ProbeHost
from labkit.images import build_images
from labkit.lab import Lab

# The SDK leaves its sockets to the garbage collector where an engine is gone or none was there.
SOCKETS_LEFT = "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"


# What starts another engine, or looks directly, takes root; `make test` leaves it out for others.
FOR_ROOT = {"other_engine", "remapping_engine", "small_engine", "local", "podman", "packages"}
if os.environ.get("LABKIT_ENGINE") == "vm":
    FOR_ROOT -= {"local"}  # in a guest an agent of ours looks, as its root


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Forgive the SDK those sockets, in live tests alone, and mark what only root may do."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings(SOCKETS_LEFT))
            if FOR_ROOT & set(getattr(item, "fixturenames", ())):
                item.add_marker(pytest.mark.root)


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The engine that `make lab` set up, or whatever `connect` finds or starts."""
    found = connect()
    build_images(found, on_message=print)
    return found


@pytest.fixture
def lab(engine: Engine) -> Iterator[Lab]:
    """A lab of this test's own."""
    with Lab(engine=engine) as made:
        yield made


@pytest.fixture(scope="session")
def podman(engine: Engine) -> Iterator[Engine]:
    """Podman's service, with the lab images."""
    with podman_service(engine) as made:
        yield made


@pytest.fixture(scope="session")
def probe(engine: Engine) -> Iterator[ProbeHost]:
    """A probe container on the engine."""
    started = engine.probe()
    yield started
    started.close()


@pytest.fixture(scope="session")
def local(engine: Engine) -> Host:
    """The engine's machine seen directly: by root on it, or by the agent in a guest."""
    if isinstance(engine, VmEngine):
        return engine.host
    daemon = engine.local_daemon()
    assert daemon is not None, "run these tests as root on the engine's own machine"
    return LocalHost(anchor=daemon)


@pytest.fixture(scope="session")
def base_tar(engine: Engine) -> bytes:
    """The image `base` as `docker save` writes it, for engines that have no image yet."""
    return b"".join(engine.client.images.get("labkit/base").save(named=True))


@pytest.fixture
def other_engine(base_tar: bytes) -> Iterator[OtherEngine]:
    """A second private engine, running, with the image `base`."""
    other = OtherEngine(f"lk{secrets.token_hex(3)}")
    try:
        other.start()
        other.load(base_tar)
        yield other
    finally:
        other.remove()
