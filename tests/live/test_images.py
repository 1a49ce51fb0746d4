"""The lab images: made once, and whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from other import OtherEngine

from labkit import paths
from labkit.engine import Engine
from labkit.images import build_images, is_built, lab_images
from labkit.waiting import wait_until

BUILD = """
from pathlib import Path
from labkit import connect, paths
from labkit.images import build_images
paths.images_dir = lambda: Path({recipes!r})
print("begun", flush=True)
build_images(connect(), on_message=lambda line: print(line, flush=True))
"""
SLOW = """ARG ROOT=labkit/base
FROM ${ROOT}
RUN echo first > /first
RUN echo "second begins"; sleep 600
"""


def test_building_twice_does_nothing_the_second_time(engine: Engine) -> None:
    before = {one.reference: engine.client.images.get(one.reference).id for one in lab_images()}
    said: list[str] = []
    assert build_images(engine, on_message=said.append) == []
    assert said == [f"{one.name}: up to date" for one in lab_images()]
    after = {one.reference: engine.client.images.get(one.reference).id for one in lab_images()}
    assert before == after
    assert {"labkit/base", "labkit/toolbox"} <= before.keys()


def test_an_image_is_built_on_its_root(engine: Engine) -> None:
    for image in lab_images():
        parent = "labkit/" + image.root
        lower = engine.client.images.get(parent).attrs["RootFS"]["Layers"]
        assert (
            engine.client.images.get(image.reference).attrs["RootFS"]["Layers"][: len(lower)]
            == lower
        )


def test_a_changed_recipe_is_built_again(
    other_engine: OtherEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipes = tmp_path / "images"
    shutil.copytree(paths.images_dir() / "base", recipes / "base")
    monkeypatch.setattr(paths, "images_dir", lambda: recipes)
    engine = other_engine.engine
    (image,) = lab_images()
    assert is_built(engine, image)
    with (recipes / "base/Dockerfile").open("a") as file:
        file.write("RUN echo changed > /changed\n")
    (changed,) = lab_images()
    assert changed.recipe != image.recipe
    assert not is_built(engine, changed)
    # It needs no root of its own to be tried on: the one it has serves.
    engine.client.images.get("labkit/base").tag("labkit/root-busybox")
    assert build_images(engine, on_message=print) == ["base"]
    assert is_built(engine, changed)
    assert engine.client.containers.run("labkit/base", "cat /changed", remove=True) == b"changed\n"
    assert build_images(engine, on_message=print) == []


def test_an_interrupted_build_leaves_no_half_image(
    other_engine: OtherEngine, tmp_path: Path
) -> None:
    recipes = tmp_path / "images"
    shutil.copytree(paths.images_dir() / "base", recipes / "base")
    (recipes / "slow").mkdir()
    (recipes / "slow/Dockerfile").write_text(SLOW)
    api = other_engine.engine.client.api
    tags = {tag for one in api.images() for tag in one["RepoTags"]}
    builder = other_engine.popen(BUILD.format(recipes=str(recipes)))
    assert builder.stdout is not None
    for line in builder.stdout:
        if "second begins" in line and "RUN" not in line:
            break
    wait_until(lambda: len(api.containers()) == 1, timeout=5, what="the step's container")
    builder.kill()
    builder.communicate()

    wait_until(
        lambda: not api.containers(all=True), timeout=10, what="the end of the step's container"
    )
    assert {tag for one in api.images() for tag in one["RepoTags"] or ()} <= {
        *tags,
        "<none>:<none>",
    }
    # Broken off is not locked: the next one builds it.
    (recipes / "slow/Dockerfile").write_text(SLOW.replace("sleep 600", "true"))
    finished = other_engine.popen(BUILD.format(recipes=str(recipes)))
    out, err = finished.communicate(timeout=30)
    assert finished.returncode == 0, err
    assert "slow: Successfully tagged labkit/slow" in out
