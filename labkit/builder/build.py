"""Build an image: by BuildKit where the engine has it, by the engine's own builder where not."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.builder import buildkit, classic
from labkit.builder.order import Order
from labkit.builder.record import Build

if TYPE_CHECKING:
    from labkit.engine import Engine

OnMessage = Callable[[str], object]
Files = Mapping[str, str | bytes | Path]


def build_image(
    engine: Engine,
    reference: str,
    files: Files,
    *,
    name: str,
    labels: Mapping[str, str],
    buildargs: Mapping[str, str] | None = None,
    target: str | None = None,
    secrets: Mapping[str, str | bytes] | None = None,
    nocache: bool = False,
    network: str | None = None,
    platform: str | None = None,
    on_message: OnMessage = lambda line: None,
) -> Build:
    """Build `files`, one of which is `Dockerfile`, and give the image the name `reference`.

    A file is its content, or a path to it; `name` is what a message calls the image. The labels
    stand in the image's configuration alone, so they spoil no cache and show in no history. A
    build that is broken off leaves no image.
    Raises ImageBuildError, DiskFullError, EngineError, MissingToolError, BadValueError.
    Shell: `docker buildx build -t REFERENCE .`
    """
    with tempfile.TemporaryDirectory(prefix="labkit-build-") as folder:
        work = Path(folder)
        context = work / "context"
        for path, content in files.items():
            _write(context / path, content)
        order = Order(
            context=context,
            reference=reference,
            name=name,
            labels=labels,
            buildargs=buildargs or {},
            target=target,
            secrets=secrets or {},
            nocache=nocache,
            network=network,
            platform=platform,
        )
        if engine.facts.is_podman:
            return classic.build(engine, order, on_message=on_message)
        return buildkit.build(engine, order, work, on_message=on_message)


def _write(place: Path, content: str | bytes | Path) -> None:
    """Put a file into the context, with a mode and an age that are the same for everybody."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Path):
        shutil.copyfile(content, place)
        place.chmod(0o755 if os.access(content, os.X_OK) else 0o644)
    else:
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        place.chmod(0o644)
    os.utime(place, (0, 0))
