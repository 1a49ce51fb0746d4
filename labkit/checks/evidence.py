"""What a check may look at: the engine, its host and the recorded answers of one session.

Never the learner's Python objects: another process, with a connection of its own, finds the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from labkit.lab import Container, Network, Volume, labels
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
        with translated("list containers"):
            found = self.engine.client.containers.list(all=True, filters=self._only())
        return [Container(self.engine, one) for one in found]

    def container(self, name: str) -> Container:
        """The newest container of this name. Raises MissingError."""
        list_them = self.engine.client.containers.list
        with translated(f"find container {name!r}"):
            found = list_them(all=True, filters=self._only(name))
        return self._first("container", name, found, lambda one: Container(self.engine, one))

    def network(self, name: str) -> Network:
        """The newest network of this name. Raises MissingError."""
        with translated(f"find network {name!r}"):
            found = self.engine.client.networks.list(filters=self._only(name))
        newest = sorted(found, key=lambda one: str(one.attrs["Created"]), reverse=True)
        return self._first("network", name, newest, Network)

    def volume(self, name: str) -> Volume:
        """The newest volume of this name. Raises MissingError."""
        with translated(f"find volume {name!r}"):
            found = self.engine.client.volumes.list(filters=self._only(name))
        newest = sorted(found, key=lambda one: str(one.attrs["CreatedAt"]), reverse=True)
        return self._first("volume", name, newest, Volume)

    def answer(self, name: str) -> Any:
        """The recorded answer of this name. Raises MissingError."""
        if name not in self._answers:
            raise MissingError("answer", name)
        return self._answers[name]

    def has(self, kind: str, name: str) -> bool:
        """Whether the learner has made this "container", "network", "volume" or "answer"."""
        look: Mapping[str, Callable[[str], object]] = {
            "container": self.container,
            "network": self.network,
            "volume": self.volume,
            "answer": self.answer,
        }
        try:
            look[kind](name)
        except MissingError:
            return False
        return True

    def _only(self, name: str | None = None) -> dict[str, Any]:
        wanted = [f"{labels.SESSION}={self.session}"]
        if name is not None:
            wanted.append(f"{labels.NAME}={name}")
        return {"label": wanted}

    @staticmethod
    def _first(kind: str, name: str, found: list[Any], make: Callable[[Any], T]) -> T:
        if not found:
            raise MissingError(kind, name)
        return make(found[0])
