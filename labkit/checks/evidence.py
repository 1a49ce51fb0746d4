"""What a check may look at: the engine, its host and the recorded answers of one session.

Never the learner's Python objects: another process, with a connection of its own, finds the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from labkit import labels
from labkit.inspect import Container, Image, Network, Volume
from labkit.sdk import translated

if TYPE_CHECKING:
    from labkit.engine import Engine
    from labkit.host import Host

T = TypeVar("T")


class MissingError(LookupError):
    """The learner has not made something that a criterion looks at."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(kind, name)
        self.kind = kind
        self.name = name


class Evidence:
    """One session on an engine, as its checks see it."""

    def __init__(
        self,
        engine: Engine,
        *,
        session: str,
        answers: Mapping[str, Any],
        variant: Mapping[str, Any],
    ) -> None:
        self.engine = engine
        self.session = session
        self._answers = answers
        self.variant = variant  # the learner's own values for this exercise

    @property
    def host(self) -> Host:
        """The machine on which the engine's processes live."""
        return self.engine.host

    def containers(self) -> list[Container]:
        """Every container of the session, the newest first, those that have ended too."""
        return self._containers(None)

    def container(self, name: str) -> Container:
        """The newest container of this name. Raises MissingError."""
        return _first("container", name, self._containers(name))

    def network(self, name: str) -> Network:
        """The newest network of this name. Raises MissingError."""
        with translated(f"find network {name!r}"):
            found = self.engine.client.api.networks(filters=self._only(name))
        newest = sorted(found, key=lambda one: str(one["Created"]), reverse=True)
        made = [Network(self.engine, one["Id"], one["Labels"]) for one in newest]
        return _first("network", name, made)

    def volume(self, name: str) -> Volume:
        """The newest volume of this name. Raises MissingError."""
        with translated(f"find volume {name!r}"):
            found = self.engine.client.api.volumes(filters=self._only(name))["Volumes"] or []
        newest = sorted(found, key=lambda one: str(one["CreatedAt"]), reverse=True)
        made = [Volume(self.engine, one["Name"], one["Labels"]) for one in newest]
        return _first("volume", name, made)

    def image(self, name: str) -> Image:
        """The image that was built under this name, and has it still. Raises MissingError."""
        with translated(f"find image {name!r}"):
            api: Any = self.engine.client.api  # its stubs lack types here
            found = api.images(filters=self._only(name))
        # One that was replaced, and is in use, has no tag; it may be the younger one all the same,
        # because what is in the cache was created when it was first built.
        named = [
            one for one in found if any(not tag.startswith("<") for tag in one["RepoTags"] or ())
        ]
        newest = sorted(named, key=lambda one: int(one["Created"]), reverse=True)
        return _first("image", name, [Image(self.engine, one["Id"], name=name) for one in newest])

    def answer(self, name: str) -> Any:
        """The recorded answer of this name. Raises MissingError."""
        if name not in self._answers:
            raise MissingError("answer", name)
        return self._answers[name]

    def has(self, kind: str, name: str) -> bool:
        """Whether the learner has made this container, network, volume, image or answer."""
        look: Mapping[str, Callable[[str], object]] = {
            "container": self.container,
            "network": self.network,
            "volume": self.volume,
            "image": self.image,
            "answer": self.answer,
        }
        try:
            look[kind](name)
        except MissingError:
            return False
        return True

    def _containers(self, name: str | None) -> list[Container]:
        with translated("list containers"):
            found = self.engine.client.api.containers(all=True, filters=self._only(name))
        return [Container(self.engine, one["Id"], one["Labels"]) for one in found]

    def _only(self, name: str | None = None) -> dict[str, Any]:
        wanted = [f"{labels.SESSION}={self.session}"]
        if name is not None:
            wanted.append(f"{labels.NAME}={name}")
        return {"label": wanted}


def _first(kind: str, name: str, found: Sequence[T]) -> T:
    if not found:
        raise MissingError(kind, name)
    return found[0]
