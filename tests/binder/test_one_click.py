"""One click: the dev container and the badge are well-formed, and lead to what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_dev_container_runs_what_there_is() -> None:
    lines = (ROOT / ".devcontainer/devcontainer.json").read_text().splitlines()
    settings = json.loads("\n".join(line for line in lines if not line.startswith("//")))
    made = re.fullmatch(r"make (\w+)", settings["postCreateCommand"])
    assert made is not None
    assert re.search(rf"^{made[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    (engine,) = settings["features"]
    assert re.fullmatch(r"ghcr\.io/devcontainers/features/docker-in-docker:\d+", engine)
    assert settings["forwardPorts"] == [8888]


def test_the_badge_of_binder_opens_a_notebook_that_is_there() -> None:
    readme = (ROOT / "README.md").read_text()
    found = re.search(
        r"\(https://mybinder\.org/v2/gh/\w+/labkit/HEAD\?urlpath=lab/tree/(\S+)\)", readme
    )
    assert found is not None
    folder, _, notebook = found[1].partition("/")
    assert (ROOT / notebook).is_file()
    assert f"labkit course open {folder} " in (ROOT / "binder/start").read_text()
