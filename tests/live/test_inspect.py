"""What only looks sees what the lab has, by the engine and the kernel alone."""

from __future__ import annotations

import pytest

from labkit import inspect, labels
from labkit.checks import Evidence, Look, Memory
from labkit.engine import Engine
from labkit.errors import ContainerExitedError, NotFoundError
from labkit.lab import Lab


@pytest.fixture
def evidence(engine: Engine) -> Evidence:
    """What a check of this session may look at."""
    return Evidence(Look(engine, Memory()), session=labels.session(), answers={}, variant={})


def test_a_container_looks_the_same_to_a_check(lab: Lab, evidence: Evidence) -> None:
    net = lab.network("inner")
    web = lab.run("base", "httpd -f -p 80", name="looked-at", network=net, memory="48m")
    web.wait_port(80)
    seen = evidence.container("looked-at")
    assert type(seen) is inspect.Container
    assert (seen.id, seen.name, seen.status, seen.pid) == (web.id, web.name, "running", web.pid)
    assert repr(seen.namespaces()) == repr(web.namespaces())
    assert repr(seen.mounts()) == repr(web.mounts())
    assert [p.pid for p in seen.processes()] == [p.pid for p in web.processes()]
    assert seen.cgroup().memory().max == 48 << 20
    assert seen.listening() >= {80}  # the engine's name server listens there too
    assert seen.address("inner") == web.address() in seen.local_addresses()
    assert seen.capabilities() == web.capabilities()
    assert seen.exit_code is None
    looked = evidence.network("inner")
    assert (looked.id, looked.subnet, looked.interface) == (net.id, net.subnet, net.interface)


def test_what_looks_cannot_change(lab: Lab, evidence: Evidence) -> None:
    lab.run("base", name="kept")
    verbs = {"start", "stop", "kill", "exec", "remove", "pause", "put", "update", "docker", "lab"}
    assert not verbs & set(dir(evidence.container("kept")))


def test_a_volume_and_an_image_look_the_same_to_a_check(lab: Lab, evidence: Evidence) -> None:
    volume = lab.volume("data")
    assert evidence.volume("data").mount_point == volume.mount_point
    made = lab.build("Mine", "FROM labkit/base\nRUN echo 1 > /one\n")
    found = evidence.image("Mine")
    assert (found.id, found.diff_ids, found.size) == (made.id, made.diff_ids, made.size)
    assert [step.created_by for step in found.history() if "echo 1" in step.created_by]


def test_one_that_has_ended_says_why(lab: Lab, evidence: Evidence) -> None:
    lab.run("base", ["sh", "-c", "echo last words; exit 7"], name="over").wait_exit()
    seen = evidence.container("over")
    assert seen.exit_code == 7
    with pytest.raises(ContainerExitedError, match="last words") as raised:
        seen.namespaces()
    assert (raised.value.name, raised.value.exit_code) == ("over", 7)
    lab.container("over").remove()
    assert seen.exit_code == 7  # of the moment that was looked at
    later = inspect.Container(lab.engine, seen.id, seen.labels, on_engine="")
    with pytest.raises(NotFoundError) as missing:
        _ = later.status
    assert (missing.value.kind, missing.value.name) == ("container", "over")


def test_how_it_ended_before_it_was_started_again(lab: Lab, evidence: Evidence) -> None:
    hears = "trap 'exit 23' TERM; echo ready; sleep 1000 & wait"
    one = lab.run("base", ["sh", "-c", hears], name="stopped")
    one.wait_log("ready")
    assert one.last_ending() is None  # it has not ended yet
    one.stop(timeout=5)
    assert one.last_ending() is None  # it has not been started again
    one.start()
    ending = one.last_ending()
    assert ending is not None
    assert (ending.signals, ending.exit_code) == ((15,), 23)
    assert ending.seconds < 1
    assert evidence.container("stopped").last_ending() == ending
    deaf = lab.run("base", "sleep 1000", name="deaf").restart(timeout=1).last_ending()
    assert deaf is not None
    assert (deaf.signals, deaf.exit_code) == ((15, 9), 137)
    assert deaf.seconds >= 1
