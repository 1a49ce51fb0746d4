"""What is missing is named rightly, however its name reads."""

from __future__ import annotations

import pytest
from other import OtherEngine

from labkit import inspect
from labkit.engine import Engine
from labkit.errors import (
    EngineRefusedError,
    ImageNotFoundError,
    LabError,
    NameTakenError,
    NotFoundError,
)
from labkit.lab import Lab
from labkit.sdk import translated

NAMES = ["images", "image", "no-such-image", "containers"]


def raised_by(call: object, *arguments: object, **options: object) -> LabError:
    assert callable(call)
    with pytest.raises(LabError) as raised, translated("look"):
        call(*arguments, **options)
    return raised.value


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_container_is_no_missing_image(engine: Engine, name: str) -> None:
    api = engine.client.api
    for call in (api.inspect_container, api.start, api.logs, api.top, api.remove_container):
        err = raised_by(call, name)
        assert type(err) is NotFoundError, (call, err)
        assert err.kind == "container"
        assert name in err.seen
    missing = inspect.Container(engine, name, {"labkit.name": name}, on_engine="")
    with pytest.raises(NotFoundError) as raised:
        missing.inspect()
    assert not isinstance(raised.value, ImageNotFoundError)
    assert (raised.value.kind, raised.value.name) == ("container", name)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_network_or_volume_is_no_missing_image(engine: Engine, name: str) -> None:
    api = engine.client.api
    for kind, call in (("network", api.inspect_network), ("volume", api.inspect_volume)):
        err = raised_by(call, f"{name}-7")
        assert type(err) is NotFoundError
        assert err.kind == kind


def test_a_missing_image_is_one(engine: Engine, lab: Lab) -> None:
    with pytest.raises(ImageNotFoundError) as raised:
        lab.image("container-7")
    assert raised.value.kind == "image"
    with pytest.raises(ImageNotFoundError) as raised:
        lab.run("basse", name="images")
    assert raised.value.kind == "image"
    assert "labkit images" in raised.value.do
    assert type(raised_by(engine.client.api.tag, "no-such-7", "labkit/x")) is ImageNotFoundError
    assert lab.containers() == []


def test_another_container_that_is_missing_is_no_missing_image(engine: Engine, lab: Lab) -> None:
    for name in ("images", "no-such-image"):
        for option in ({"network": f"container:{name}"}, {"pid_mode": f"container:{name}"}):
            with pytest.raises(NotFoundError) as raised:
                lab.run("base", name="box", **option)  # type: ignore[arg-type]
            assert type(raised.value) is NotFoundError
        # As the engine itself says it, without our looking first.
        err = raised_by(
            engine.client.containers.run, "labkit/base", "true",
            network_mode=f"container:{name}", labels=lab.labels("box"), detach=True,
        )  # fmt: skip
        assert not isinstance(err, ImageNotFoundError), err
        assert name in err.seen
    err = raised_by(
        engine.client.containers.run, "labkit/base", "true",
        network="no-such-image", labels=lab.labels("box"), detach=True,
    )  # fmt: skip
    assert not isinstance(err, ImageNotFoundError), err


def test_a_pull_that_finds_nothing_names_the_image(other_engine: OtherEngine) -> None:
    """The engine reaches no registry."""
    with Lab(engine=other_engine.engine) as lab, pytest.raises(ImageNotFoundError) as raised:
        lab.run("no-such-host.invalid/nothing:1", name="box")
    assert "no-such-host.invalid/nothing:1" in raised.value.what
    assert "network" in raised.value.do


def test_a_conflict_is_told_from_a_taken_name(engine: Engine, lab: Lab) -> None:
    box = lab.run("base", name="box")
    with pytest.raises(NameTakenError) as raised:
        lab.run("base", name="box")
    assert "box" in raised.value.what
    err = raised_by(engine.client.api.remove_container, box.id)
    assert isinstance(err, EngineRefusedError)
    assert err.status == 409
