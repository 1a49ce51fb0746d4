"""Containers, and what runs in them."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from labkit import labels
from labkit.proxy.exchange import Ask, Call, Plan, Raw, Streamed
from labkit.proxy.names import HUB, with_tag
from labkit.proxy.refusal import Refusal, no_such
from labkit.proxy.world import World

NAMED = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
STREAMS = ("logs", "export", "archive")  # that pass unread
JOINED = ("PidMode", "IpcMode", "UTSMode", "UsernsMode", "CgroupnsMode")  # the last three: Podman
MOMENT = 0.5  # seconds of the processor for a filter by name; all others wait meanwhile
IN_CONTAINER = frozenset({
    "json", "top", "changes", "resize", "start", "stop", "restart", "kill", "update",
    "pause", "unpause", "exec",
})  # fmt: skip


async def listed(ask: Ask, world: World) -> Plan:
    """GET /containers/json."""
    filters = ask.filters()
    named = filters.pop("name", [])
    for name in ("before", "since"):
        filters[name] = [(await world.container(one)).id for one in filters.get(name, [])]
    if "network" in filters:
        filters["network"] = [await world.joined(one) for one in filters["network"]]
    if "volume" in filters:
        found = [(one, await world.find_volume(one)) for one in filters["volume"]]
        filters["volume"] = [one if own is None else own.id for one, own in found]
    if "ancestor" in filters:
        filters["ancestor"] = [await world.image(one) for one in filters["ancestor"]]
    filters.setdefault("label", []).append(world.label)
    ask.filter_by(filters)
    limit = int(ask.first("limit", "0") or 0)
    if named and limit:
        del ask.query["limit"]
        ask.query["all"] = ["1"]

    def shape(answer: Any) -> Any:
        for one in answer:
            own = labels.shown_name(one["Names"][0], one["Labels"]) if one["Names"] else ""
            one["Names"] = [f"/{own}", *one["Names"][1:]]
        answer = matching(named, answer, lambda one: list(one["Names"]))
        return answer[:limit] if named and limit else answer

    return Call(ask, shape)


Listed = list[dict[str, Any]]


def matching(
    patterns: list[str], found: Listed, names: Callable[[dict[str, Any]], list[str]]
) -> Listed:
    """Those that a filter by name finds, with or without the slash before a name.

    Without a filter that is all. Raises Refusal.
    """

    def matches(one: dict[str, Any]) -> bool:
        return any(
            re.search(pattern, name) or re.search(pattern, name.removeprefix("/"))
            for pattern in patterns
            for name in names(one)
        )

    try:
        with _for_a_moment():
            return [one for one in found if not patterns or matches(one)]
    except TimeoutError as err:
        raise Refusal(400, "invalid filter: it takes too long; write it without nesting") from err
    except (re.error, OverflowError, RecursionError) as err:
        raise Refusal(400, f"invalid filter: {err}") from err


@contextmanager
def _for_a_moment() -> Iterator[None]:
    """Raises TimeoutError in what takes too long: Go's patterns take linear time, Python's not.

    Only the main thread can do that. Source: Modules/_sre/sre_lib.h looks for signals on its way.
    """

    def ring(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, MOMENT)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    finally:
        signal.signal(signal.SIGVTALRM, before)


async def create(ask: Ask, world: World) -> Plan:
    """POST /containers/create."""
    body = await ask.json()
    name = ask.first("name").removeprefix("/")
    if name:
        _checked(name)
        if (taken := await world.find_container(name)) and taken.name == name:
            raise Refusal(
                409,
                f'Conflict. The container name "/{name}" is already in use by container '
                f'"{taken.id}". You have to remove (or rename) that container to be able to '
                "reuse that name.",
            )
        ask.query["name"] = [world.names.on_engine(name)]
    body["Labels"] = {**(body.get("Labels") or {}), **world.identity.labels(name)}
    if body.get("Image"):
        body["Image"] = await world.image(body["Image"])
    body["HostConfig"] = body.get("HostConfig") or {}
    try:
        await _settle(body, body["HostConfig"], world, name)
    except Refusal as refused:
        # By 404 Docker's command line means the image, and pulls one.
        status = 400 if refused.status == 404 else refused.status
        raise Refusal(status, refused.message) from refused
    ask.put(body)
    return Call(ask)


async def _settle(body: dict[str, Any], host: dict[str, Any], world: World, name: str) -> None:
    """What a new container has of others, found by the learner's names."""
    await _join(body, host, world, name)
    for field in JOINED:
        if host.get(field):
            host[field] = await world.mode(host[field])
    host["Links"] = [await _link(one, world) for one in host.get("Links") or ()]
    host["VolumesFrom"] = [await _first_part(one, world) for one in host.get("VolumesFrom") or ()]
    host["Binds"] = [
        await _bind(one, world, str(host.get("VolumeDriver") or ""))
        for one in host.get("Binds") or ()
    ]
    for mount in host.get("Mounts") or ():
        await settle_mount(mount, world)
    for field in ("Links", "VolumesFrom", "Binds"):
        if not host[field]:
            del host[field]


def _checked(name: str) -> str:
    if not NAMED.fullmatch(name.removeprefix("/")):
        raise Refusal(400, f"Invalid container name ({name}), only {NAMED.pattern} are allowed")
    return name.removeprefix("/")


async def _join(body: dict[str, Any], host: dict[str, Any], world: World, name: str) -> None:
    """The networks of a new container, on each of which its own name resolves."""
    mode = str(host.get("NetworkMode") or "")
    if mode.startswith("container:"):
        host["NetworkMode"] = await world.mode(mode)
        mode = ""
    elif mode:
        host["NetworkMode"] = await world.joined(mode)
    said = (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
    ends = {await world.joined(net): await endpoint(end, world) for net, end in said.items()}
    if mode and await world.find_network(mode):
        ends.setdefault(host["NetworkMode"], {})
    for net, end in ends.items():
        if name and await world.find_network(net):
            end["Aliases"] = with_alias(end.get("Aliases"), name)
    if ends:
        body["NetworkingConfig"] = {"EndpointsConfig": ends}


async def endpoint(said: Any, world: World) -> dict[str, Any]:
    """The settings of a container in a network."""
    end: dict[str, Any] = dict(said or {})
    if end.get("Links"):
        end["Links"] = [await _link_within(one, world) for one in end["Links"]]
    if end.get("NetworkID"):
        end["NetworkID"] = await world.joined(end["NetworkID"])
    return end


def with_alias(aliases: Any, name: str) -> list[str]:
    """The aliases, and this one."""
    found = list(aliases or ())
    return found if name in found else [*found, name]


async def _link(said: str, world: World) -> str:
    name, _, alias = said.partition(":")
    found = await world.container(name)
    return f"{found.on_engine}:{alias or found.name}"


async def _link_within(said: str, world: World) -> str:
    """A link in a network, to a container that need not be there yet."""
    name, _, alias = said.partition(":")
    found = await world.find_container(name)
    on_engine = found.on_engine if found else world.names.on_engine(name)
    return f"{on_engine}:{alias or name}"


async def _first_part(said: str, world: World) -> str:
    name, colon, mode = said.partition(":")
    return f"{(await world.container(name)).id}{colon}{mode}"


async def _bind(said: str, world: World, driver: str) -> str:
    """A volume by its name is the lab's, made first if it is not there; a path is the engine's."""
    source, colon, rest = said.partition(":")
    if not colon or source.startswith(("/", ".", "~")):
        return said
    if found := await world.find_volume(source):
        return f"{found.id}:{rest}"
    made = {
        "Name": world.names.on_engine(source),
        "Driver": driver,
        "Labels": world.identity.labels(source),
    }
    status, answer = await world.engine.json("POST", "/volumes/create", body=made)
    if status >= 400:
        raise Refusal(status, world.names.words(str((answer or {}).get("message"))))
    return f"{made['Name']}:{rest}"


async def settle_mount(mount: dict[str, Any], world: World) -> None:
    """A volume by its name is the lab's; so is an image, where the engine mounts them."""
    if mount.get("Type") == "image" and mount.get("Source"):
        mount["Source"] = await world.image(str(mount["Source"]))
    if mount.get("Type") != "volume":
        return
    source = str(mount.get("Source") or "")
    if source and (found := await world.find_volume(source)):
        mount["Source"] = found.id
        return
    if source:
        mount["Source"] = world.names.on_engine(source)
    options = mount["VolumeOptions"] = mount.get("VolumeOptions") or {}
    options["Labels"] = {**(options.get("Labels") or {}), **world.identity.labels(source)}


async def inside(ask: Ask, world: World, reference: str, what: str) -> Plan:
    """/containers/ID/...: whatever is done with one."""
    found = await world.container(reference)
    ask.path = f"/containers/{found.id}/{what}"
    if what in ("attach", "attach/ws"):
        return Raw(ask, hijack=True)
    if what in STREAMS:
        return Raw(ask)
    if what in ("wait", "stats"):
        return Streamed(ask)
    if what == "start" and (await ask.json()):
        raise Refusal(
            400, "starting container with non-empty request body was removed in API v1.24"
        )
    if what == "rename":
        name = _checked(ask.first("name"))
        if (taken := await world.find_container(name)) and taken.name == name:
            raise Refusal(
                409,
                f'Conflict. The container name "/{name}" is already in use by container '
                f'"{taken.id}".',
            )
        ask.query["name"] = [world.names.on_engine(name)]
        return Call(ask)
    if what not in IN_CONTAINER:
        raise Refusal(404, "page not found")
    if what == "exec":

        async def remember(status: int, answer: Any) -> None:
            if status == 201:
                world.execs.add(answer["Id"])

        return Call(ask, after=remember)

    def shape(answer: Any) -> Any:
        if isinstance(answer, dict) and "Name" in answer and "Config" in answer:
            shown = labels.shown_name(answer["Name"], answer["Config"].get("Labels"))
            answer["Name"] = f"/{shown}"
        return answer

    return Call(ask, shape)


async def remove(ask: Ask, world: World, reference: str) -> Plan:
    """DELETE /containers/ID."""
    found = await world.container(reference)
    ask.path = f"/containers/{found.id}"
    if not ask.flag("v"):
        world.leave_volumes([one for one in await world.containers() if one["Id"] == found.id])
    return Call(ask)


async def remove_link(ask: Ask, world: World, reference: str, alias: str) -> Plan:
    """DELETE /containers/NAME/ALIAS?link=1: the old sort of link, and no container."""
    found = await world.container(reference)
    ask.path = f"/containers/{found.on_engine}/{alias}"
    return Call(ask)


async def prune(ask: Ask, world: World) -> Plan:
    """POST /containers/prune."""
    ended = ("created", "exited", "dead")
    world.leave_volumes([one for one in await world.containers() if one["State"] in ended])
    only_own(ask, world)
    return Call(ask)


def only_own(ask: Ask, world: World) -> None:
    """Confine a list or a prune to what bears the lab's label."""
    filters = ask.filters()
    filters.setdefault("label", []).append(world.label)
    ask.filter_by(filters)


async def commit(ask: Ask, world: World) -> Plan:
    """POST /commit."""
    ask.query["container"] = [(await world.container(ask.first("container"))).id]
    name = ask.first("repo")
    if name:
        reference = f"{name}:{ask.first('tag')}" if ask.first("tag") else name
        repo, _, tag = with_tag(world.names.image_on_engine(reference)).rpartition(":")
        ask.query["repo"], ask.query["tag"] = [repo], [tag]
    changes = [
        f'LABEL {key}="{value}"' for key, value in world.identity.labels(own_name(name)).items()
    ]
    ask.query["changes"] = [*ask.query.get("changes", []), *changes]
    return Call(ask)


def own_name(reference: str) -> str:
    """The name that an image's label bears: without a tag, if that is the usual one."""
    return HUB.sub("", reference).removesuffix(":latest")


async def exec_(ask: Ask, world: World, id: str, what: str) -> Plan:
    """/exec/ID/...: a program in a container."""
    if id not in world.execs:
        status, seen = await world.engine.json("GET", f"/exec/{id}/json")
        if status != 200 or not await world.find_container(str(seen.get("ContainerID"))):
            raise no_such("exec", id)
        world.execs.add(id)
    if what == "start":
        return Raw(ask, hijack=True)
    return Call(ask)
