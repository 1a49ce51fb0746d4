"""What an engine tells of itself as a whole: events, disk usage, counts."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from labkit import labels
from labkit.proxy.exchange import Ask, Call, Plan, Streamed
from labkit.proxy.images import seen_image
from labkit.proxy.names import LENT
from labkit.proxy.world import World


async def info(ask: Ask, world: World) -> Plan:
    """GET /info: the engine's own, with the lab's numbers of containers."""
    mine = await world.containers()
    states = [one["State"] for one in mine]

    def shape(answer: Any) -> Any:
        answer["Containers"] = len(mine)
        answer["ContainersRunning"] = states.count("running")
        answer["ContainersPaused"] = states.count("paused")
        answer["ContainersStopped"] = len(mine) - states.count("running") - states.count("paused")
        return answer

    return Call(ask, shape)


async def disk_usage(ask: Ask, world: World) -> Plan:
    """GET /system/df: of the lab's objects, and of the images that it can use."""
    mine = {one["Id"] for one in await world.containers()}
    volumes = {one["Name"] for one in await world.volumes()}

    def shape(answer: Any) -> Any:
        if answer.get("Containers") is not None:
            answer["Containers"] = [one for one in answer["Containers"] if one["Id"] in mine]
        if answer.get("Volumes") is not None:
            answer["Volumes"] = [one for one in answer["Volumes"] if one["Name"] in volumes]
        if answer.get("Images") is not None:
            seen = (seen_image(one, world) for one in answer["Images"])
            answer["Images"] = [one for one in seen if one is not None]
        if answer.get("BuildCache") is not None:
            answer["BuildCache"] = []  # the engine's, and no lab's
        return answer

    return Call(ask, shape)


async def events(ask: Ask, world: World) -> Plan:
    """GET /events: of the lab's objects."""
    filters = ask.filters()
    for kind in ("container", "network", "volume", "image"):
        if kind in filters:
            filters[kind] = [await _known(world, kind, one) for one in filters[kind]]
    ask.filter_by(filters)
    networks = {one["Id"] for one in await world.networks()}
    is_mine = _judge(world, networks)

    def shape(event: Any) -> Any:
        if not is_mine(event):
            return None
        actor = event.get("Actor") or {}
        found = actor.get("Attributes") or {}
        if event.get("Type") == "container" and "name" in found:
            found["name"] = labels.shown_name(found["name"], found)
        return event

    return Streamed(ask, shape)


def _judge(world: World, networks: set[str]) -> Callable[[dict[str, Any]], bool]:
    """Whether an event is of the lab's; an event tells labels of containers and images alone."""
    lab, prefix = world.identity.lab, world.names.prefix
    volumes: set[str] = set(world.loose)

    def is_mine(event: dict[str, Any]) -> bool:
        actor = event.get("Actor") or {}
        found = actor.get("Attributes") or {}
        kind, id = event.get("Type"), str(actor.get("ID") or "")
        if LENT.match(str(found.get("name", ""))):
            return False
        if found.get(labels.LAB) == lab:
            return True
        if kind == "network":
            if str(found.get("name", "")).startswith(prefix):
                networks.add(id)
            return id in networks
        if kind == "volume":
            return id.startswith(prefix) or id in volumes
        if kind == "image":
            name = str(found.get("name") or id)
            return world.names.is_own_image(name) or name in world.pulled
        if kind in ("service", "node", "secret", "config"):
            return str(found.get("name", "")).startswith(prefix)
        return False

    return is_mine


async def _known(world: World, kind: str, reference: str) -> str:
    """What the engine calls an object of a filter; one that has gone is named as it was."""
    if kind == "image":
        return await world.image(reference)
    find = {
        "container": world.find_container,
        "network": world.find_network,
        "volume": world.find_volume,
    }[kind]
    found = await find(reference)
    if found is not None:
        return found.id
    is_id = re.fullmatch(r"[0-9a-f]{12,64}", reference) is not None
    return reference if is_id else world.names.on_engine(reference)
