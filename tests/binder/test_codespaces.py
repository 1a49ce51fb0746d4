"""The dev container: well-formed, and it calls what the Makefile has."""

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
