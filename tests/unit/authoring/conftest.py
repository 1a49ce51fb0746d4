"""The tiny course, built once with real kernels."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_course import Built, write_course

from labkit.authoring.build import build
from labkit.authoring.execute import Step


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    root = tmp_path_factory.mktemp("course")
    course = write_course(root / "course")
    steps: list[Step] = []
    build(course, root / "first", on_progress=steps.append)
    build(course, root / "second")
    return Built(course, root / "first", root / "second", steps)


@pytest.fixture
def spoilt(built: Built, tmp_path: Path) -> Built:
    """A copy of the course and its first build, for a test to spoil."""
    course = shutil.copytree(built.course, tmp_path / "course")
    out = shutil.copytree(built.first, tmp_path / "out")
    return Built(course, out, out, [])
