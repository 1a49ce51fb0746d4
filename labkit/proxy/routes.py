"""Which request is whose: all of Docker's API that a lab can use; what is not here is not there."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote

from labkit.proxy import buildkit, containers, images, networks, swarm, system
from labkit.proxy.exchange import Ask, Call, Plan, Raw
from labkit.proxy.lent import Lent
from labkit.proxy.names import with_tag
from labkit.proxy.policy import Policy
from labkit.proxy.refusal import Refusal
from labkit.proxy.world import World

VERSION = re.compile(r"/v\d+\.\d+(?=/)")
WHOLE = ("swarm", "nodes", "plugins")  # the engine's
PASSED = {
    ("GET", "/_ping"), ("HEAD", "/_ping"), ("GET", "/version"), ("POST", "/auth"),
    ("GET", "/images/search"),
}  # fmt: skip
FIXED = {
    ("GET", "/containers/json"): containers.listed,
    ("POST", "/containers/create"): containers.create,
    ("POST", "/containers/prune"): containers.prune,
    ("POST", "/commit"): containers.commit,
    ("GET", "/networks"): networks.list_networks,
    ("POST", "/networks/create"): networks.create_network,
    ("POST", "/networks/prune"): networks.prune_networks,
    ("GET", "/volumes"): networks.list_volumes,
    ("POST", "/volumes/create"): networks.create_volume,
    ("POST", "/volumes/prune"): networks.prune_volumes,
    ("GET", "/images/json"): images.listed,
    ("POST", "/images/create"): images.create,
    ("POST", "/images/prune"): images.prune,
    ("POST", "/images/load"): images.load,
    ("GET", "/images/get"): images.save,
    ("POST", "/build"): images.build,
    ("POST", "/build/prune"): images.prune_cache,
    ("GET", "/info"): system.info,
    ("GET", "/system/df"): system.disk_usage,
    ("GET", "/events"): system.events,
    ("GET", "/tasks"): swarm.tasks,
}


def read_target(target: str) -> tuple[str, str, dict[str, list[str]]]:
    """The version, the path and the parameters of a request. Raises Refusal."""
    path, _, said = target.partition("?")
    try:
        path = unquote(path, errors="strict")
        query = parse_qs(said, keep_blank_values=True, errors="strict")
    except (UnicodeDecodeError, ValueError) as err:
        raise Refusal(400, "a path and parameters in UTF-8 are wanted") from err
    if not path.startswith("/") or any(ord(letter) < 32 or letter in "?#%\\" for letter in path):
        raise Refusal(400, f"malformed path: {path!r}")
    if any(part in ("", ".", "..") for part in path[1:].split("/")):
        raise Refusal(404, "page not found")
    found = VERSION.match(path)
    version = found[0] if found else ""
    return version, path[len(version) :], query


async def plan(ask: Ask, world: World, policy: Policy) -> Plan:
    """How a request is to be answered. Raises Refusal."""
    key = ask.method, ask.path
    if key in PASSED:
        return Call(ask)
    if key in FIXED:
        return await FIXED[key](ask, world)
    if key == ("POST", "/session"):
        return Raw(ask, hijack=True, outgoing=world.names.hidden)
    if key == ("POST", "/grpc"):
        named = buildkit.named(
            lambda name: with_tag(world.names.image_on_engine(name)),
            lambda name: world.identity.labels(containers.own_name(name)),
            policy.entitles,
        )
        return Raw(
            ask,
            hijack=True,
            outgoing=lambda data: world.names.hidden(named(data)),
            around=Lent(world),
        )
    kind, *rest = ask.path[1:].split("/")
    if kind in WHOLE:
        return swarm.whole(ask, world)
    if kind == "images" and rest:
        return await _image(ask, world)
    if not rest:
        if kind in swarm.KINDS and ask.method == "GET":
            return await swarm.listed(ask, world, kind)
        raise Refusal(404, "page not found")
    return await _one(ask, world, kind, rest[0], "/".join(rest[1:]))


async def _image(ask: Ask, world: World) -> Plan:
    if ask.method == "DELETE":
        return await images.remove(ask, world, ask.path.removeprefix("/images/"))
    found = images.IMAGE.fullmatch(ask.path)
    if found is None or not found["what"]:
        raise Refusal(404, "page not found")
    if (ask.method == "POST") != (found["what"] in ("tag", "push")):
        raise Refusal(405, "method not allowed")
    return await images.image(ask, world, found["name"], found["what"])


async def _one(ask: Ask, world: World, kind: str, reference: str, what: str) -> Plan:
    deletes = ask.method == "DELETE" and not what
    if kind == "containers":
        if deletes:
            return await containers.remove(ask, world, reference)
        if ask.method == "DELETE" and ask.flag("link"):
            return await containers.remove_link(ask, world, reference, what)
        return await containers.inside(ask, world, reference, what)
    if kind == "exec":
        return await containers.exec_(ask, world, reference, what)
    if kind == "networks":
        if deletes:
            return await networks.remove_network(ask, world, reference)
        if what in ("connect", "disconnect"):
            return await networks.change_network(ask, world, reference, what)
        if not what and ask.method == "GET":
            return await networks.network(ask, world, reference)
    if kind == "volumes" and not what:
        return await networks.volume(ask, world, reference)
    if kind in swarm.KINDS:
        if reference == "create" and not what:
            return await swarm.create(ask, world, kind)
        return await swarm.one(ask, world, kind, reference, what)
    if kind == "tasks":
        return await swarm.task(ask, world, reference, what)
    if kind == "distribution" and what.endswith("json"):
        return Call(ask)
    raise Refusal(404, "page not found")
