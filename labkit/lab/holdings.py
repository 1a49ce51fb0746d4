"""What an engine holds under a label, kind by kind, in the order in which it can be removed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit import labels
from labkit.errors import EngineRefusedError, NotFoundError
from labkit.proxy.names import LENT, lent_names
from labkit.sdk import translated

if TYPE_CHECKING:
    import docker

SERVICE = "com.docker.swarm.service.id"  # the engine's own label on the containers of a service
NO_NAME = "<none>:<none>"
MUST_FORCE = "must force"  # Docker's words; to force Podman would remove others' containers


@dataclass(frozen=True, eq=False)
class Holding:
    """One object, and how it is removed."""

    kind: str  # container, network, volume, image, service, config or secret
    id: str
    labels: Mapping[str, str]
    remove: Callable[[], object]
    is_swarms: bool = False  # what a swarm lets go of a moment after its last user
    on_engine: str = ""  # the engine's name for it, where that tells the learner's

    @property
    def name(self) -> str:
        """The learner's own."""
        return labels.shown_name(self.on_engine, self.labels)


def holdings(
    client: docker.DockerClient, label: str, *, services: Set[str]
) -> Iterator[list[Holding]]:
    """Each kind's objects with a label, listed when their turn comes; `services` went before.

    A service first: an engine would start its containers anew. A network, a volume or an image in
    use cannot be removed. Anonymous volumes go with their container. Raises EngineError.
    """
    api: Any = client.api
    only = {"label": [label]}
    yield _of_swarm("service", lambda: api.services(filters=only), api.remove_service)
    with translated("list containers"):
        listed = [api.containers(all=True, filters=only)]
        listed += [api.containers(all=True, filters={"label": f"{SERVICE}={s}"}) for s in services]
    found = {item["Id"]: item for items in listed for item in items}
    yield [
        Holding(
            "container",
            id,
            item["Labels"] or {},
            _removal(api.remove_container, id, force=True, v=True),
            on_engine=next(iter(item["Names"] or ()), ""),
        )
        for id, item in found.items()
    ]
    with translated("list networks"):
        networks = api.networks(filters=only)
    yield [
        Holding("network", one["Id"], one["Labels"] or {}, _removal(api.remove_network, one["Id"]),
                one.get("Scope") == "swarm")
        for one in networks
    ]  # fmt: skip
    yield _of_swarm("config", lambda: api.configs(filters=only), api.remove_config)
    yield _of_swarm("secret", lambda: api.secrets(filters=only), api.remove_secret)
    with translated("list volumes"):
        volumes = api.volumes(filters=only)["Volumes"] or ()
    yield [
        Holding("volume", one["Name"], one["Labels"] or {},
                _removal(api.remove_volume, one["Name"]))
        for one in volumes
    ]  # fmt: skip
    with translated("list images"):
        images = api.images(filters=only)
    yield [
        Holding("image", one["Id"], one["Labels"] or {}, _image_removal(api, one)) for one in images
    ]
    key, _, value = label.partition("=")
    labs = {value: {labels.LAB: value}} if key == labels.LAB else {}
    for one in (*found.values(), *networks, *volumes):
        if lab := (one["Labels"] or {}).get(labels.LAB):
            labs[lab] = one["Labels"]
    yield _names_of_images(api, labs)


def _names_of_images(api: Any, labs: Mapping[str, Mapping[str, str]]) -> list[Holding]:
    """The names that labs gave to images which have no labels of theirs: `docker tag`.

    And those that were lent for a build when all was killed: on the same image as what says so.
    """
    with translated("list images"):
        images = [one["RepoTags"] or () for one in api.images()]
    found = []
    for lab, labelled in labs.items():
        prefix = labels.image_prefix(lab)
        for tags in images:
            lent = [name for name, whose in lent_names(tags).items() if whose == prefix]
            for tag in tags:
                if tag in lent or tag.startswith(prefix):
                    name = LENT.sub(r"\2", tag).removeprefix(prefix).removesuffix(":latest")
                    remove = _removal(api.remove_image, tag)
                    found.append(Holding("image", tag, {**labelled, labels.NAME: name}, remove))
    return found


def has_tasks(client: docker.DockerClient, services: Set[str]) -> bool:
    """Whether tasks of these services are still there. Shell: `docker service ps`."""
    api: Any = client.api
    with translated("list tasks"):
        return bool(services) and any(one["ServiceID"] in services for one in api.tasks())


def _removal(call: Callable[..., object], id: str, **options: Any) -> Callable[[], object]:
    return lambda: call(id, **options)


def _of_swarm(
    kind: str, listed: Callable[[], list[dict[str, Any]]], remove: Callable[[str], object]
) -> list[Holding]:
    """A swarm's objects; none where this engine is no manager of one."""
    with suppress(EngineRefusedError, NotFoundError), translated(f"list {kind}s"):
        return [
            Holding(kind, one["ID"], one["Spec"].get("Labels") or {}, _removal(remove, one["ID"]),
                    is_swarms=True)
            for one in listed()
        ]  # fmt: skip
    return []


def _image_removal(api: Any, image: Mapping[str, Any]) -> Callable[[], object]:
    """Take its names, the last of which takes the image along.

    An image on which others stand, images or containers, only loses its names; the engine removes
    it with the last of those images, or a later sweep does.
    """
    tags = [tag for tag in image["RepoTags"] or () if tag != NO_NAME]

    def remove() -> None:
        for name in tags or [image["Id"]]:
            try:
                with translated(f"remove image {name!r}"):
                    api.remove_image(name)
            except EngineRefusedError as err:
                if MUST_FORCE not in err.seen:
                    raise
                api.remove_image(name, force=True)

    return remove
