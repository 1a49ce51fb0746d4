"""What is to be built, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a builder is asked for, in the words of the Docker SDK."""

    context: Path  # the folder of the Dockerfile and of the files beside it
    reference: str  # the name that the image gets
    name: str  # what a message calls it
    labels: Mapping[str, str]
    buildargs: Mapping[str, str]
    target: str | None  # the stage to build, or the last
    secrets: Mapping[str, str | bytes]  # by id: a step that mounts one finds it in /run/secrets
    nocache: bool
    network: str | None
    platform: str | None
