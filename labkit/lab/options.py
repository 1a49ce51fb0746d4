"""What a learner says of a container, in the words of the Docker SDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labkit.lab.volume import Volume
from labkit.sizes import parse_size

Ports = Sequence[int | str] | Mapping[str, Any]
Volumes = Mapping[Any, str]


def limits(
    *, memory: int | str | None, cpus: float | None, pids: int | None
) -> dict[str, int | None]:
    """The limits that were given. Raises BadValueError."""
    said = {
        "mem_limit": None if memory is None else parse_size(memory),
        "nano_cpus": None if cpus is None else int(cpus * 1_000_000_000),
        "pids_limit": pids,
    }
    return {name: value for name, value in said.items() if value is not None}


def published(ports: Ports, *, address: str) -> dict[str, Any]:
    """Ports at an address, each on a free port; a mapping is taken as it is."""
    if isinstance(ports, Mapping):
        return dict(ports)
    return {f"{p}" if "/" in str(p) else f"{p}/tcp": (address, None) for p in ports}


def binds(volumes: Volumes) -> list[str]:
    """Volumes and paths of the engine's machine, each with its place inside."""
    return [
        f"{source.docker.name if isinstance(source, Volume) else Path(source)}:{place}"
        for source, place in volumes.items()
    ]


def with_tag(reference: str) -> tuple[str, str | None]:
    """Name and tag for a pull: without a tag the SDK would pull every one."""
    name = reference.rpartition("/")[2]
    return (reference, None) if ":" in name or "@" in name else (reference, "latest")
