"""Whether this machine runs Linux: what labkit starts and makes by itself takes that."""

from __future__ import annotations

import platform

from labkit.errors import EngineError

# Engines that bring a Linux of their own.
ELSEWHERE = "install Docker Desktop (`brew install --cask docker`) or Colima or OrbStack; start it"


def other_system() -> str | None:
    """What this machine runs, as "macOS"; None if that is Linux. Shell: `uname -s`."""
    name = platform.system()
    return None if name == "Linux" else {"Darwin": "macOS"}.get(name, name)


def need_linux(what: str) -> None:
    """Raise EngineError where `what` cannot be had, because this machine does not run Linux."""
    if other := other_system():
        raise EngineError(f"{what} takes Linux.", seen=f"this machine runs {other}", do=ELSEWHERE)
