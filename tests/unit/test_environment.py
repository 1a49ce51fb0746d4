"""What pyproject.toml names, conda and pre-commit name too, with the same bounds."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CONDA_NAMES = {"docker-py": "docker"}
NAME = re.compile(r"[a-z0-9-]+")


def split(requirement: str) -> tuple[str, str]:
    found = NAME.match(requirement)
    assert found is not None
    name = CONDA_NAMES.get(found[0], found[0])
    return name, requirement[found.end() :].replace(" ", "")


def described() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project


def test_the_pins_are_in_step() -> None:
    project = described()
    extras = project["optional-dependencies"]
    wanted = dict(map(split, project["dependencies"] + extras["course"] + extras["authoring"]))
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    given = dict(split(line) for line in conda if isinstance(line, str))
    assert given.pop("python") == project["requires-python"]
    given.pop("pip")
    assert given == wanted
    assert conda[-1] == {"pip": ["--editable ."]}


def test_pre_commit_runs_the_versions_that_make_lint_runs() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    wanted = {line for line in extras["dev"] if split(line)[0] in ("mypy", "ruff")}
    assert all("==" in line for line in wanted)
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert {line for hook in repo["hooks"] for line in hook["additional_dependencies"]} == wanted
