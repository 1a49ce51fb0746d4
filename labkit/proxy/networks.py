"""Networks and volumes."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any

from labkit import labels
from labkit.proxy.containers import endpoint, matching, only_own, with_alias
from labkit.proxy.exchange import Ask, Call, Plan, Told
from labkit.proxy.refusal import Refusal, no_such
from labkit.proxy.world import BUILT_IN, World

NO_POOL = re.compile(r"non-overlapping IPv4 address pool|all predefined address pools")


def _shown(one: dict[str, Any]) -> dict[str, Any]:
    one["Name"] = labels.shown_name(one["Name"], one.get("Labels"))
    return one


async def list_networks(ask: Ask, world: World) -> Plan:
    """GET /networks: its own, and those that every engine has."""
    filters = ask.filters()
    named = filters.pop("name", [])
    ask.filter_by(filters)
    mine = {one["Id"] for one in await world.containers()}

    def is_seen(one: dict[str, Any]) -> bool:
        found = one.get("Labels") or {}
        if found.get(labels.LAB) == world.identity.lab:
            return True
        return one["Name"] in BUILT_IN and not found

    def shape(answer: Any) -> Any:
        seen = [_confined(_shown(one), mine) for one in answer if is_seen(one)]
        return matching(named, seen, lambda one: [one["Name"]])

    return Call(ask, shape)


def _confined(one: dict[str, Any], mine: set[str]) -> dict[str, Any]:
    """A network with the lab's own containers alone."""
    if one.get("Containers"):
        one["Containers"] = {id: end for id, end in one["Containers"].items() if id in mine}
    return one


async def network(ask: Ask, world: World, reference: str) -> Plan:
    """GET /networks/ID."""
    found = await world.find_network(reference)
    if found is None and await world.built_in(reference) is None:
        raise no_such("network", reference)
    if found is not None:
        # By an id the engine finds it in whichever scope.
        ask.path = f"/networks/{found.on_engine if ask.first('scope') else found.id}"
    mine = {one["Id"] for one in await world.containers()}
    return Call(ask, lambda answer: _confined(_shown(answer), mine))


async def create_network(ask: Ask, world: World) -> Plan:
    """POST /networks/create."""
    body = await ask.json()
    name = str(body.get("Name") or "")
    if not name:
        return Call(ask)
    if name in BUILT_IN or name in await world.network_names():
        raise Refusal(409, f"network with name {name} already exists")
    body["Name"] = world.names.on_engine(name)
    body["Labels"] = {**(body.get("Labels") or {}), **world.identity.labels(name)}
    source = body.get("ConfigFrom") or {}
    if source.get("Network"):
        source["Network"] = (await world.network(source["Network"])).on_engine
    ask.put(body)
    if body.get("IPAM") and body["IPAM"].get("Config"):
        return Call(ask)
    # An engine has about thirty ranges of its own; after these there are still ours.
    path = f"{ask.version}/networks/create"
    status, answer = await world.engine.json("POST", path, body=body)
    for _ in range(20):
        if status < 400 or not NO_POOL.search(str(answer)):
            break
        subnet = f"10.{100 + secrets.randbelow(100)}.{secrets.randbelow(256)}.0/24"
        body["IPAM"] = {**(body.get("IPAM") or {}), "Config": [{"Subnet": subnet}]}
        status, answer = await world.engine.json("POST", path, body=body)
    if status >= 400:
        raise Refusal(status, world.names.words(str((answer or {}).get("message"))))
    return Told(status, answer)


async def change_network(ask: Ask, world: World, reference: str, what: str) -> Plan:
    """POST /networks/ID/connect and disconnect."""
    body = await ask.json()
    try:
        found = await world.container(str(body.get("Container")))
        body["Container"] = found.id
    except Refusal:
        if what == "connect" or not body.get("Force"):
            raise
        raise no_such("container", str(body.get("Container"))) from None
    own = await world.find_network(reference)
    if own is not None:
        ask.path = f"/networks/{own.id}/{what}"
    elif built_in := await world.built_in(reference):
        ask.path = f"/networks/{built_in['Name']}/{what}"
    else:
        raise no_such("network", reference)
    if what == "connect":
        end = await endpoint(body.get("EndpointConfig"), world)
        if own is not None:
            end["Aliases"] = with_alias(end.get("Aliases"), found.name)
        body["EndpointConfig"] = end
    ask.put(body)
    return Call(ask)


async def remove_network(ask: Ask, world: World, reference: str) -> Plan:
    """DELETE /networks/ID."""
    found = await world.find_network(reference)
    if found is None and (built_in := await world.built_in(reference)):
        if built_in["Name"] == "ingress" and world.identity.is_ours:
            return Call(ask)  # a swarm's, which may have another in its place
        raise Refusal(403, f"{built_in['Name']} is a pre-defined network and cannot be removed")
    if found is None:
        raise no_such("network", reference)
    ask.path = f"/networks/{found.id}"
    return Call(ask)


async def prune_networks(ask: Ask, world: World) -> Plan:
    """POST /networks/prune."""
    only_own(ask, world)
    return Call(ask)


# --- volumes -------------------------------------------------------------------------------------


async def list_volumes(ask: Ask, world: World) -> Plan:
    """GET /volumes."""
    filters = ask.filters()
    named = filters.pop("name", [])
    ask.filter_by(filters)
    mine = {one["Name"] for one in await world.volumes()}

    def shape(answer: Any) -> Any:
        seen = [_shown(one) for one in answer.get("Volumes") or () if one["Name"] in mine]
        answer["Volumes"] = matching(named, seen, lambda one: [one["Name"]])
        return answer

    return Call(ask, shape)


async def create_volume(ask: Ask, world: World) -> Plan:
    """POST /volumes/create."""
    body = await ask.json()
    name = str(body.get("Name") or "")
    if name and (found := await world.find_volume(name)):
        body["Name"] = found.id  # the engine returns the one that is there
        ask.put(body)
        return Call(ask, _shown_if_named)
    if name:
        body["Name"] = world.names.on_engine(name)
    body["Labels"] = {**(body.get("Labels") or {}), **world.identity.labels(name)}
    ask.put(body)
    return Call(ask, _shown_if_named)


def _shown_if_named(answer: Any) -> Any:
    return _shown(answer) if isinstance(answer, dict) and "Name" in answer else answer


async def volume(ask: Ask, world: World, reference: str) -> Plan:
    """GET and DELETE /volumes/NAME."""
    found = await world.volume(reference)
    ask.path = f"/volumes/{found.id}"

    async def forget(status: int, answer: Any) -> None:
        if status < 300:
            world.loose.discard(found.id)

    return Call(ask, _shown_if_named, forget if ask.method == "DELETE" else None)


async def prune_volumes(ask: Ask, world: World) -> Plan:
    """POST /volumes/prune: also those without a name whose containers have gone."""
    filters = ask.filters()
    every = any(one.lower() in ("1", "true") for one in filters.pop("all", []))
    status, answer = await world.engine.json("GET", "/volumes", {"filters": ['{"dangling":["1"]}']})
    unused = {one["Name"]: one for one in (answer or {}).get("Volumes") or ()}
    legacy = _before(ask.version, 42)  # until then a prune took the named ones along
    wanted = _label_filter(filters)
    gone = []
    for one in await world.volumes():
        anonymous = not (one.get("Labels") or {}).get(labels.NAME)
        if one["Name"] not in unused or not (anonymous or every or legacy):
            continue
        if not wanted(one.get("Labels") or {}):
            continue
        status, _ = await world.engine.json("DELETE", f"/volumes/{one['Name']}")
        if status < 300:
            world.loose.discard(one["Name"])
            gone.append(one["Name"])
    return Told(200, {"VolumesDeleted": gone, "SpaceReclaimed": 0})


def _before(version: str, minor: int) -> bool:
    found = re.fullmatch(r"/v1\.(\d+)", version)
    return found is not None and int(found[1]) < minor


def _label_filter(filters: dict[str, list[str]]) -> Callable[[dict[str, str]], bool]:
    def holds(said: str, found: dict[str, str]) -> bool:
        key, equals, value = said.partition("=")
        return key in found and (not equals or found[key] == value)

    def wanted(found: dict[str, str]) -> bool:
        return all(holds(one, found) for one in filters.get("label", [])) and not any(
            holds(one, found) for one in filters.get("label!", [])
        )

    return wanted
