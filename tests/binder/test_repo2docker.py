"""What repo2docker, Binder's builder, makes of this repository: the Dockerfile, no image yet."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LOCAL = "--editable "


@pytest.fixture(scope="module")
def dockerfile() -> str:
    """It is printed without any engine."""
    done = subprocess.run(
        [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "--user-id=1000",
         "--user-name=jovyan", ROOT],
        capture_output=True, text=True, check=False,
        env={**os.environ, "DOCKER_HOST": "unix:///nonexistent"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Building conda environment" in done.stderr, "another file decides what is built"
    return done.stdout


def at(dockerfile: str, line: str) -> int:
    """Where an instruction is; it has to be there once."""
    assert dockerfile.count(line) == 1, line
    return dockerfile.index(line)


def test_the_steps_are_there_and_in_order(dockerfile: str) -> None:
    packages = " ".join(sorted((ROOT / "binder/apt.txt").read_text().split()))
    steps = [
        at(dockerfile, f"apt-get install --yes --no-install-recommends {packages} &&"),
        at(dockerfile, "src/ ${REPO_DIR}/"),
        at(dockerfile, '--file "binder/environment.yml"'),
        at(dockerfile, "RUN ./binder/postBuild"),
        at(dockerfile, 'ENV R2D_ENTRYPOINT="${REPO_DIR}/binder/start"'),
    ]
    # The environment needs the checkout, for labkit itself is in it; the build needs all of them.
    assert steps == sorted(steps)


def test_the_build_is_done_by_the_user(dockerfile: str) -> None:
    before = dockerfile[: at(dockerfile, "RUN ./binder/postBuild")]
    assert re.findall(r"^USER (.*)$", before, re.MULTILINE)[-1] == "${NB_USER}"


def test_repo2docker_sees_the_version_of_python(dockerfile: str) -> None:
    (wanted,) = (line for line in listed("binder/environment.yml") if line.startswith("python"))
    number = wanted.removeprefix("python=")
    assert f"environment-2epy-2d{number.replace('.', '-2e')}-2dlinux" in dockerfile


def test_the_two_environments_are_in_step() -> None:
    ours, binders = (
        [line for line in listed(name) if not line.startswith(("python", LOCAL))]
        for name in ("environment.yml", "binder/environment.yml")
    )
    assert ours == binders


@pytest.mark.parametrize("name", ["environment.yml", "binder/environment.yml"])
def test_pip_finds_labkit_from_the_folder_of_the_file(name: str) -> None:
    # conda and mamba run pip there: `cwd` of other_pkg_mgr_spec is the file's parent path.
    (line,) = (line for line in listed(name) if line.startswith(LOCAL))
    assert (ROOT / name).parent.joinpath(line.removeprefix(LOCAL)).resolve() == ROOT
    assert not (ROOT / name).is_symlink()


@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_the_scripts_can_be_executed(name: str) -> None:
    assert os.access(ROOT / "binder" / name, os.X_OK)


def listed(name: str) -> list[str]:
    """The requirements of an environment, conda's and pip's."""
    dependencies = yaml.safe_load((ROOT / name).read_text())["dependencies"]
    return [
        requirement
        for entry in dependencies
        for requirement in (entry["pip"] if isinstance(entry, dict) else [entry])
    ]
