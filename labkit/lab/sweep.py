"""Remove what labs made: all of one lab, or all that dead owners left. Nothing else, ever."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from labkit import labels
from labkit.errors import EngineRefusedError, LabError, NameTakenError, NotFoundError
from labkit.owner import is_dead
from labkit.sdk import translated

if TYPE_CHECKING:
    import docker

# A request that was under way when its client was killed may still bring an object into being.
SETTLE = (0.0, 0.3, 0.7, 1.5, 2.5, 3.0)  # seconds between the looks; eight in all
DEPENDED_ON = "dependent containers"
WORKERS = 4  # removals at once: more gain nothing, the engine locks


def sweep_lab(client: docker.DockerClient, lab: str) -> list[str]:
    """Remove every object of one lab; return the learner's names of what was removed.

    Shell: `docker rm -fv $(docker ps -aqf label=labkit.lab=LAB)`, and so for the rest.
    Raises EngineError.
    """
    return _remove(client, f"{labels.LAB}={lab}", lambda kind, found: True)


def sweep_until_quiet(client: docker.DockerClient, labs: Iterable[str]) -> None:
    """Remove the labs of an owner that was killed, and what its last requests still make."""
    wanted = list(labs)
    for pause in SETTLE:
        time.sleep(pause)
        for lab in wanted:
            with suppress(EngineRefusedError):  # the next look tries again
                sweep_lab(client, lab)


def sweep_dead(client: docker.DockerClient) -> list[str]:
    """Remove what owners that have ended left behind; return the names of what was removed."""
    return _remove(client, labels.OWNER, lambda kind, found: is_dead(found.get(labels.OWNER, "")))


def sweep_all(client: docker.DockerClient) -> list[str]:
    """Remove every lab's objects, of living owners too; return the names of what was removed."""
    return _remove(client, labels.OWNER, lambda kind, found: True)


def sweep_named(
    client: docker.DockerClient, session: str, wanted: set[tuple[str, str]]
) -> list[str]:
    """Remove a session's objects of some kinds and names, as ("network", "app")."""
    return _remove(
        client,
        f"{labels.SESSION}={session}",
        lambda kind, found: (kind, labels.name_of(found)) in wanted,
    )


def _remove(
    client: docker.DockerClient, label: str, ours: Callable[[str, dict[str, str]], bool]
) -> list[str]:
    api, only = client.api, {"label": [label]}
    removed: list[str] = []
    failures: list[LabError] = []
    # In this order: a network or an image in use cannot be removed. Anonymous volumes go along.
    kinds: tuple[tuple[str, Callable[[], Any], Callable[[Any], object]], ...] = (
        (
            "container",
            lambda: api.containers(all=True, filters=only),
            lambda item: api.remove_container(item["Id"], force=True, v=True),
        ),
        (
            "network",
            lambda: api.networks(filters=only),
            lambda item: api.remove_network(item["Id"]),
        ),
        (
            "volume",
            lambda: api.volumes(filters=only)["Volumes"] or (),
            lambda item: api.remove_volume(item["Name"]),
        ),
        (
            "image",
            lambda: api.images(filters=only),
            lambda item: api.remove_image(item["Id"], force=True),
        ),
    )

    def take(kind: str, remove: Callable[[Any], object], item: Any) -> LabError | None:
        name = labels.name_of(item["Labels"])
        try:
            with translated(f"remove {kind} {name!r}"):
                remove(item)
        except (NotFoundError, NameTakenError):
            return None  # somebody else was faster
        except EngineRefusedError as err:
            return None if "already in progress" in err.seen else err
        removed.append(name)
        return None

    with ThreadPoolExecutor(WORKERS) as pool:
        for kind, listed, remove in kinds:
            with translated(f"list the lab's {kind}s"):
                items = [item for item in listed() if ours(kind, item["Labels"] or {})]
            while items:
                answers = pool.map(lambda item, k=kind, r=remove: take(k, r, item), items)
                refused = [(item, err) for item, err in zip(items, answers, strict=True) if err]
                # Podman keeps a container while another shares its namespaces: that one first.
                later = [item for item, err in refused if DEPENDED_ON in err.seen]
                if len(later) == len(items):
                    later = []
                failures += [err for item, err in refused if item not in later]
                items = later
    if failures:
        raise failures[0]
    return removed
