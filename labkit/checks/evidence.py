"""What a check may look at: the engine, its host and the recorded answers of one session.

Never the learner's Python objects: another process, with a connection of its own, finds the same.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from labkit import labels
from labkit.checks.look import Look
from labkit.errors import HostError, HostPermissionError, NotFoundError
from labkit.inspect import (
    Container,
    Image,
    Namespaces,
    Network,
    Volume,
    called,
    read_containers,
    read_namespaces_of,
)
from labkit.proxy.names import Names, with_tag
from labkit.sdk import translated

if TYPE_CHECKING:
    from labkit.host import Host

T = TypeVar("T")
HOST = "the host"
# By which option a container moves in with another, where there is one: docker-run(1).
MODES = {"net": "NetworkMode", "pid": "PidMode", "ipc": "IpcMode"}


class MissingError(LookupError):
    """The learner has not made something that a criterion looks at."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(kind, name)
        self.kind = kind
        self.name = name


class WrongTypeError(TypeError):
    """An answer is not of the kind that was asked for."""

    def __init__(self, name: str, given: object, wanted: str) -> None:
        super().__init__(name, given, wanted)
        self.name, self.given, self.wanted = name, given, wanted


class Evidence:
    """One session on an engine at one moment, as its checks see it."""

    def __init__(
        self,
        look: Look,
        *,
        session: str,
        answers: Mapping[str, Any],
        variant: Mapping[str, Any],
    ) -> None:
        self.look = look
        self.session = session
        self.answers = answers
        self.variant = variant  # the learner's own values for this exercise
        self.touched: set[str] = set()  # the containers that were asked for, by name

    def again(self, look: Look) -> Evidence:
        """The same session at another moment."""
        return Evidence(look, session=self.session, answers=self.answers, variant=self.variant)

    @property
    def host(self) -> Host:
        """The machine on which the engine's processes live."""
        return self.look.host

    # --- what the learner made -------------------------------------------------------------------

    def containers(self) -> list[Container]:
        """Every container of the session, the newest first, those that have ended too."""
        return read_containers(self.look, label=f"{labels.SESSION}={self.session}", all=True)

    def container(self, name: str) -> Container:
        """The newest container of this name, or of this Compose service. Raises MissingError."""
        self.touched.add(name)
        return _first("container", name, called(self.containers(), name))

    def network(self, name: str) -> Network:
        """The newest network of this name. Raises MissingError."""
        with translated(f"find network {name!r}"):
            found = self.look.client.api.networks(filters=self._only(name))
        newest = sorted(found, key=lambda one: str(one["Created"]), reverse=True)
        made = [Network(self.look, one["Id"], one["Labels"]) for one in newest]
        return _first("network", name, made)

    def volume(self, name: str) -> Volume:
        """The newest volume of this name. Raises MissingError."""
        with translated(f"find volume {name!r}"):
            found = self.look.client.api.volumes(filters=self._only(name))["Volumes"] or []
        newest = sorted(found, key=lambda one: str(one["CreatedAt"]), reverse=True)
        made = [Volume(self.look, one["Name"], one["Labels"]) for one in newest]
        return _first("volume", name, made)

    def image(self, name: str) -> Image:
        """The image that was built under this name, and has it still. Raises MissingError."""
        with translated(f"find image {name!r}"):
            found = self.look.client.api.images(filters=self._only(name))
        # One that was replaced, and is in use, has no tag; it may be the younger one all the same,
        # because what is in the cache was created when it was first built.
        named = [
            one for one in found if any(not tag.startswith("<") for tag in one["RepoTags"] or ())
        ]
        if not named:
            named = self._tagged(name)
        newest = sorted(named, key=lambda one: int(one["Created"]), reverse=True)
        return _first("image", name, [Image(self.look, one["Id"], name=name) for one in newest])

    def lab_image(self, name: str) -> Image:
        """One of the lab's own images, as `base`. Raises ImageNotFoundError."""
        reference = f"labkit/{name}"
        with translated(f"find image {name!r}", kind="image", name=name):
            found = self.look.client.api.inspect_image(reference)
        return Image(self.look, found["Id"], name=reference)

    # --- what the learner answered ---------------------------------------------------------------

    def answer(self, name: str) -> Any:
        """The recorded answer of this name. Raises MissingError."""
        if name not in self.answers:
            raise MissingError("answer", name)
        return self.answers[name]

    def number(self, name: str) -> int:
        """A whole number that was answered, or a text that reads as one.

        Raises MissingError, WrongTypeError.
        """
        given = self.answer(name)
        if isinstance(given, bool):
            raise WrongTypeError(name, given, "a whole number")
        try:
            if isinstance(given, float) and given.is_integer():
                return int(given)
            return int(given.strip()) if isinstance(given, str) else operator.index(given)
        except (TypeError, ValueError):
            raise WrongTypeError(name, given, "a whole number") from None

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

    # --- compared with all -----------------------------------------------------------------------

    def namespaces(self, name: str) -> Namespaces:
        """Those of a container's first process; `HOST`: the host's.

        Raises MissingError, ContainerExitedError, HostPermissionError.
        """
        pid = self.host.anchor if name == HOST else self.container(name).pid
        return _readable(read_namespaces_of(self.host, [pid])[pid], name)

    def must_have(self, kind: str) -> None:
        """See that the kernel has namespaces of a kind. Raises HostError: nothing is judged."""
        if kind not in self.namespaces(HOST):
            raise HostError(
                f"This engine's kernel has no {kind} namespaces.",
                seen=", ".join(self.namespaces(HOST)),
                do="go on without this exercise, or use another engine: `LABKIT_ENGINE=vm`",
            )

    def sharing(self, name: str, kind: str) -> list[str]:
        """Who else is in a container's namespace: `HOST`, and every container on this engine.

        Who moved in with this one by an option is its guest, and not told; nor are labkit's own
        helpers, which are everywhere.
        """
        mine = self.container(name)
        own, found = self.namespaces(name)[kind], []
        if self.namespaces(HOST)[kind] == own:
            found.append(HOST)
        others = self._all_running()
        pids = [int(one["State"]["Pid"]) for one in others]
        seen = read_namespaces_of(self.host, pids, may_end=pids)  # they share nothing any more
        inside = [
            one
            for one in others
            if one["Id"] != mine.id
            and (space := seen.get(int(one["State"]["Pid"]))) is not None
            and _readable(space, one["Name"]).get(kind) == own
        ]
        guests = {mine.id}
        # A guest may have guests, who stay when it is started again.
        for _ in inside:
            guests |= {one["Id"] for one in inside if _host_of(one, kind) in guests}
        return found + [
            labels.shown_name(str(one["Name"]), one["Config"].get("Labels"))
            for one in inside
            if one["Id"] not in guests and labels.PROBE not in (one["Config"].get("Labels") or {})
        ]

    # --- inside ----------------------------------------------------------------------------------

    def _tagged(self, name: str) -> list[dict[str, Any]]:
        """Images to which a lab of the session gave this name, by `docker tag` or `pull`."""
        api = self.look.client.api
        with translated(f"find image {name!r}"):
            bearers = [*api.containers(all=True, filters=self._only())]
            bearers += api.networks(filters=self._only())
            bearers += api.volumes(filters=self._only())["Volumes"] or []
            listed = api.images()
        labs = {one["Labels"][labels.LAB] for one in bearers}
        names = {with_tag(Names(lab).image_on_engine(name)) for lab in labs}
        return [one for one in listed if names & {*(one["RepoTags"] or ())}]

    def _all_running(self) -> list[dict[str, Any]]:
        """What the engine says of every container that runs, whosever it is."""
        api, found = self.look.client.api, []
        with translated("list containers"):
            listed = api.containers(filters={"status": ["running", "paused"]})
        for one in listed:
            try:
                with translated("inspect a container"):
                    seen = api.inspect_container(one["Id"])
            except NotFoundError:  # it was removed meanwhile
                continue
            if seen["State"]["Pid"]:
                found.append(seen)
        return found

    def _only(self, name: str | None = None) -> dict[str, Any]:
        wanted = [f"{labels.SESSION}={self.session}"]
        if name is not None:
            wanted.append(f"{labels.NAME}={name}")
        return {"label": wanted}


def _host_of(container: Mapping[str, Any], kind: str) -> str:
    """The container with whom this one moved in, by its id."""
    mode = str(container["HostConfig"].get(MODES.get(kind, "")) or "")
    return mode.partition(":")[2]


def _readable(found: Namespaces, whose: str) -> Namespaces:
    if len(found) < len(("mnt", "net", "pid", "user", "uts")):
        raise HostPermissionError(
            f"The namespaces of {whose} cannot be read.",
            seen=", ".join(map(str, found.values())) or "none",
            do="run as root, or let labkit look through its probe container",
        )
    return found


def _first(kind: str, name: str, found: Sequence[T]) -> T:
    if not found:
        raise MissingError(kind, name)
    return found[0]
