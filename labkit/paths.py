"""Where labkit keeps what outlives a process: one folder, named by `LABKIT_HOME`."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The folder of labkit's state: `$LABKIT_HOME`, else the user's data folder.

    Source: XDG Base Directory Specification, `XDG_DATA_HOME`.
    """
    if chosen := os.environ.get("LABKIT_HOME"):
        return Path(chosen).expanduser().absolute()
    data = os.environ.get("XDG_DATA_HOME") or Path("~/.local/share").expanduser()
    return Path(data) / "labkit"


def images_dir() -> Path:
    """The folder of the lab images' Dockerfiles: the checkout's, else the installed package's."""
    package = Path(__file__).resolve().parent
    beside = package.parent / "images"
    return beside if beside.is_dir() else package / "_images"
