"""Images: all can be used; what the lab pulled, tagged, built, loaded or committed is its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from labkit import labels
from labkit.proxy.archive import renamed
from labkit.proxy.containers import only_own, own_name
from labkit.proxy.exchange import Ask, Call, Plan, Raw, Streamed, Told
from labkit.proxy.lent import Lent
from labkit.proxy.names import HUB, LENT, with_tag
from labkit.proxy.refusal import Refusal, no_such
from labkit.proxy.world import NO_NAME, World

IMAGE = re.compile(r"/images/(?P<name>.+?)(?:/(?P<what>json|history|get|tag|push))?")


async def listed(ask: Ask, world: World) -> Plan:
    """GET /images/json."""
    filters = ask.filters()
    wanted = [*filters.get("reference", []), *ask.query.pop("filter", [])]
    if wanted:
        filters["reference"] = [
            one for said in wanted for one in (said, world.names.image_on_engine(said))
        ]
    for name in ("before", "since"):
        filters[name] = [await world.image(one) for one in filters.get(name, [])]
    ask.filter_by(filters)

    def shape(answer: Any) -> Any:
        seen = (seen_image(one, world) for one in answer)
        return [one for one in seen if one is not None]

    return Call(ask, shape)


def seen_image(image: dict[str, Any], world: World) -> dict[str, Any] | None:
    """An image as the lab sees it: without others' names; None if it is another lab's."""
    if not world.sees(image):
        return None
    return {
        **image,
        **{
            field: world.names.seen_tags(image[field])
            for field in ("RepoTags", "RepoDigests")
            if image.get(field)
        },
    }


async def image(ask: Ask, world: World, reference: str, what: str) -> Plan:
    """/images/NAME/...."""
    if what == "push":
        return await _push(ask, world, reference)
    name = await world.image(reference)
    if what == "tag":
        said = ask.first("repo")
        tagged = f"{said}:{ask.first('tag')}" if ask.first("tag") else said
        await _see(world, name, reference)
        repo, _, tag = with_tag(world.names.image_on_engine(tagged)).rpartition(":")
        ask.query.update(repo=[repo], tag=[tag])
    ask.path = f"/images/{name}/{what}"
    if what == "get":
        return await _save(ask, world, [name])
    if what == "history":
        return Call(ask, lambda answer: [_without_tags(one, world) for one in answer])
    if what != "json":
        return Call(ask)
    return Call(ask, lambda answer: _seen_or_refused(answer, world, reference))


def _seen_or_refused(answer: Any, world: World, reference: str) -> Any:
    seen = seen_image({**answer, "Labels": (answer.get("Config") or {}).get("Labels")}, world)
    if seen is None:
        raise no_such("image", reference)
    seen.pop("Labels")
    return seen


def _without_tags(step: dict[str, Any], world: World) -> dict[str, Any]:
    return {**step, "Tags": world.names.seen_tags(step.get("Tags") or ()) or None}


async def _see(world: World, name: str, reference: str) -> dict[str, Any]:
    """What the engine says of an image that the lab may see. Raises Refusal."""
    status, seen = await world.engine.json("GET", f"/images/{name}/json")
    if status != 200:
        raise no_such("image", reference)
    _seen_or_refused(seen, world, reference)
    return dict(seen)


async def remove(ask: Ask, world: World, reference: str) -> Plan:
    """DELETE /images/NAME: a name of the lab's own, or an image that has no other."""
    name = await world.image(reference)
    seen = await _see(world, name, reference)
    if not _is_own(world, name, seen):
        raise Refusal(
            409,
            f"unable to remove {reference}: it is not this lab's, which can use it and not remove "
            "it; with DOCKER_HOST as `labkit engine env --engine-itself` says, its owner can",
        )
    ask.path = f"/images/{name}"

    async def forget(status: int, answer: Any) -> None:
        if status < 300:
            world.pulled.discard(_full(reference))

    return Call(ask, after=forget)


def _is_own(world: World, name: str, seen: dict[str, Any]) -> bool:
    if world.names.is_own_image(name) or _full(name) in world.pulled:
        return True
    by_name = _full(name) in map(_full, seen.get("RepoTags") or ()) and ":" in name
    if by_name and not name.startswith("sha256:"):
        return False
    tags = [tag for tag in seen.get("RepoTags") or () if tag != NO_NAME]
    if tags:
        return all(world.names.is_own_image(one) or _full(one) in world.pulled for one in tags)
    found = (seen.get("Config") or {}).get("Labels") or {}
    return bool(found.get(labels.LAB) == world.identity.lab)


def _full(reference: str) -> str:
    return with_tag(HUB.sub("", reference))


async def prune(ask: Ask, world: World) -> Plan:
    """POST /images/prune: the lab's own; with `dangling=false` those that it only tagged, too."""
    everything = "false" in [one.lower() for one in ask.filters().get("dangling", [])] or "0" in (
        ask.filters().get("dangling", [])
    )
    gone: list[Any] = []
    if everything and not ask.filters().get("label"):
        used = {one.get("ImageID") for one in await world.containers()}
        for one in await world.ask("/images/json", {}):
            for tag in one.get("RepoTags") or ():
                if LENT.match(tag):
                    continue
                mine = world.names.is_own_image(tag) or _full(tag) in world.pulled
                if mine and one["Id"] not in used:
                    status, answer = await world.engine.json("DELETE", f"/images/{tag}")
                    gone += answer if status == 200 else []
    only_own(ask, world)

    def shape(answer: Any) -> Any:
        answer["ImagesDeleted"] = [*gone, *(answer.get("ImagesDeleted") or ())] or None
        return answer

    return Call(ask, shape)


# --- pulled and pushed ---------------------------------------------------------------------------


async def create(ask: Ask, world: World) -> Plan:
    """POST /images/create: a pull, or an import."""
    if source := ask.first("fromImage"):
        return await _pull(ask, world, source)
    name = ask.first("repo")
    if name:
        reference = f"{name}:{ask.first('tag')}" if ask.first("tag") else name
        repo, _, tag = with_tag(world.names.image_on_engine(reference)).rpartition(":")
        ask.query["repo"], ask.query["tag"] = [repo], [tag]
    changes = [f'LABEL {k}="{v}"' for k, v in world.identity.labels(own_name(name)).items()]
    ask.query["changes"] = [*ask.query.get("changes", []), *changes]
    return Streamed(ask, upload=bytes)


async def _pull(ask: Ask, world: World, source: str) -> Plan:
    """A name that was somebody's before stays theirs: what came is the lab's under that name."""
    tag = ask.first("tag")
    joined = f"{source}@{tag}" if ":" in tag else f"{source}:{tag}" if tag else source
    reference = with_tag(joined)
    before = await _id_of(world, reference)

    async def settle() -> None:
        after = await _id_of(world, reference)
        if after is None or after == before:
            return
        if before is None:
            world.pulled.add(_full(reference))
            return
        await _tag(world, after, with_tag(world.names.image_on_engine(reference)))
        await _tag(world, before, reference)

    return Streamed(ask, after=settle)


async def _push(ask: Ask, world: World, reference: str) -> Plan:
    """A registry is told by the name; so the engine knows the image by it for as long as it takes.

    Raises Refusal where that name is another image's.
    """
    said = f"{reference}:{ask.first('tag')}" if ask.first("tag") else reference
    own = with_tag(world.names.image_on_engine(said))
    mine, theirs = await _id_of(world, own), await _id_of(world, with_tag(said))
    if mine is None:
        await world.image(said)
        return Streamed(ask)
    if theirs not in (None, mine):
        raise Refusal(409, f"the name {said} is another image's on this engine, not the lab's")
    if theirs is None:
        await _tag(world, own, said)

    async def settle() -> None:
        if theirs is None:
            await world.engine.json("DELETE", f"/images/{with_tag(said)}", {"noprune": ["1"]})

    ask.path = f"/images/{reference}/push"
    return Streamed(ask, after=settle)


async def _id_of(world: World, reference: str) -> str | None:
    status, seen = await world.engine.json("GET", f"/images/{reference}/json")
    return str(seen["Id"]) if status == 200 else None


async def _tag(world: World, image: str, reference: str) -> None:
    repo, _, tag = with_tag(reference).rpartition(":")
    status, answer = await world.engine.json(
        "POST", f"/images/{image}/tag", {"repo": [repo], "tag": [tag]}
    )
    if status >= 400:
        raise Refusal(status, str((answer or {}).get("message")))


# --- saved and loaded ----------------------------------------------------------------------------


async def save(ask: Ask, world: World) -> Plan:
    """GET /images/get."""
    said = [one for many in ask.query.get("names", []) for one in many.split(",") if one]
    found = [await world.image(one) for one in said]
    ask.query["names"] = found
    return await _save(ask, world, found)


async def _save(ask: Ask, world: World, found: Iterable[str]) -> Plan:
    """An archive in which the learner's names stand."""
    if not any(world.names.is_own_image(one) for one in found):
        return Raw(ask)
    return Streamed(ask, answer=renamed(world.names.shown_image))


async def load(ask: Ask, world: World) -> Plan:
    """POST /images/load: under the lab's own names, so that nobody else's change."""
    return Streamed(ask, upload=renamed(lambda said: with_tag(world.names.image_on_engine(said))))


# --- built ---------------------------------------------------------------------------------------


async def build(ask: Ask, world: World) -> Plan:
    """POST /build, the engine's own way; BuildKit's by `buildx` goes over /grpc."""
    named = ask.query.get("t", [])
    ask.query["t"] = [with_tag(world.names.image_on_engine(one)) for one in named]
    try:
        said = json.loads(ask.first("labels") or "{}") or {}
    except ValueError as err:
        raise Refusal(400, f"invalid labels: {err}") from err
    name = own_name(named[0]) if named else ""
    ask.query["labels"] = [json.dumps({**said, **world.identity.labels(name)})]
    said = f"ARG {ask.first('buildargs')}".encode()
    ask.query["buildargs"] = [world.names.hidden(said).decode().removeprefix("ARG ")]
    mode = ask.first("networkmode")
    if mode.startswith("container:"):
        ask.query["networkmode"] = [await world.mode(mode)]
    elif mode:
        ask.query["networkmode"] = [await world.joined(mode)]
    return Streamed(ask, upload=world.names.hidden, around=Lent(world))


async def prune_cache(ask: Ask, world: World) -> Plan:
    """POST /build/prune: the builder's cache is the engine's, and no lab's."""
    return Told(200, {"CachesDeleted": None, "SpaceReclaimed": 0})
