"""One lab as the proxy sees it: what it holds on the engine, found by the names of a request."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from labkit import labels
from labkit.proxy.engine import EngineLines
from labkit.proxy.lent import Lending
from labkit.proxy.names import HUB, Names, lent_names, with_tag
from labkit.proxy.refusal import Refusal, no_such

ANONYMOUS = re.compile(r"[0-9a-f]{64}")  # the name of a volume that was given none
BUILT_IN = ("bridge", "host", "none", "ingress", "docker_gwbridge")
NO_NAME = "<none>:<none>"
SERVICE = "com.docker.swarm.service.name"


@dataclass(frozen=True)
class Identity:
    """A lab, and whose it is."""

    lab: str
    session: str
    owner: str
    is_ours: bool = False  # whether the engine is labkit's own, to be changed as a whole

    def labels(self, name: str) -> dict[str, str]:
        """What everything that is made for the lab bears."""
        made = {labels.LAB: self.lab, labels.SESSION: self.session, labels.OWNER: self.owner}
        return {**made, labels.NAME: name} if name else made


@dataclass(frozen=True)
class Found:
    """An object of the lab's."""

    id: str
    name: str  # the learner's
    on_engine: str  # the engine's name for it


class World:
    """Finds what is the lab's; what is not is not there."""

    def __init__(self, identity: Identity, engine: EngineLines) -> None:
        self.identity = identity
        self.engine = engine
        self.names = Names(identity.lab)
        self.lending = Lending()
        self.execs: set[str] = set()  # that were made through this socket
        self.pulled: set[str] = set()  # images that came through it, and may go through it
        self.loose: set[str] = set()  # volumes without a name, whose containers have gone

    @property
    def label(self) -> str:
        """The filter that finds the lab's own."""
        return f"{labels.LAB}={self.identity.lab}"

    def leave_volumes(self, containers: Iterable[Mapping[str, Any]]) -> None:
        """These go, and leave volumes without a name or a label: who knows whose they are?"""
        self.loose |= {
            mount["Name"]
            for one in containers
            for mount in one.get("Mounts") or ()
            if mount.get("Type") == "volume" and ANONYMOUS.fullmatch(mount.get("Name") or "")
        }

    async def remove_loose(self) -> None:
        """At the lab's end: what has no label is found by no sweep."""
        while self.loose:
            await self.engine.json("DELETE", f"/volumes/{self.loose.pop()}")

    # --- containers ----------------------------------------------------------------------------

    async def containers(self) -> list[dict[str, Any]]:
        """All that the engine lists, those that have ended too."""
        only = {"all": ["1"], "filters": [json.dumps({"label": [self.label]})]}
        return list(await self.ask("/containers/json", only))

    async def find_container(self, reference: str) -> Found | None:
        """By id, name or the beginning of an id, in this order, as Docker does."""
        wanted = reference.removeprefix("/")
        found = [Found(one["Id"], *self._named(one)) for one in await self.containers()]
        for one in found:
            if one.id == wanted:
                return one
        for one in found:
            if wanted == one.name:
                return one
        for one in found:
            if wanted == one.on_engine:
                return one
        return _only([one for one in found if one.id.startswith(wanted)], reference)

    async def container(self, reference: str) -> Found:
        """Raises Refusal."""
        found = await self.find_container(reference)
        if found is None:
            raise no_such("container", reference)
        return found

    async def mode(self, mode: str) -> str:
        """A mode in which "container:NAME" may stand."""
        kind, colon, name = mode.partition(":")
        return (
            f"{kind}:{(await self.container(name)).id}" if colon and kind == "container" else mode
        )

    def _named(self, listed: Mapping[str, Any]) -> tuple[str, str]:
        # A link is listed as a name too: /web/db.
        own = [one[1:] for one in listed.get("Names") or () if one.count("/") == 1]
        on_engine = own[0] if own else ""
        return labels.shown_name(on_engine, listed.get("Labels")), on_engine

    # --- networks ------------------------------------------------------------------------------

    async def networks(self) -> list[dict[str, Any]]:
        """Its own."""
        only = {"filters": [json.dumps({"label": [self.label]})]}
        return list(await self.ask("/networks", only))

    async def network_names(self) -> set[str]:
        """The learner's names of its own."""
        return {labels.shown_name(one["Name"], one.get("Labels")) for one in await self.networks()}

    async def find_network(self, reference: str) -> Found | None:
        """Its own, by id, name or the beginning of an id."""
        found = [
            Found(one["Id"], labels.shown_name(one["Name"], one.get("Labels")), one["Name"])
            for one in await self.networks()
        ]
        for one in found:
            if one.id == reference:
                return one
        for one in found:
            if reference in (one.name, one.on_engine):
                return one
        return _only([one for one in found if one.id.startswith(reference)], reference)

    async def network(self, reference: str) -> Found:
        """Its own. Raises Refusal."""
        found = await self.find_network(reference)
        if found is None:
            raise no_such("network", reference)
        return found

    async def joined(self, reference: str) -> str:
        """What the engine calls a network that a container may join. Raises Refusal."""
        if reference in ("", "default", "nat", *BUILT_IN):
            return reference
        if found := await self.find_network(reference):
            return found.id if found.id.startswith(reference) else found.on_engine
        if built_in := await self.built_in(reference):
            return str(built_in["Name"])
        raise no_such("network", reference)

    async def built_in(self, reference: str) -> dict[str, Any] | None:
        """A network that every engine has, by name or id."""
        if not reference:
            return None
        status, seen = await self.engine.json("GET", f"/networks/{reference}")
        if status == 200 and seen["Name"] in BUILT_IN and not (seen.get("Labels") or {}):
            return dict(seen)
        return None

    # --- volumes -------------------------------------------------------------------------------

    async def volumes(self) -> list[dict[str, Any]]:
        """Its own, and those without a name that its containers have or had."""
        answered = await self.ask("/volumes", {})
        loose = self.loose | {
            mount["Name"]
            for one in await self.containers()
            for mount in one.get("Mounts") or ()
            if mount.get("Type") == "volume" and mount.get("Name")
        }
        return [
            one
            for one in answered["Volumes"] or ()
            if (one.get("Labels") or {}).get(labels.LAB) == self.identity.lab
            or (
                one["Name"] in loose
                and ANONYMOUS.fullmatch(one["Name"])
                and labels.LAB not in (one.get("Labels") or {})
            )
        ]

    async def find_volume(self, reference: str) -> Found | None:
        """By name."""
        for one in await self.volumes():
            shown = labels.shown_name(one["Name"], one.get("Labels"))
            if reference in (shown, one["Name"]):
                return Found(one["Name"], shown, one["Name"])
        return None

    async def volume(self, reference: str) -> Found:
        """Raises Refusal."""
        found = await self.find_volume(reference)
        if found is None:
            raise no_such("volume", reference)
        return found

    # --- images --------------------------------------------------------------------------------

    async def image(self, reference: str) -> str:
        """What the engine calls an image: the lab's own of this name, else anybody's.

        Raises Refusal for another lab's.
        """
        if not self.names.seen_tags([reference]):
            raise no_such("image", reference)
        if not reference.startswith("sha256:"):
            own = with_tag(self.names.image_on_engine(reference))
            status, _ = await self.engine.json("GET", f"/images/{own}/json")
            if status == 200:
                return own
        status, seen = await self.engine.json("GET", f"/images/{reference}/json")
        if status == 200:
            found = (seen.get("Config") or {}).get("Labels")
            is_lent = with_tag(HUB.sub("", reference)) in lent_names(seen.get("RepoTags") or ())
            if is_lent or not self.sees({**seen, "Labels": found}):
                raise no_such("image", reference)
        return reference

    def sees(self, image: Mapping[str, Any]) -> bool:
        """Whether an image, as it is listed, is not another lab's.

        Another lab's bears its label, or has no names but others'.
        """
        tags = [tag for tag in image.get("RepoTags") or () if tag != NO_NAME]
        if any(map(self.names.is_own_image, tags)):
            return True
        whose = (image.get("Labels") or {}).get(labels.LAB) or self.identity.lab
        return whose == self.identity.lab and (not tags or bool(self.names.seen_tags(tags)))

    # --- inside --------------------------------------------------------------------------------

    async def ask(self, path: str, query: Mapping[str, list[str]]) -> Any:
        """What the engine answers. Raises Refusal."""
        status, value = await self.engine.json("GET", path, query)
        if status != 200:
            raise Refusal(status, str((value or {}).get("message", value)))
        return value


def _only(found: list[Found], reference: str) -> Found | None:
    if len(found) > 1 and reference:
        raise Refusal(400, f"Multiple IDs found with provided prefix: {reference}")
    return found[0] if found and reference else None
