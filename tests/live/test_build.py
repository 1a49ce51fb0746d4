"""A lab builds images: by BuildKit, by the learner's names, with a record of how."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from owners import environ_of, start_owner

from labkit import labels
from labkit.checks.evidence import Evidence, MissingError
from labkit.checks.look import Look, Memory
from labkit.engine import Engine, tools
from labkit.errors import ImageBuildError, ImageNotFoundError, MissingToolError
from labkit.lab import Image, Lab
from labkit.lab.sweep import sweep_named
from labkit.waiting import wait_until

STAGES = """FROM labkit/base AS tools
ARG WHO=nobody
RUN echo "made by $WHO for {salt}" > /note
COPY data/one /one
FROM labkit/base
COPY --from=tools /note /note
RUN --mount=type=cache,id={salt},target=/cache date +%s%N >> /cache/runs; wc -l < /cache/runs
RUN --mount=type=secret,id=token wc -c < /run/secrets/token
"""
SLEEPER = """
from labkit import Lab
lab = Lab()
print(lab.id, flush=True)
lab.build("slow", "FROM labkit/base\\nRUN exec sleep 54321\\n")
"""


def outcomes(image: Image) -> list[str]:
    assert image.build is not None
    return [step.outcome for step in image.build.instructions]


def test_a_build_tells_what_it_did(lab: Lab) -> None:
    said: list[str] = []
    made = lab.build(
        "mine",
        STAGES.format(salt=lab.id),
        files={"data/one": "x" * 3000},
        buildargs={"WHO": "Ada"},
        secrets={"token": "hunter2"},
        on_message=said.append,
    )
    build = made.build
    assert build is not None
    assert build.builder == "BuildKit"
    assert outcomes(made) == ["cached", "ran", "ran", "ran", "ran", "ran"]
    steps = {step.instruction.split()[-1]: step for step in build.instructions}
    assert steps["/run/secrets/token"].log == "7\n"
    assert steps["/cache/runs"].log == "1\n"
    assert all(step.seconds > 0 for step in build.instructions[1:])
    assert build.seconds > sum(step.seconds for step in build.instructions[-2:])
    assert 3000 <= build.context_bytes < 4000
    assert f"made by Ada for {lab.id}\n" == lab.once(made, "cat /note").stdout
    assert lab.once(made, "ls -A /run/secrets /cache").stdout.split() == [
        "/cache:",
        "/run/secrets:",
    ]
    assert "7" in said
    assert "hunter2" not in json.dumps(made.inspect()) + repr(made.history())
    assert repr(build).splitlines()[0].split() == ["stage", "instruction", "outcome"]

    # Only one stage of it.
    files = {"data/one": "x" * 3000}
    stage = lab.build("stage", STAGES.format(salt=lab.id), files=files,
                      buildargs={"WHO": "Ada"}, target="tools")  # fmt: skip
    assert outcomes(stage) == ["cached"] * 3
    assert lab.once(stage, "wc -c /one").stdout.split()[0] == "3000"
    # What changed, and what follows from it; a cache mount remembers.
    again = lab.build("mine", STAGES.format(salt=lab.id), files=files,
                      secrets={"token": "hunter2"})  # fmt: skip
    assert again.build is not None
    ran = {step.instruction: step.log for step in again.build.instructions if step.outcome == "ran"}
    assert len(ran) == 5
    assert "2\n" in ran.values()
    # And all anew.
    anew = lab.build("stage", STAGES.format(salt=lab.id), files=files, target="tools", nocache=True)
    assert outcomes(anew) == ["cached", "ran", "ran"]


def test_the_labs_label_is_in_no_step_and_spoils_no_cache(engine: Engine, lab: Lab) -> None:
    dockerfile = f"FROM labkit/base\nCOPY note /note\nRUN echo {lab.id} > /id\n"
    files = {"note": f"the same in two labs, and new to the cache: {lab.id}"}
    first = lab.build("mine", dockerfile, files=files)
    assert outcomes(first) == ["cached", "ran", "ran"]
    with Lab(engine=engine) as other:
        second = other.build("Theirs", dockerfile, files=files)
        assert outcomes(second) == ["cached", "cached", "cached"]
        assert second.diff_ids == first.diff_ids
        assert second.id != first.id
        assert first.inspect()["Config"]["Labels"][labels.LAB] == lab.id
        assert second.inspect()["Config"]["Labels"][labels.NAME] == "Theirs"
        for step in (*first.history(), *second.history()):
            assert labels.LAB not in step.created_by
            assert labels.OWNER not in step.created_by
        # A changed file is built anew, and what comes after it.
        changed = other.build("Theirs", dockerfile, files={"note": f"changed: {lab.id}"})
        assert outcomes(changed) == ["cached", "ran", "ran"]
    only = {"label": f"{labels.LAB}={other.id}"}
    assert engine.client.api.images(all=True, filters=only) == []


@pytest.mark.parametrize("name", ["mine", "Mine", "base", "a..b-"])
def test_a_built_image_is_meant_by_its_name(engine: Engine, lab: Lab, name: str) -> None:
    with pytest.raises(MissingError):
        evidence(engine).image(name)
    old = lab.build(name, "FROM labkit/base\nRUN echo old > /which\n")
    assert lab.once(name, "cat /which").stdout == "old\n"
    child = lab.build("child", f"FROM {name}\nRUN echo more >> /which\n")
    assert lab.once(child, "cat /which").stdout == "old\nmore\n"
    assert child.build is not None
    assert child.build.instructions[0].instruction == f"FROM {name}"

    # Built again it is replaced; a container that runs from the old one keeps it.
    new = lab.build(name, "FROM labkit/base\nRUN echo new > /which\n")
    assert lab.once(name, "cat /which").stdout == "new\n"
    assert lab.image(name).id == new.id == evidence(engine).image(name).id != old.id
    keeper = lab.run(name, name="keeper")
    # As it was at first; the one that is kept is younger, and is not meant.
    lab.build(name, "FROM labkit/base\nRUN echo old > /which\n")
    assert keeper.exec("cat /which").stdout == "new\n"
    assert lab.image(name).id == evidence(engine).image(name).id != new.id
    keeper.remove()

    assert name in sweep_named(engine.client, labels.session(), {("image", name)})
    with pytest.raises(MissingError):
        evidence(engine).image(name)
    if name != "base":
        with pytest.raises(ImageNotFoundError):
            lab.run(name)


def evidence(engine: Engine) -> Evidence:
    return Evidence(Look(engine, Memory()), session=labels.session(), answers={}, variant={})


def test_two_names_that_differ_in_case_alone(lab: Lab) -> None:
    lab.build("one", "FROM labkit/base\nRUN echo small > /which\n")
    lab.build("One", "FROM labkit/base\nRUN echo large > /which\n")
    assert lab.once("one", "cat /which").stdout == "small\n"
    assert lab.once("One", "cat /which").stdout == "large\n"


def test_a_failing_step_is_named(lab: Lab) -> None:
    with pytest.raises(ImageBuildError) as raised:
        lab.build("broken", f"FROM labkit/base\nRUN true {lab.id}\nRUN echo the reason; exit 3\n")
    error = raised.value
    assert error.step.endswith("RUN echo the reason; exit 3")
    assert error.log == "the reason\n"
    with pytest.raises(ImageBuildError) as raised:
        lab.build("broken", "FORM labkit/base\n")
    assert "unknown instruction: FORM" in raised.value.seen
    assert raised.value.step == ""
    with pytest.raises(ImageNotFoundError):
        lab.run("broken")


def sleeping(number: int) -> bool:
    return any(
        process.info["cmdline"] == ["sleep", str(number)]
        for process in psutil.process_iter(["cmdline"])
    )


def test_a_build_ends_with_its_owner(engine: Engine) -> None:
    owner = start_owner(SLEEPER, environ_of(engine.endpoint))
    wait_until(lambda: sleeping(54321), timeout=20, what="the step")
    owner.kill()
    owner.communicate()
    wait_until(lambda: not sleeping(54321), timeout=10, what="the end of the step")


def test_nothing_is_written_into_the_users_configuration(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"currentContext": "nosuch", "auths": {"nosuch.invalid": {"auth": "dTpw"}}})
    )
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("BUILDX_BUILDER", "nosuch")
    lab.build("mine", f"FROM labkit/base\nRUN echo {lab.id}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    # And in a shell the user's own is still there, whatever of ours stands beside it.
    given = tools.environ()
    seen = Path(given.get("DOCKER_CONFIG", tmp_path)) / "config.json"
    assert "nosuch.invalid" in seen.read_text()


def test_docker_compose_and_buildx_are_there_in_a_shell(engine: Engine) -> None:
    tools.plugin("buildx")  # fetched, if nobody brought it
    environ = {**os.environ, **engine.environ()}
    for words in (["compose", "version"], ["buildx", "version"], ["ps", "--quiet"]):
        done = subprocess.run(["docker", *words], env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_where_none_is_and_none_can_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(MissingToolError) as raised:
        tools.plugin("buildx")
    assert raised.value.tools == ("docker-buildx",)
    assert "docker-buildx" in raised.value.do
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(MissingToolError, match="brew install docker-buildx"):
        tools.plugin("buildx")


def test_it_is_fetched_from_debian_where_nobody_installed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shutil.which("apt-get")
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    monkeypatch.setattr(tools, "_known_to_docker", lambda *_: {})
    assert tools.found("buildx") is None
    assert str(tools.plugin("buildx")).startswith(str(tmp_path))
    assert str(tools.plugin("compose")).startswith(str(tmp_path))
