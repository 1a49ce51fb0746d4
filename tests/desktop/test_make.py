"""`make lab` on the desktop: the programs that a Mac has, and what its GNU make 3.81 does alone.

Apple's make (gnumake in its open sources, job.c) starts a line that needs no shell by
posix_spawnp(3), which looks on make's own PATH; the Makefile's PATH reaches those in a shell alone.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from desktop import ROOT, Desktop

# What makes GNU make 3.81 ask a shell: sh_chars_sh in its job.c, and a word that is a builtin.
FOR_A_SHELL = set("#;\"*?[]&|<>(){}$`^~!'\\")
BUILTINS = {"command", "test", "eval", "exec", "exit", "export", "set", "type", "ulimit", "."}
TARGETS = ("lab", "setup", "run", "course", "lint", "test", "clean", "images")


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A copy of this checkout, set up already, where `make` may write."""
    place = tmp_path / "labkit"
    place.mkdir()
    for name in ("Makefile", "pyproject.toml", "setup", "labkit", "images", "course", "notebooks"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, place)
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", "--symlinks", place / ".venv"], check=True
    )
    # The programs of this environment, by its own interpreter: setting up takes minutes.
    for name in ("jupyter", "jupyter-lab", "labkit"):
        (place / ".venv/bin" / name).symlink_to(Path(sys.executable).parent / name)
    (place / ".venv/bin/python").unlink()
    (place / ".venv/bin/python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (place / ".venv/bin/python").chmod(0o755)
    for name in ("ready", "dev"):
        (place / ".venv" / name).touch()
    yield place


def test_make_lab_opens_jupyterlab_on_the_engine_that_is_there(
    desktop: Desktop, checkout: Path
) -> None:
    path = os.pathsep.join((str(Path(__file__).parent / "mac"), str(checkout)))
    done = desktop.run(
        "make", "lab", "LAB_OPTIONS=--version", cwd=checkout, PYTHONPATH=path, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    engine, version = done.stdout[: done.stdout.rindex("\n", 0, -1)], done.stdout.split()[-1]
    assert "docker: one that was already running" in engine
    assert re.fullmatch(r"4\.\d+\.\d+", version)
    assert "apt" not in done.stderr


def test_without_an_engine_make_lab_says_what_to_install(desktop: Desktop, checkout: Path) -> None:
    path = os.pathsep.join((str(Path(__file__).parent / "mac"), str(checkout)))
    done = desktop.run("make", "lab", cwd=checkout, engine=False, PYTHONPATH=path, timeout=120)
    assert done.returncode != 0
    assert "On macOS an engine comes with Docker Desktop: brew install" in done.stderr
    assert "No container engine could be used." in done.stderr
    assert done.stderr.count("brew install --cask docker") == 2, done.stderr


def test_help_is_a_table(desktop: Desktop, checkout: Path) -> None:
    done = desktop.run("make", "help", cwd=checkout)
    assert done.returncode == 0, done.stderr
    assert "\nlab          open the course in JupyterLab" in f"\n{done.stdout}"


def test_a_browser_is_opened_on_a_mac(desktop: Desktop, checkout: Path) -> None:
    assert "--no-browser" not in desktop.run("make", "-n", "lab", cwd=checkout).stdout
    assert "--no-browser" in desktop.run(
        "make", "-n", "lab", cwd=checkout, PATH=os.environ["PATH"]
    ).stdout  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_a_line_that_needs_no_shell_is_found_on_make_s_own_path(
    desktop: Desktop, checkout: Path, target: str
) -> None:
    for name in ("ready", "dev"):
        (checkout / ".venv" / name).unlink()
    said = desktop.run("make", "-n", target, cwd=checkout)
    assert said.returncode == 0, said.stderr
    lines = said.stdout.replace("\\\n", " ").splitlines()
    assert len(lines) > 1
    lost = [line for line in lines if not _is_found(line, desktop, checkout)]
    assert lost == []


def test_what_the_makefile_asks_of_a_shell_is_found() -> None:
    asked = re.findall(r"\$\(shell ([^()]*)\)", (ROOT / "Makefile").read_text())
    assert asked
    plain = [one.split()[0] for one in asked if not FOR_A_SHELL & set(one)]
    assert not BUILTINS & set(plain)


def _is_found(line: str, desktop: Desktop, checkout: Path) -> bool:
    """Whether make starts this line: by a shell, or a program that it finds."""
    word = line.split()[0]
    if FOR_A_SHELL & set(line) or "=" in word:
        return True
    if "/" in word:  # .venv/bin/labkit
        return word.startswith((".venv/bin/", "setup/"))
    return word not in BUILTINS and (desktop.place / "bin" / word).exists()
