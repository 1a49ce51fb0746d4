"""labkit: container internals, on real containers.

    lab = labkit.Lab()
    web = lab.run("base", "httpd -f -p 80", name="web", memory="64m")
    web.namespaces()

Everything here is imported when it is first used, so that `import labkit` costs nothing.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from labkit.lazily import lazily

if TYPE_CHECKING:
    from labkit import show
    from labkit.checks import (
        answer,
        check,
        hint,
        piece,
        predict,
        progress,
        reset,
        reveal,
        scene,
        solution,
        trial,
        variant,
    )
    from labkit.engine import connect
    from labkit.errors import LabError
    from labkit.lab import Compose, Container, Image, Lab, Network, Volume

_HOMES = {
    "labkit.checks": (
        "answer",
        "check",
        "hint",
        "piece",
        "predict",
        "progress",
        "reset",
        "reveal",
        "scene",
        "solution",
        "trial",
        "variant",
    ),
    "labkit.engine": ("connect",),
    "labkit.errors": ("LabError",),
    "labkit.lab": ("Compose", "Container", "Image", "Lab", "Network", "Volume"),
}
_named = lazily(__name__, {name: home for home, names in _HOMES.items() for name in names})

__all__ = [
    "Compose",
    "Container",
    "Image",
    "Lab",
    "LabError",
    "Network",
    "Volume",
    "answer",
    "check",
    "connect",
    "hint",
    "piece",
    "predict",
    "progress",
    "reset",
    "reveal",
    "scene",
    "show",
    "solution",
    "trial",
    "variant",
]


def load_ipython_extension(ip: Any) -> None:
    """What `%load_ext labkit` calls; `import labkit` in a notebook does the same."""
    from labkit.shell.magics import register

    register(ip)


def _meet_ipython() -> None:
    """Let a notebook know the shell cells, as soon as there is a notebook."""
    if "IPython" in sys.modules and (ip := sys.modules["IPython"].get_ipython()) is not None:
        load_ipython_extension(ip)


_meet_ipython()


def __getattr__(name: str) -> Any:
    _meet_ipython()  # labkit may have been imported before the notebook's shell was there
    if name == "show":
        return importlib.import_module("labkit.show")
    return _named(name)


def __dir__() -> list[str]:
    return sorted(__all__)
