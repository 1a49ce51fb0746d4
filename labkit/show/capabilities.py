"""Which capabilities containers have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from labkit.kernel import CAPABILITIES
from labkit.show.matrix import one_engine
from labkit.table import Table

if TYPE_CHECKING:
    from labkit.inspect import Container

HAS, HAS_NOT = "yes", "-"


def capability_grid(*containers: Container) -> Table:
    """Which effective capabilities each container's first process has, of those that any has.

    Raises ContainerExitedError, BadValueError. Shell: `getpcaps PID` for each.
    Source: capabilities(7).
    """
    one_engine(containers)
    return grid({one.name: one.capabilities().effective for one in containers})


def grid(effective: Mapping[str, frozenset[str]]) -> Table:
    """The table for sets of capabilities by name; the kernel's order, newer ones last."""
    held = frozenset[str]().union(*effective.values())
    known = [name for name in CAPABILITIES if name in held]
    rows = [
        (name, *(HAS if name in own else HAS_NOT for own in effective.values()))
        for name in known + sorted(held - set(known))
    ]
    rows.append(("in all", *(str(len(own)) for own in effective.values())))
    return Table(("capability", *effective), rows)
