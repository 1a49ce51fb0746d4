"""A Compose project as one lab's: its model in, the same with the lab's names and labels out.

Pure: no I/O. Source: the Compose specification, in the canonical form of
`docker compose config --format json`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Model = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Owner:
    """What a lab puts on a project."""

    project: str  # the learner's name of it
    labels_of: Callable[[str], Mapping[str, str]]  # by the learner's name of an object
    engine_name: Callable[[str], str]
    image_name: Callable[[str], str]  # the engine's, of an image that is built for a service
    known_image: Callable[[str], str]  # the engine's, of one that a service names
    subnet: Callable[[str], str]  # by the name of a network that asks for none
    address: str  # where a port is published that names no address
    files: Mapping[str, str | bytes]  # beside the Compose file
    folder: Path  # where those are while Compose runs


def owned(model: Model, owner: Owner) -> Model:
    """The model, with all it makes named, labelled and published as the lab's own."""
    made = copy.deepcopy(model)
    for name, service in made.get("services", {}).items():
        _own_service(name, service, owner)
        _bring_files(service, made, owner)
    for kind in ("networks", "volumes"):
        for key, declared in (made.get(kind) or {}).items():
            one = made[kind][key] = declared or {}
            if one.get("external"):
                continue
            name = f"{owner.project}_{key}" if key == "default" else key
            one["name"] = owner.engine_name(name)
            one["labels"] = {**(one.get("labels") or {}), **owner.labels_of(name)}
            if kind == "networks" and not (one.get("ipam") or {}).get("config"):
                one["ipam"] = {"config": [{"subnet": owner.subnet(name)}]}
    return made


def _own_service(name: str, service: Model, owner: Owner) -> None:
    learners = name
    if fixed := service.get("container_name"):
        learners = fixed
        service["container_name"] = owner.engine_name(fixed)
        for key, joined in (service.get("networks") or {}).items():
            aliases = (joined or {}).get("aliases") or []
            service["networks"][key] = {**(joined or {}), "aliases": [*aliases, fixed]}
    service["labels"] = {**(service.get("labels") or {}), **owner.labels_of(learners)}
    if build := service.get("build"):
        build["labels"] = {**(build.get("labels") or {}), **owner.labels_of(name)}
        service["image"] = owner.image_name(name)
    elif image := service.get("image"):
        service["image"] = owner.known_image(image)
    for port in service.get("ports") or ():
        port.setdefault("host_ip", owner.address)


def _bring_files(service: Model, model: Model, owner: Owner) -> None:
    """Copy in what would be bound from beside the Compose file: an engine may be elsewhere."""
    kept = []
    for volume in service.get("volumes") or ():
        source = Path(volume.get("source") or "/")
        if volume.get("type") != "bind" or not source.is_relative_to(owner.folder):
            kept.append(volume)
            continue
        bound = source.relative_to(owner.folder)
        for path, content in owner.files.items():
            if not Path(path).is_relative_to(bound):
                continue
            text = content.decode() if isinstance(content, bytes) else content
            key = "".join(letter if letter.isalnum() else "_" for letter in path)
            # A dollar sign begins a variable in a Compose file.
            model.setdefault("configs", {})[key] = {"content": text.replace("$", "$$")}
            target = str(Path(volume["target"], Path(path).relative_to(bound)))
            service.setdefault("configs", []).append({"source": key, "target": target})
    if "volumes" in service:
        service["volumes"] = kept
