"""A lab: what one notebook makes on an engine, and what is gone when the notebook is."""

from __future__ import annotations

import os
import re
import secrets
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from labkit import labels
from labkit.builder import build_image
from labkit.engine import Engine, connect
from labkit.errors import (
    EngineGoneError,
    EngineRefusedError,
    ImageNotFoundError,
    LabError,
    NameTakenError,
    NotFoundError,
)
from labkit.lab import registry, surroundings
from labkit.lab.compose import Compose
from labkit.lab.container import WAIT_TIMEOUT, Container
from labkit.lab.conversation import Conversation, read_conversation
from labkit.lab.execution import Output
from labkit.lab.image import Image
from labkit.lab.network import OVERLAPS, SUBNET_TRIES, Network, random_subnet
from labkit.lab.options import Ports, Volumes, binds, limits, published, with_tag
from labkit.lab.own_images import OwnImages
from labkit.lab.reaper import Reaper, reaper_for
from labkit.lab.sweep import sweep_lab
from labkit.lab.volume import Volume
from labkit.owner import this_process
from labkit.sdk import translated

if TYPE_CHECKING:
    from docker.models.containers import Container as SdkContainer

RUN_TOGETHER = 4  # containers started at once: more gain nothing, the engine locks
# What a stage of a Dockerfile begins from.
FROM = re.compile(r"(?im)(^[ \t]*FROM[ \t]+(?:--platform=\S+[ \t]+)?)(\S+)")


_made: list[weakref.ref[Lab]] = []  # by this process, the newest last


def newest() -> Lab:
    """The open lab that this session's process made last. Raises NotFoundError."""
    _made[:] = [ref for ref in _made if (one := ref()) is not None and one.is_open]
    mine = [one for ref in _made if (one := ref()) is not None and one.is_this_sessions]
    if not mine:
        raise NotFoundError(
            "This notebook has no lab.",
            kind="lab",
            name="lab",
            seen="none is open",
            do="run the cell with `lab = labkit.Lab()` first",
        )
    return mine[-1]


class Lab:
    """Containers, networks, volumes and images that belong together, and go together.

    They are removed at the end of a `with`, by `close()`, or when this process ends, however it
    ends. Names are the learner's own: two labs never meet. Raises NoEngineError.
    """

    def __init__(self, *, engine: Engine | None = None) -> None:
        self.engine = engine or connect()
        self.id = labels.new_lab_id()
        self._process, self._owner = os.getpid(), this_process()
        self.own_images = OwnImages(self.engine, self.id)
        self.reaper = reaper_for(self.engine.endpoint, is_ours=self.engine.kind != "docker")
        self._entry = registry.Entry(
            lab=self.id,
            session=labels.session(),
            owner=self._owner,
            pid=self._process,
            notebook=os.environ.get("JPY_SESSION_NAME", ""),
            engine=self.engine.endpoint.url,
        )
        listening = registry.listen(self._entry) if can_be_served(self.engine) else None
        self.reaper.open(self._entry, listening)
        # A lab that a notebook has dropped, by running its first cell again, goes too; by the
        # reaper, because a garbage collector is no place to speak to an engine from.
        self._finalizer = weakref.finalize(self, _drop, self.reaper, self.id)
        self._finalizer.atexit = False  # at the end of the process the reaper knows by itself
        if listening is not None:
            surroundings.enter(self, self._entry)
        _made.append(weakref.ref(self))

    @property
    def is_open(self) -> bool:
        """Whether it still holds what was made in it, and this process may close it."""
        return bool(self._finalizer.alive) and os.getpid() == self._process

    @property
    def is_this_sessions(self) -> bool:
        """Whether the checks of this notebook see what is made in it."""
        return self._entry.session == labels.session()

    def __repr__(self) -> str:
        return f"<Lab on {self.engine.facts.product}, {self.engine.kind}>"

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove all the lab holds; in a fork of the process that made it, nothing.

        Raises EngineError.
        """
        if os.getpid() == self._process and self._finalizer.detach():
            surroundings.leave(self.id)
            with suppress(EngineGoneError):  # then the next start sweeps
                sweep_lab(self.engine.client, self.id)
                self.reaper.done(self.id)

    def environ(self) -> dict[str, str]:
        """What leads `docker`, Compose and the SDK to this lab's socket: see `labkit.proxy`.

        In a notebook this process has it already. Shell: `eval "$(labkit engine env)"`.
        """
        return {**self.engine.environ(), **registry.environ_of(self._entry.socket)}

    def conversation(self, *, since: int = 0) -> Conversation:
        """What Docker's clients asked through the lab's socket, and what it was for.

        `since`: after the exchange of that number; a conversation has a `last`. Raises
        EngineGoneError. Shell: `curl --unix-socket SOCKET http://docker/labkit/conversation`.
        """
        return read_conversation(self._entry, since=since)

    def labels(self, name: str) -> dict[str, str]:
        """The labels by which what is made by other means goes with the lab; checks see it, too.

        Shell: `docker run --label KEY=VALUE ...`
        """
        made = labels.labels_of(self.id, labels.checked_name(name))
        return {**made, labels.OWNER: self._owner}  # in a fork, too

    # --- containers ----------------------------------------------------------------------------

    def run(
        self,
        image: str | Image,
        command: str | Sequence[str] | None = None,
        *,
        name: str | None = None,
        memory: int | str | None = None,
        cpus: float | None = None,
        pids: int | None = None,
        network: str | Network | None = None,
        ports: Ports = (),
        volumes: Volumes | None = None,
        start: bool = True,
        **options: Any,
    ) -> Container:
        """Make a container and start it. Shell: `docker run -d`.

        `memory` is bytes or "64m"; `cpus` is processors' time, as 0.5; `network` is a Network,
        "host", "none" or "container:NAME"; `ports` are published on loopback, each on a free
        port (by a distant engine, tcp or ssh, at the address at which we reach it, and so do
        others); `volumes` are volumes or paths on the engine's machine, each with its place
        inside and, as in "/data:ro", a mode. All other options are the Docker SDK's.
        Raises ImageNotFoundError, NameTakenError, BadValueError, EngineRefusedError.
        """
        name = labels.checked_name(name or f"c{secrets.token_hex(3)}")
        options |= limits(memory=memory, cpus=cpus, pids=pids)
        if ports:
            options["ports"] = published(ports, address=self.engine.publish_address)
        if volumes:
            options["volumes"] = binds(volumes)
        for kind in ("network_mode", "pid_mode", "ipc_mode"):
            if kind in options:
                options[kind] = self._mode(options[kind])
        self._join(options, name, network)
        shares_network = str(options.get("network_mode", "")).startswith("container:")
        if not shares_network and options.get("uts_mode") != "host":
            options.setdefault("hostname", name)
        options["labels"] = {**options.get("labels", {}), **self.labels(name)}
        while True:
            container = Container(self, self._create(image, command, name, options))
            try:
                return container.start() if start else container
            except LabError as err:
                with suppress(LabError):
                    container.remove()  # a container that could never start is of no use
                if isinstance(ports, Mapping) or not self.engine.must_publish_everywhere(err):
                    raise
            options["ports"] = published(ports, address=self.engine.publish_address)

    def run_many(
        self,
        image: str | Image,
        command: str | Sequence[str] | None = None,
        *,
        count: int,
        name: str = "c",
        **options: Any,
    ) -> list[Container]:
        """Run `count` containers NAME-1, NAME-2, ... several at a time; options as for `run`."""

        def one(number: int) -> Container:
            return self.run(image, command, name=f"{name}-{number}", **options)

        with ThreadPoolExecutor(RUN_TOGETHER) as pool:
            return list(pool.map(one, range(1, count + 1)))

    def once(
        self,
        image: str | Image,
        command: str | Sequence[str],
        *,
        timeout: float = WAIT_TIMEOUT,
        **options: Any,
    ) -> Output:
        """Run a container to its end, and return what it printed. Shell: `docker run --rm`."""
        container = self.run(image, command, **options)
        try:
            code = container.wait_exit(timeout=timeout)
            with translated("read its output"):
                stdout, stderr = (
                    container.docker.logs(stdout=out, stderr=not out).decode(errors="replace")
                    for out in (True, False)
                )
        finally:
            container.remove()
        return Output(code, stdout, stderr)

    def container(self, name: str) -> Container:
        """The lab's container of this name. Raises NotFoundError."""
        try:
            with translated(f"find container {name!r}", kind="container", name=name):
                found = self.engine.client.containers.get(labels.engine_name(self.id, name))
            return Container(self, found)
        except NotFoundError:
            for one in self.containers():
                if name in (one.name, labels.service_of(one.labels)):
                    return one
            raise

    def containers(self) -> list[Container]:
        """The lab's containers, by name, those that have ended too. Shell: `docker ps -a`."""
        with translated("list the lab's containers"):
            found = self.engine.client.containers.list(
                all=True, filters=self._only, ignore_removed=True
            )
        return sorted((Container(self, one) for one in found), key=lambda one: one.name)

    # --- networks ------------------------------------------------------------------------------

    def network(
        self, name: str, *, subnet: str | None = None, driver: str = "bridge", **options: Any
    ) -> Network:
        """Make a network; without a `subnet`, with sixteen free addresses of 10.0.0.0/8.

        All other options are the Docker SDK's, as `internal=True`.
        Raises NameTakenError, EngineRefusedError. Shell: `docker network create`.
        """
        from docker.types import IPAMConfig, IPAMPool

        labels.checked_name(name)
        if self.networks(name):
            # Engines allow two networks of one name; a learner would not know which is which.
            raise _taken("network", name)
        for _ in range(SUBNET_TRIES):
            pool = IPAMPool(subnet=subnet or random_subnet())
            try:
                with translated(f"create network {name!r}", kind="network", name=name):
                    made = self.engine.client.networks.create(
                        labels.engine_name(self.id, name),
                        driver=driver,
                        ipam=IPAMConfig(pool_configs=[pool]),
                        labels=self.labels(name),
                        **options,
                    )
                    made.reload()
                    return Network(self, made)
            except EngineRefusedError as err:
                if subnet or not any(word in err.seen.lower() for word in OVERLAPS):
                    raise
                refused = err
        raise refused

    def networks(self, name: str | None = None) -> list[Network]:
        """The lab's networks, or those of one name. Shell: `docker network ls`."""
        with translated("list the lab's networks"):
            found = self.engine.client.networks.list(filters=self._only)
        networks = sorted((Network(self, one) for one in found), key=lambda one: one.name)
        return [one for one in networks if name in (None, one.name)]

    # --- volumes -------------------------------------------------------------------------------

    def volume(self, name: str, **options: Any) -> Volume:
        """Make a volume. Raises NameTakenError. Shell: `docker volume create`."""
        labels.checked_name(name)
        if any(one.name == name for one in self.volumes()):
            raise _taken("volume", name)  # an engine returns the old one as if it were new
        with translated(f"create volume {name!r}", kind="volume", name=name):
            made = self.engine.client.volumes.create(
                labels.engine_name(self.id, name), labels=self.labels(name), **options
            )
        return Volume(self, made)

    def volumes(self) -> list[Volume]:
        """The lab's volumes. Shell: `docker volume ls`."""
        with translated("list the lab's volumes"):
            found = self.engine.client.volumes.list(filters=self._only)
        return sorted((Volume(self, one) for one in found), key=lambda one: one.name)

    # --- images --------------------------------------------------------------------------------

    def image(self, name: str) -> Image:
        """The lab's own image of this name, else any on the engine; "base" is a lab image.

        Raises ImageNotFoundError. Shell: `docker image inspect`.
        """
        with translated(f"find image {name!r}", kind="image", name=name):
            return Image(
                self, self.engine.client.images.get(self.own_images.reference(name)), name=name
            )

    def build(
        self,
        name: str,
        dockerfile: str,
        *,
        files: Mapping[str, str | bytes | Path] | None = None,
        buildargs: Mapping[str, str] | None = None,
        target: str | None = None,
        secrets: Mapping[str, str | bytes] | None = None,
        nocache: bool = False,
        network: str | None = None,
        platform: str | None = None,
        on_message: Callable[[str], object] = lambda line: None,
    ) -> Image:
        """Build an image of the lab's from a Dockerfile's text and the files beside it.

        Its `build` tells how: each step, cached or not, its seconds, bytes and output. `secrets`
        are for steps that mount one: `RUN --mount=type=secret,id=ID`. `run(NAME)`, `image(NAME)`
        and `FROM NAME` mean this image from then on; one that had the name before is replaced.
        The image goes with the lab; the builder's cache of its steps is the engine's, and stays
        (`docker builder prune`). Raises ImageBuildError, DiskFullError, MissingToolError.
        Shell: `docker build -t NAME .`
        """
        labels.checked_name(name)
        reference, before = self.own_images.tag(name), self.own_images.ids(name)
        said = FROM.sub(lambda line: line[1] + self.own_images.base(line[2]), dockerfile)
        build = build_image(
            self.engine,
            reference,
            {"Dockerfile": said, **(files or {})},
            name=f"image {name!r}",
            labels=self.labels(name),
            buildargs=buildargs,
            target=target,
            secrets=secrets,
            nocache=nocache,
            network=network,
            platform=platform,
            on_message=on_message,
        )
        self.own_images.add(name)
        with translated(f"find image {name!r}", kind="image", name=name):
            made = self.engine.client.images.get(reference)
        for old in before - {made.id}:
            # One that a container still runs from goes with the lab.
            with suppress(LabError), translated(f"replace image {name!r}"):
                self.engine.client.images.remove(old)
        return Image(self, made, name=name, build=build)

    # --- projects ------------------------------------------------------------------------------

    def compose(
        self,
        name: str,
        file: str | Mapping[str, Any],
        *,
        files: Mapping[str, str | bytes] | None = None,
    ) -> Compose:
        """A Compose project, from the text of its file or what that says, and the files beside it.

        `up()` starts it. Its containers are found by the names of their services, its networks
        and volumes by their own; all is the lab's, and goes with it. Files beside it that a
        service binds are copied in, because an engine may be on another machine.
        Raises BadValueError, MissingToolError. Shell: `docker compose config`.
        """
        return Compose(self, name, file, files=files or {})

    # --- inside --------------------------------------------------------------------------------

    @property
    def _only(self) -> dict[str, Any]:
        return {"label": f"{labels.LAB}={self.id}"}

    def _create(
        self,
        image: str | Image,
        command: str | Sequence[str] | None,
        name: str,
        options: dict[str, Any],
    ) -> SdkContainer:
        """Have the engine make a container, and the image pulled first if need be."""
        reference = image.id if isinstance(image, Image) else self.own_images.reference(image)
        words = command if command is None or isinstance(command, str) else list(command)
        named = labels.engine_name(self.id, name)

        def create() -> SdkContainer:
            with translated(f"create container {name!r} from {image!r}", name=name):
                return self.engine.client.containers.create(reference, words, name=named, **options)

        try:
            return create()
        except ImageNotFoundError:
            if not self.own_images.is_pullable(reference):
                raise
        self._pull(reference)
        return create()

    def _pull(self, reference: str) -> None:
        try:
            with translated(f"pull {reference!r}"):
                self.engine.client.images.pull(*with_tag(reference))
        except EngineRefusedError as err:  # it reached no registry, or has not this image there
            raise ImageNotFoundError(
                f"The image {reference!r} is not here, and no registry gave it.",
                kind="image",
                name=reference,
                seen=err.seen,
                do="check the spelling and the network; `labkit images` lists the lab images",
            ) from err

    def _mode(self, mode: str) -> str:
        """ "container:NAME" with the engine's name in the place of the learner's."""
        kind, _, name = mode.partition(":")
        return f"{kind}:{self.container(name).id}" if kind == "container" else mode

    def _join(self, options: dict[str, Any], name: str, network: str | Network | None) -> None:
        """Put a container into a network, where its own name resolves."""
        if isinstance(network, Network):
            made = self.engine.client.api.create_endpoint_config(aliases=[name])
            options["network"] = network.docker.name
            options["networking_config"] = {network.docker.name: made}
        elif network is not None and (mine := self.networks(network)):
            self._join(options, name, mine[0])
        elif network is not None:
            options["network_mode"] = self._mode(network)


def can_be_served(engine: Engine) -> bool:
    """Whether the proxy can reach the engine: not by ssh, which it does not speak."""
    return engine.endpoint.url.startswith(("unix://", "tcp://", "http://", "https://"))


def _drop(reaper: Reaper, lab: str) -> None:
    surroundings.dropped(lab)
    reaper.drop(lab)


def _taken(kind: str, name: str) -> NameTakenError:
    return NameTakenError(
        f"The lab already has a {kind} {name!r}.",
        kind=kind,
        name=name,
        seen=f"a {kind} with that label",
        do="choose another name, or remove that one first",
    )
