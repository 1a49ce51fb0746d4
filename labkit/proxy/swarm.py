"""A swarm's objects: services, tasks, secrets and configs; and the swarm itself, on our engines."""

from __future__ import annotations

from typing import Any

from labkit import labels
from labkit.proxy.containers import settle_mount
from labkit.proxy.exchange import Ask, Call, Plan, Raw
from labkit.proxy.refusal import Refusal, no_such
from labkit.proxy.world import World

KINDS = ("services", "secrets", "configs")


def whole(ask: Ask, world: World) -> Plan:
    """What concerns the engine as a whole: done where the engine is labkit's own."""
    if ask.method in ("GET", "HEAD") or world.identity.is_ours:
        return Call(ask)
    raise Refusal(
        403,
        f"{ask.method} {ask.path} concerns the whole engine, which is not labkit's own; "
        "`labkit engine env --engine-itself` leads to it",
    )


async def listed(ask: Ask, world: World, kind: str) -> Plan:
    """GET /services, /secrets and /configs."""
    filters = ask.filters()
    for field in ("name", "names"):
        if field in filters:
            filters[field] = [world.names.on_engine(one) for one in filters[field]]
    ask.filter_by(filters)

    # Not by one more filter: of two labels with one key a swarm looks at the last alone.
    def is_own(one: dict[str, Any]) -> bool:
        found = one["Spec"].get("Labels") or {}
        return bool(found.get(labels.LAB) == world.identity.lab)

    return Call(ask, lambda answer: [one for one in answer if is_own(one)])


async def create(ask: Ask, world: World, kind: str) -> Plan:
    """POST /services/create, /secrets/create and /configs/create."""
    spec = await ask.json()
    await _own(spec, world, kind)
    ask.put(spec)
    return Call(ask)


async def one(ask: Ask, world: World, kind: str, reference: str, what: str) -> Plan:
    """/services/ID/..., and so for the others."""
    found = await _find(world, kind, reference)
    if found is None:
        raise no_such(kind.removesuffix("s"), reference)
    ask.path = f"/{kind}/{found}" + (f"/{what}" if what else "")
    if what == "logs":
        return Raw(ask)
    if what == "update":
        spec = await ask.json()
        await _own(spec, world, kind)
        ask.put(spec)
    return Call(ask)


async def tasks(ask: Ask, world: World) -> Plan:
    """GET /tasks."""
    filters = ask.filters()
    if "service" in filters:
        found = [await _find(world, "services", one) for one in filters["service"]]
        filters["service"] = [one or "nothing" for one in found]
    if "name" in filters:
        filters["name"] = [world.names.on_engine(one) for one in filters["name"]]
    ask.filter_by(filters)
    mine = {one["ID"] for one in await _all(world, "services")}
    return Call(ask, lambda answer: [one for one in answer if one["ServiceID"] in mine])


async def task(ask: Ask, world: World, reference: str, what: str) -> Plan:
    """GET /tasks/ID and its logs."""
    status, seen = await world.engine.json("GET", f"/tasks/{reference}")
    mine = {one["ID"] for one in await _all(world, "services")}
    if status != 200 or seen["ServiceID"] not in mine:
        raise no_such("task", reference)
    return Raw(ask) if what else Call(ask)


async def _all(world: World, kind: str) -> list[dict[str, Any]]:
    filters = f'{{"label":["{world.label}"]}}'
    return list(await world.ask(f"/{kind}", {"filters": [filters]}))


async def _find(world: World, kind: str, reference: str) -> str | None:
    found = await _all(world, kind)
    for one in found:
        name = one["Spec"]["Name"]
        if reference in (one["ID"], name, world.names.shown(name)):
            return str(one["ID"])
    begins = [str(one["ID"]) for one in found if one["ID"].startswith(reference)]
    return begins[0] if len(begins) == 1 else None


async def _own(spec: dict[str, Any], world: World, kind: str) -> None:
    """A specification in the engine's names, and with the lab's labels."""
    name = world.names.shown(str(spec.get("Name") or ""))
    spec["Name"] = world.names.on_engine(name)
    spec["Labels"] = {**(spec.get("Labels") or {}), **world.identity.labels(name)}
    if kind != "services":
        return
    template = spec.get("TaskTemplate") or {}
    for where in (template, spec):
        for net in where.get("Networks") or ():
            net["Target"] = await world.joined(str(net.get("Target") or ""))
    container = template.get("ContainerSpec") or {}
    if container:
        container["Labels"] = {**(container.get("Labels") or {}), **world.identity.labels("")}
        container["Image"] = await world.image(str(container.get("Image") or ""))
    for mount in container.get("Mounts") or ():
        await settle_mount(mount, world)
    credentials = (container.get("Privileges") or {}).get("CredentialSpec") or {}
    if said := credentials.get("Config"):
        credentials["Config"] = await _used(world, "configs", str(said))
    for kind, field in (("secrets", "Secret"), ("configs", "Config")):
        for used in container.get(f"{field}s") or ():
            said = str(used.get(f"{field}ID") or used.get(f"{field}Name") or "")
            used[f"{field}ID"] = await _used(world, kind, said)
            used[f"{field}Name"] = world.names.on_engine(
                world.names.shown(str(used.get(f"{field}Name") or ""))
            )


async def _used(world: World, kind: str, reference: str) -> str:
    """The id of what a service uses. Raises Refusal."""
    if (found := await _find(world, kind, reference)) is None:
        raise no_such(kind.removesuffix("s"), reference)
    return found
