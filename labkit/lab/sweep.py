"""Remove what labs made: all of one lab, or all that dead owners left. Nothing else, ever."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Set
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from labkit import labels
from labkit.errors import EngineRefusedError, NameTakenError, NotFoundError
from labkit.lab.holdings import SERVICE, Holding, has_tasks, holdings
from labkit.owner import is_dead
from labkit.sdk import translated

if TYPE_CHECKING:
    import docker

# A request that was under way when its client was killed may still bring an object into being.
SETTLE = (0.0, 0.3, 0.7, 1.5, 2.5, 3.0)  # seconds between the reaper's looks; eight in all
WORKERS = 4  # removals at once: more gain nothing, the engine locks
SWARM_TIMEOUT = 20.0  # seconds for a swarm to notice that a service and its tasks are gone
SWARM_PAUSE = 0.2

Ours = Callable[[Holding], bool]


def sweep_lab(client: docker.DockerClient, lab: str) -> list[str]:
    """Remove every object of one lab; return the learner's names of what was removed.

    Shell: `docker rm -fv $(docker ps -aqf label=labkit.lab=LAB)`, and so for the rest.
    Raises EngineError.
    """
    return _remove(client, f"{labels.LAB}={lab}", lambda one: True)


def sweep_dead(client: docker.DockerClient) -> list[str]:
    """Remove what owners that have ended left behind; return the names of what was removed."""
    dead = functools.cache(is_dead)
    return _remove(client, labels.OWNER, lambda one: dead(one.labels.get(labels.OWNER, "")))


def sweep_all(client: docker.DockerClient) -> list[str]:
    """Remove every lab's objects, of living owners too; return the names of what was removed."""
    return _remove(client, labels.OWNER, lambda one: True)


def sweep_named(
    client: docker.DockerClient, session: str, wanted: set[tuple[str, str]]
) -> list[str]:
    """Remove a session's objects of some kinds and names, as ("network", "app")."""
    return _remove(
        client,
        f"{labels.SESSION}={session}",
        lambda one: bool(
            {(one.kind, one.name), (one.kind, labels.service_of(one.labels))} & wanted
        ),
    )


def _remove(client: docker.DockerClient, label: str, ours: Ours) -> list[str]:
    """Remove round by round as long as that gets on: one object may stand on another."""
    names: list[str] = []
    services: set[str] = set()  # that went: their tasks follow, once the swarm has noticed
    deadline = time.monotonic() + SWARM_TIMEOUT
    while True:
        gone, refused = _round(client, label, ours, services)
        names += [one.name for one in gone]
        services |= {one.id for one in gone if one.kind == "service"}
        if gone and (refused or services):
            continue
        waits = any(one.is_swarms for one in refused) or has_tasks(client, services)
        if not waits or time.monotonic() > deadline:
            break
        time.sleep(SWARM_PAUSE)
    # An image that cannot go has lost its names, and others' images or containers stand on it.
    failed = [err for one, err in refused.items() if one.kind != "image" or err.status != 409]
    if failed:
        raise failed[0]
    return names


def _round(
    client: docker.DockerClient, label: str, ours: Ours, services: Set[str]
) -> tuple[list[Holding], dict[Holding, EngineRefusedError]]:
    """Try to remove each object once: what went, and why the others did not."""
    gone: list[Holding] = []
    refused: dict[Holding, EngineRefusedError] = {}

    def take(one: Holding) -> None:
        try:
            with translated(f"remove {one.kind} {one.name!r}", kind=one.kind, name=one.name):
                one.remove()
            gone.append(one)
        except (NotFoundError, NameTakenError):
            pass  # somebody else was faster
        except EngineRefusedError as err:
            if "already in progress" not in err.seen:
                refused[one] = err

    with ThreadPoolExecutor(WORKERS) as pool:
        for listed in holdings(client, label, services=services):
            mine = [one for one in listed if ours(one) or one.labels.get(SERVICE) in services]
            list(pool.map(take, mine))
    return gone, refused
