"""Where this process's `docker` leads: in a notebook, to the socket of the lab made last."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any

from labkit import labels
from labkit.engine.endpoint import ITSELF, SOCKET, VARIABLES
from labkit.lab import registry
from labkit.lab.reaper import revive
from labkit.sdk import translated

if TYPE_CHECKING:
    from labkit.lab.lab import Lab

_labs: list[tuple[str, registry.Entry]] = []  # open ones of this notebook: id and socket
_held: dict[str, list[str]] = {}  # the containers of each, when the newest was made
_hooked = False
NAMES = (*VARIABLES, SOCKET, *(ITSELF + name for name in VARIABLES))
_outside: dict[str, str] = {}  # what those were before the first lab


def shell() -> Any:
    """IPython's shell, if this is a notebook or another of its front ends."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    return get_ipython()


def enter(lab: Lab, entry: registry.Entry) -> None:
    """In a notebook: let `docker`, Compose and the SDK lead to this lab from now on."""
    global _hooked
    ip = shell()
    if ip is None:
        return
    if not _hooked:
        ip.events.register("pre_run_cell", _before_a_cell)
        _hooked = True
    for name, value in lab.engine.environ().items():
        if name not in VARIABLES:
            os.environ[name] = value  # where `docker` and its plugins are
    if not _labs:
        _outside.clear()
        _outside.update({name: os.environ[name] for name in NAMES if name in os.environ})
    else:
        _held.update(_containers(lab))
        _forget_shown(ip)
    _labs.append((lab.id, entry))
    _lead()


def dropped(lab: str) -> None:
    """Nothing holds that lab any more: say what goes with it. A finalizer asks no engine."""
    if lab in (id for id, _ in _labs):
        names = ", ".join(_held.pop(lab, [])) or "it had no container"
        print(f"labkit: the lab before this one is removed: {names}")
    leave(lab)


def leave(lab: str) -> None:
    """That lab is no more: lead to the one before, or where `docker` led without any."""
    kept = [one for one in _labs if one[0] != lab]
    if len(kept) < len(_labs):
        _labs[:] = kept
        _lead()


def _forget_shown(ip: Any) -> None:
    """Let go of what cells have shown of earlier labs: IPython keeps it, and so the lab, for good.

    Source: IPython's documentation, "Output caching system".
    """
    hook = ip.displayhook
    for kept in (hook.__dict__, ip.user_ns.get("_oh", {}), ip.user_ns, ip.user_ns_hidden):
        for name in [key for key, value in kept.items() if hasattr(value, "lab")]:
            if name in ("_", "__", "___"):
                kept[name] = ""
            elif isinstance(name, int) or re.fullmatch(r"_\d+", name):
                del kept[name]


def _containers(lab: Lab) -> dict[str, list[str]]:
    """The names of the containers in every lab of this notebook."""
    found: dict[str, list[str]] = {}
    with translated("list the containers of the labs before"):
        for one in lab.engine.client.api.containers(
            all=True, filters={"label": f"{labels.SESSION}={labels.session()}"}
        ):
            name = labels.shown_name(next(iter(one["Names"]), ""), one["Labels"])
            found.setdefault(one["Labels"][labels.LAB], []).append(name)
    return {id: sorted(names) for id, names in found.items()}


def _lead() -> None:
    """To the lab made last; without any, to where it led before the first."""
    environ = os.environ
    if _labs:
        if environ.get("DOCKER_HOST", "") != environ.get(SOCKET, "nowhere"):
            for name in VARIABLES:  # the engine itself, as somebody has chosen it
                environ.pop(ITSELF + name, None)
                if name in environ:
                    environ[ITSELF + name] = environ.pop(name)
        environ.update(registry.environ_of(_labs[-1][1].socket))
        registry.lead_to(_labs[-1][1])
        return
    for name in NAMES:
        environ.pop(name, None)
    environ.update(_outside)


def _before_a_cell(*_: Any) -> None:
    """A terminal follows the notebook in which a cell runs; and its helper is there."""
    if not _labs:
        return
    registry.lead_to(_labs[-1][1])
    if not revive():
        print(
            "labkit: the helper that serves this lab's socket had ended; another serves it now",
            file=sys.stderr,
        )
