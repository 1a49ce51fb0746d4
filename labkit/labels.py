"""The labels by which labkit knows its own objects, and their names on the engine."""

from __future__ import annotations

import functools
import os
import re
import secrets
from collections.abc import Mapping
from typing import Any

from labkit.errors import BadValueError
from labkit.owner import this_process

LAB = "labkit.lab"  # the lab's id: what is removed together
SESSION = "labkit.session"  # the notebook's: what its checks look at
OWNER = "labkit.owner"  # the process that made it: see `owner`
PROBE = "labkit.probe"  # on the helper container that looks at the engine's host
NAME = "labkit.name"  # the learner's own name for the object
SERVICE = "com.docker.compose.service"  # Compose's own
REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")  # of one part: OCI distribution
NAME_RULE = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,40}")


@functools.cache
def _session_of(pid: int) -> str:
    return secrets.token_hex(4)


def session() -> str:
    """This notebook's session: `$LABKIT_SESSION`, else one of its own for each process."""
    return os.environ.get("LABKIT_SESSION") or _session_of(os.getpid())


def new_lab_id() -> str:
    """An id that no other lab on any engine has."""
    return secrets.token_hex(4)


def engine_name(lab: str, name: str) -> str:
    """The name that the engine, which all labs share, knows an object by."""
    return f"labkit-{lab}-{name}"


def image_prefix(lab: str) -> str:
    """With this the engine's names of a lab's own images begin."""
    return f"labkit-{lab}/"


def image_name(lab: str, name: str) -> str:
    """The name of an image that a lab builds; what cannot be a repository is a tag."""
    if REPOSITORY.fullmatch(name):
        return f"{image_prefix(lab)}{name}:latest"
    return f"labkit-{lab}:{name}"


def labels_of(lab: str, name: str) -> dict[str, str]:
    """The labels of an object of this lab."""
    return {LAB: lab, SESSION: session(), NAME: name, OWNER: this_process()}


def checked_name(name: str) -> str:
    """`name`, if it can be one. Raises BadValueError."""
    if not NAME_RULE.fullmatch(name):
        raise BadValueError(
            "That cannot be a name.",
            value=name,
            seen=repr(name),
            do="use letters, digits, '_', '.' and '-', at most 41, a letter or digit first",
        )
    return name


def shown_name(on_engine: str, labels: Mapping[str, Any] | None) -> str:
    """The learner's own name of an object: a container may have been renamed since its making.

    Who has no name of ours has the engine's.
    """
    found = labels or {}
    name = on_engine.removeprefix("/")
    own = engine_name(str(found.get(LAB, "")), "")
    if LAB in found and name.startswith(own):
        return name.removeprefix(own)
    return str(found.get(NAME) or name)


def service_of(labels: Mapping[str, Any] | None) -> str:
    """The service of a Compose project that a container is of, if it is of one."""
    return str((labels or {}).get(SERVICE, ""))


def name_of(labels: Mapping[str, Any] | None) -> str:
    """The learner's own name, from an object's labels."""
    return str((labels or {}).get(NAME, ""))
