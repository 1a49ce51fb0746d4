"""The lab images: made once, and whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil
import pytest
from other import OtherEngine

from labkit import paths
from labkit.engine import Engine
from labkit.errors import BadValueError
from labkit.images import build_images, is_built, lab_images, needed_images
from labkit.waiting import wait_until

BUILD = """
from pathlib import Path
from labkit import connect, paths
from labkit.images import build_images
paths.images_dir = lambda: Path({recipes!r})
print("begun", flush=True)
build_images(connect(), on_message=lambda line: print(line, flush=True), names={names})
"""
FOREVER = 6007  # seconds, by which the step is known
SLOW = f"""ARG ROOT=labkit/base
FROM ${{ROOT}}
RUN echo first > /first
RUN echo "second begins"; sleep {FOREVER}
"""


def test_building_twice_does_nothing_the_second_time(engine: Engine) -> None:
    before = {one.reference: engine.client.images.get(one.reference).id for one in needed_images()}
    said: list[str] = []
    assert build_images(engine, on_message=said.append) == []
    assert said == [f"{one.name}: up to date" for one in needed_images()]
    after = {one.reference: engine.client.images.get(one.reference).id for one in needed_images()}
    assert before == after
    assert {"labkit/base", "labkit/toolbox"} <= before.keys()


def test_an_image_is_built_on_its_root(engine: Engine) -> None:
    for image in needed_images():
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
    assert image.is_needed
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
    other_engine: OtherEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipes = tmp_path / "images"
    shutil.copytree(paths.images_dir() / "base", recipes / "base")
    (recipes / "slow").mkdir()
    (recipes / "slow/Dockerfile").write_text(SLOW)
    monkeypatch.setattr(paths, "images_dir", lambda: recipes)
    api = other_engine.engine.client.api
    before = {(one["Id"], *(one["RepoTags"] or ())) for one in api.images(all=True)}
    builder = other_engine.popen(BUILD.format(recipes=str(recipes), names={"slow"}))
    assert builder.stdout is not None
    for line in builder.stdout:
        if line.strip() == "slow: second begins":
            break
    wait_until(step_runs, timeout=10, what="the step that was announced")
    builder.kill()
    builder.communicate()

    wait_until(lambda: not step_runs(), timeout=10, what="the end of the step")
    assert {(one["Id"], *(one["RepoTags"] or ())) for one in api.images(all=True)} == before
    assert api.containers(all=True) == []
    # Broken off is not locked: the next one builds it, and what was finished is kept.
    (recipes / "slow/Dockerfile").write_text(SLOW.replace(f"sleep {FOREVER}", "true"))
    finished = other_engine.popen(BUILD.format(recipes=str(recipes), names={"slow"}))
    out, err = finished.communicate(timeout=30)
    assert finished.returncode == 0, err
    assert "slow: [2/3] RUN echo first > /first (cached)" in out
    assert is_built(other_engine.engine, next(one for one in lab_images() if one.name == "slow"))


def step_runs() -> bool:
    return any(
        process.info["cmdline"] == ["sleep", str(FOREVER)]
        for process in psutil.process_iter(["cmdline"])
    )


def test_a_name_that_is_none_is_refused(engine: Engine) -> None:
    with pytest.raises(BadValueError, match="toolbox") as raised:
        build_images(engine, on_message=print, names={"webb"})
    assert raised.value.value == "webb"


def test_an_image_changes_with_what_it_is_built_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = {image.name: image.recipe for image in lab_images()}
    recipes = tmp_path / "images"
    shutil.copytree(paths.images_dir(), recipes)
    monkeypatch.setattr(paths, "images_dir", lambda: recipes)

    def changed() -> set[str]:
        return {image.name for image in lab_images() if image.recipe != before[image.name]}

    assert changed() == set()
    others = {image.name for image in lab_images() if not image.is_needed}
    assert others >= {"web", "postgres", "redis", "registry", "golang", "gcc"}
    with (recipes / "install").open("a") as file:
        file.write("# another way\n")
    assert changed() == others
    with (recipes / "toolbox/Dockerfile").open("a") as file:
        file.write("RUN true\n")
    assert changed() == {"toolbox", *others}
