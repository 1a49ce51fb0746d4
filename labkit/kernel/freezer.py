"""Whether a cgroup is frozen, as `docker pause` leaves it (cgroup-v1/freezer-subsystem.rst)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labkit.kernel._text import flat_keyed, malformed, need

FREEZER_FILES_V1: tuple[str, ...] = ("freezer.state",)
FREEZER_FILES_V2: tuple[str, ...] = ("cgroup.events",)  # cgroup.freeze is only what was asked for


@dataclass(frozen=True)
class FreezerState:
    """Whether every process of the cgroup and all below it has stopped."""

    frozen: bool


def freezer_state(files: Mapping[str, str]) -> FreezerState:
    """Make the state from the text of `FREEZER_FILES_V1` or `FREEZER_FILES_V2`.

    While the kernel is still freezing the cgroup it is not frozen. Raises `BadValueError` where
    the file is missing (in the root cgroup) or malformed.
    """
    if "freezer.state" in files:
        state = files["freezer.state"].strip()
        if state not in ("THAWED", "FREEZING", "FROZEN"):
            raise malformed("a freezer.state", state)
        return FreezerState(state == "FROZEN")
    text = need(files, "cgroup.events", v1="freezer.state")
    events = flat_keyed(text, name="cgroup.events")
    if "frozen" not in events:
        raise malformed("a cgroup.events that tells frozen (Linux 5.2)", text)
    return FreezerState(events["frozen"] == 1)
