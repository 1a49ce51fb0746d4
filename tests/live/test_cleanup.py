"""Nothing of a lab is left behind, however its owner ends; nothing else is touched."""

from __future__ import annotations

import gc
import os
import random
import secrets
import signal
import sys
import time
from collections.abc import Iterator

import psutil
import pytest
from jupyter_client.manager import start_new_kernel
from owners import BUSY, IDLE, environ_of, remains, start_owner

from labkit.engine import Engine
from labkit.lab import Lab
from labkit.lab.sweep import sweep_dead
from labkit.waiting import wait_until

# In an emulated machine a container takes seconds; the desktop's engine is in one.
EMULATED = os.environ.get("LABKIT_ENGINE") == "vm" or sys.platform == "darwin"
SLOWER = 4 if EMULATED else 1
TRIALS, AT_ONCE = 32 // SLOWER, 4
LONGEST = 3.0 * SLOWER  # seconds that an owner lives after its lab began
PATIENCE = 10.0 * SLOWER  # seconds after which nothing may remain
FILLED = {"container box", "network net", "volume vol", "image img"}  # what `fill` makes

FILL = """
from labkit import Lab
lab = Lab()
net, volume = lab.network("net"), lab.volume("vol")
lab.run("base", name="box", network=net, volumes={volume: "/v"})
print(lab.id)
"""


@pytest.fixture
def foreign(engine: Engine) -> Iterator[None]:
    """A container, a network and a volume that are not labkit's, and must not change."""
    client, name = engine.client, f"foreign-{secrets.token_hex(3)}"
    network, volume = client.networks.create(name), client.volumes.create(name)
    container = client.containers.run(
        "labkit/base", name=name, detach=True, network=name, volumes=[f"{name}:/data"]
    )

    def seen() -> tuple[object, ...]:
        found = client.api.inspect_container(name)
        return (
            found["Id"],
            found["State"],
            found["NetworkSettings"]["Networks"][name]["IPAddress"],
            client.api.inspect_network(name)["Id"],
            client.api.inspect_volume(name),
        )

    before = seen()
    try:
        yield
        assert seen() == before
    finally:
        container.remove(force=True)
        network.remove()
        volume.remove()


def fill(lab: Lab) -> None:
    net, volume = lab.network("net"), lab.volume("vol")
    lab.run("base", name="box", network=net, volumes={volume: "/v"})
    lab.build("img", f"FROM labkit/base\nENV N={lab.id}\n")


def gone(engine: Engine, *labs: str) -> None:
    wait_until(
        lambda: not remains(engine, labs),
        timeout=PATIENCE,
        what=f"the end of {labs}",
        saw=lambda: remains(engine, labs),
    )


@pytest.mark.usefixtures("foreign")
def test_a_with_leaves_nothing(engine: Engine) -> None:
    with Lab(engine=engine) as lab:
        fill(lab)
        assert set(remains(engine, [lab.id])) >= FILLED
    assert remains(engine, [lab.id]) == []
    lab.close()  # a second time does no harm


@pytest.mark.usefixtures("foreign")
def test_an_exception_leaves_nothing(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), Lab(engine=engine) as lab:
        fill(lab)
        _ = 1 / 0
    assert remains(engine, [lab.id]) == []


def test_a_lab_that_is_dropped_leaves_nothing(engine: Engine) -> None:
    lab = Lab(engine=engine)
    fill(lab)
    name = lab.id
    del lab
    gc.collect()
    gone(engine, name)


@pytest.mark.usefixtures("foreign")
def test_a_restarted_kernel_leaves_nothing(engine: Engine) -> None:
    manager, client = start_new_kernel(
        kernel_name="python3", env=environ_of(engine.endpoint), cwd="/tmp"
    )
    try:
        printed: list[str] = []

        def hook(message: dict[str, dict[str, str]]) -> None:
            printed.append(message["content"].get("text") or message["content"].get("evalue", ""))

        reply = client.execute_interactive(FILL, output_hook=hook, timeout=60)
        assert reply["content"]["status"] == "ok", printed
        lab = "".join(printed).strip()
        assert set(remains(engine, [lab])) == FILLED - {"image img"}
        manager.restart_kernel(now=True)
        gone(engine, lab)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@pytest.mark.usefixtures("foreign")
@pytest.mark.timeout(200)
def test_owners_killed_at_random_moments_leave_nothing(engine: Engine) -> None:
    """Many owners, four at a time, each killed in the midst of its work."""
    made, later = 0, []
    for first in range(0, TRIALS, AT_ONCE):
        seeds = range(first, first + AT_ONCE)
        owners = [start_owner(BUSY, environ_of(engine.endpoint), seed) for seed in seeds]
        labs = []
        deaths = []
        for seed, owner in zip(seeds, owners, strict=True):
            assert owner.stdout is not None
            labs.append(owner.stdout.readline().strip())
            deaths.append((time.monotonic() + random.Random(seed).uniform(0, LONGEST), owner))
        assert all(labs)
        for moment, owner in sorted(deaths, key=lambda death: death[0]):
            time.sleep(max(0, moment - time.monotonic()))
            assert owner.poll() is None, f"the owner ended by itself: seeds {seeds}"
            owner.kill()
            owner.communicate()
        made += len(remains(engine, labs))
        print(f"seeds {list(seeds)}: {len(remains(engine, labs))} objects when they died")
        gone(engine, *labs)
        # A request under way at the kill may make something later: look again at the end.
        later.extend(labs)
    assert made > TRIALS / SLOWER  # else nothing was there to be cleaned
    time.sleep(1)
    assert remains(engine, later) == []


@pytest.mark.alone  # any other lab that begins would sweep it first
@pytest.mark.usefixtures("foreign")
def test_what_a_power_cut_left_is_swept_at_the_next_start(engine: Engine) -> None:
    owners = [start_owner(IDLE, environ_of(engine.endpoint)) for _ in range(3)]
    labs, reapers = [], []
    for owner in owners:
        assert owner.stdout is not None
        lab, reaper = owner.stdout.readline().split()
        labs.append(lab)
        reapers.append(int(reaper))
    living, *dead = labs
    try:
        for owner, pid in zip(owners[1:], reapers[1:], strict=True):
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: ended(pid), timeout=5, what="the reaper's end")  # type: ignore[misc]
            owner.kill()
            owner.communicate()
        assert all(set(remains(engine, [lab])) >= FILLED for lab in dead)

        # Both ways: what a new notebook does, and what `labkit clean` does.
        another = start_owner(IDLE, environ_of(engine.endpoint))
        owners.append(another)
        assert another.stdout is not None
        labs.append(another.stdout.readline().split()[0])
        gone(engine, *dead)
        sweep_dead(engine.client)
        assert all(set(remains(engine, [lab])) >= FILLED for lab in (living, labs[-1]))
    finally:
        for owner in owners:
            if owner.returncode is None:
                owner.kill()
                owner.communicate()
        gone(engine, *labs)


@pytest.mark.alone
def test_sweep_dead_says_what_it_removed(engine: Engine) -> None:
    owner = start_owner(IDLE, environ_of(engine.endpoint))
    assert owner.stdout is not None
    lab, reaper = owner.stdout.readline().split()
    os.kill(int(reaper), signal.SIGKILL)
    owner.kill()
    owner.communicate()
    removed = sweep_dead(engine.client)
    assert {"box", "net", "vol", "img"} <= set(removed)
    assert remains(engine, [lab]) == []


def ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
