"""What can be seen of a container: what the engine says of it, and what the kernel has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from labkit import labels
from labkit.errors import (
    BadValueError,
    ContainerExitedError,
    HostError,
    LabError,
    NotFoundError,
)
from labkit.inspect.capabilities import read_capabilities
from labkit.inspect.cgroup import Cgroup
from labkit.inspect.condition import Condition, condition_of, ended_at, started_at
from labkit.inspect.ending import Ending, last_ending
from labkit.inspect.idmaps import read_id_maps
from labkit.inspect.mounts import MountTable, read_mounts
from labkit.inspect.namespaces import NamespaceTable, read_namespaces_of
from labkit.inspect.new_exec import NewExec, new_exec_of
from labkit.inspect.overlay import Overlay, overlay_of_driver, read_overlay
from labkit.inspect.processes import ProcessTable, read_members
from labkit.inspect.signals import read_signals
from labkit.inspect.sockets import read_listening, read_local_addresses, read_served
from labkit.kernel import CapabilitySets, Change, IdMap, SignalSets
from labkit.sdk import translated

if TYPE_CHECKING:
    from labkit.inspect.source import Source

EVENTS = 15.0  # seconds before an end in which its cause is looked for
TOLD_LATE = 0.5  # seconds after an end in which the engine still tells of the signal that made it
LOG_TAIL = 20  # lines of a dead container's log that its error shows


class Container:
    """One container, to look at; it is asked anew each time."""

    def __init__(
        self, engine: Source, id: str, labelled: Mapping[str, str], *, on_engine: str
    ) -> None:
        self.engine = engine
        self.id = id  # 64 hexadecimal digits
        self.labels = dict(labelled)
        self.name = labels.shown_name(on_engine, labelled)  # the learner's own

    def __repr__(self) -> str:
        return f"<Container {self.name}>"

    # --- what the engine says of it ------------------------------------------------------------

    def inspect(self) -> dict[str, Any]:
        """All the engine knows of it, now. Shell: `docker inspect NAME`."""
        with self._doing("inspect"):
            return dict(self.engine.client.api.inspect_container(self.id))

    @property
    def status(self) -> str:
        """created, running, paused, restarting, exited or dead. Shell: `docker ps -a`."""
        return str(self.inspect()["State"]["Status"])

    @property
    def health(self) -> str | None:
        """starting, healthy or unhealthy; None without a health check."""
        health = self.inspect()["State"].get("Health")
        return str(health["Status"]) if health else None

    @property
    def exit_code(self) -> int | None:
        """How its first process ended; None while it runs."""
        state = self.inspect()["State"]
        return None if state["Running"] else int(state["ExitCode"])

    @property
    def pid(self) -> int:
        """Its first process now, as the host numbers it. Raises ContainerExitedError.

        Shell: `docker inspect -f '{{.State.Pid}}' NAME`.
        """
        pid = int(self.inspect()["State"]["Pid"] or 0)
        if not pid:
            raise self._exited("it has no process")
        return pid

    @property
    def image_id(self) -> str:
        """The image that it was made from, "sha256:...", by whatever name it was called."""
        return str(self.inspect()["Image"])

    def condition(self) -> Condition:
        """What has become of it, in words. Shell: `docker inspect`, `docker events --since`."""
        seen = self.inspect()
        state = seen["State"]
        if state["Status"] in ("created", "running", "paused") and not state.get("Restarting"):
            return condition_of(seen, name=self.name)
        end = ended_at(state)
        # The engine tells of a signal when it has sent it, which may be after the end that it made.
        told = self._last_events(end, until=None if end is None else end + TOLD_LATE)
        return condition_of(
            seen,
            name=self.name,
            events=told,
            owner=self._owner_of_pids(seen),
            last_line=self._last_line(),
        )

    def last_ending(self) -> Ending | None:
        """How it ended before it was started last; None if it never did, or that is forgotten.

        Shell: `docker events --since 1m --filter container=NAME`.
        """
        state = self.inspect()["State"]
        end, start = ended_at(state), started_at(state)
        if end is None or start is None or start < end:
            return None
        return last_ending(self._last_events(end, until=start), ended_at=end)

    def new_exec(self) -> NewExec:
        """What a new program in it gets. Shell: `docker exec NAME grep Cap /proc/self/status`."""
        seen, api = self.inspect(), self.engine.client.api
        named = [one["Name"] for one in seen.get("Mounts") or () if one.get("Type") == "volume"]
        with self._doing("find the volumes of"):
            volumes = [api.inspect_volume(name) for name in named]
        return new_exec_of(seen, volumes=volumes)

    def logs(self, *, tail: int | None = None) -> str:
        """What it has printed, stdout and stderr. Shell: `docker logs`."""
        with self._doing("read the logs of"):
            data: bytes = self.engine.client.api.logs(self.id, tail="all" if tail is None else tail)
        return data.decode(errors="replace")

    def address(self, network: str | None = None) -> str:
        """Its IP address, on one network where it is on several.

        Raises BadValueError where it has none or several.
        """
        settings = self.inspect()["NetworkSettings"]["Networks"] or {}
        mine = labels.engine_name(self.labels.get(labels.LAB, ""), network or "")
        found = {
            name: end["IPAddress"]
            for name, end in settings.items()
            if end.get("IPAddress") and (network is None or name in (network, mine))
        }
        if len(found) != 1:
            raise BadValueError(
                f"The container {self.name!r} has {len(found)} such addresses.",
                value=network,
                seen=", ".join(f"{name}: {address}" for name, address in found.items()) or "none",
                do="name one of its networks",
            )
        return str(next(iter(found.values())))

    # --- what the kernel has of it -------------------------------------------------------------

    def namespaces(self) -> NamespaceTable:
        """The eight namespaces it is in, and with whom it shares each. Shell: `lsns -p PID`."""
        mine, others, host = self.pid, self._siblings(), self.engine.host
        pids = [mine, host.anchor, *others.values()]
        found = read_namespaces_of(host, pids, may_end=others.values())
        return NamespaceTable(
            name=self.name,
            own=found[mine],
            host=found[host.anchor],
            others={name: found[pid] for name, pid in others.items() if pid in found},
        )

    def id_maps(self) -> tuple[IdMap, IdMap]:
        """Its user and its group id map. Shell: `cat /proc/PID/uid_map`."""
        return read_id_maps(self.engine.host, self.pid)

    def capabilities(self) -> CapabilitySets:
        """The capability sets of its first process. Shell: `getpcaps PID`."""
        return read_capabilities(self.engine.host, self.pid)

    def signals(self) -> SignalSets:
        """What its first process does with signals. Shell: `grep ^Sig /proc/PID/status`."""
        return read_signals(self.engine.host, self.pid)

    def mounts(self) -> MountTable:
        """What is mounted in it. Shell: `findmnt --task PID`."""
        return MountTable(name=self.name, mounts=read_mounts(self.engine.host, self.pid))

    def overlay(self, *, at: str = "/") -> Overlay:
        """The layers of its root, or of an overlay that was mounted in it by hand.

        Raises HostError where the engine keeps its layers in another way, NotFoundError where no
        overlay was mounted. Shell: `findmnt --task PID --mountpoint AT`.
        """
        seen, host = self.inspect(), self.engine.host
        pid, driver = int(seen["State"]["Pid"] or 0), seen.get("GraphDriver") or {}
        if at != "/":
            return read_overlay(host, self.pid, at=at)
        names, data = self._layer_names(seen), driver.get("Data") or {}
        try:
            # It may be mounted with names that are relative to a directory of the engine's.
            if not pid or data.get("UpperDir"):
                return overlay_of_driver(host, data, names=names)
            return read_overlay(host, pid, root=host.anchor, names=names)
        except NotFoundError as err:
            raise HostError(
                f"The files of {self.name!r} are no overlay that labkit could look into.",
                seen=f"storage driver {driver.get('Name') or 'unknown'}; {err.seen}",
                do="use an engine with overlay2: `LABKIT_ENGINE=vm` has it everywhere",
            ) from err

    def changes(self) -> Iterator[Change]:
        """How its files differ from its image's, as it is found. Shell: `docker diff NAME`.

        Raises NotFoundError when it is removed meanwhile, HostError.
        """
        try:
            yield from self.overlay().changes()
        except HostError:
            self.inspect()  # which says so, if it was removed meanwhile
            raise

    def cgroup(self) -> Cgroup:
        """Its control group. Shell: `cat /proc/PID/cgroup`."""
        return Cgroup(self.engine.host, self.pid)

    def processes(self) -> ProcessTable:
        """Its processes, with the pids that it and the host know them by. Shell: `docker top`."""
        own = set(self.cgroup().pids())
        return ProcessTable(self.name, read_members(self.engine.host, self.id, group=own))

    def listening(self) -> frozenset[int]:
        """The TCP ports on which something in its network listens. Shell: `ss -tln`."""
        return read_listening(self.engine.host, self.pid)

    def served(self, *, loopback: bool = False) -> frozenset[int]:
        """The TCP ports of its network on which a process of its own listens. Shell: `ss -tlnp`.

        With `loopback`, those alone that are reached at 127.0.0.1.
        """
        pids = [process.pid for process in self.processes()]
        return read_served(self.engine.host, pids, net=self.pid, loopback=loopback)

    def local_addresses(self) -> frozenset[str]:
        """The IPv4 addresses of the network it is in, lo's too. Shell: `ip -4 address`."""
        return read_local_addresses(self.engine.host, self.pid)

    # --- inside --------------------------------------------------------------------------------

    def _layer_names(self, seen: Mapping[str, Any]) -> list[str]:
        """Its layers' names for people, the topmost first."""
        with suppress(NotFoundError), translated("inspect an image"):
            image = self.engine.client.api.inspect_image(seen["Image"])
            count = len(image["RootFS"].get("Layers") or ())
            return ["upper", "init", *(f"image {number}" for number in range(count, 0, -1))]
        return []

    def _last_line(self) -> str:
        """The end of its log; nothing where its log driver keeps none that could be read."""
        try:
            lines = self.logs(tail=1).split("\n")
        except LabError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _last_events(self, end: float | None, *, until: float | None) -> list[Any]:
        """What the engine did to it before its end, and up to a later moment: it is waited for.

        It remembers the last hundreds alone.
        """
        if end is None or until is None:
            return []
        only = {"container": self.id, "type": "container"}
        try:
            with self._doing("read the events of"):
                return list(
                    self.engine.client.api.events(
                        since=f"{end - EVENTS:.6f}",
                        until=f"{until:.6f}",
                        filters=only,
                        decode=True,
                    )
                )
        except LabError:
            return []

    def _owner_of_pids(self, seen: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What the engine knows of the container whose process numbers it uses, if there is one."""
        mode, _, whose = str(seen["HostConfig"].get("PidMode") or "").partition(":")
        if mode != "container":
            return None
        try:
            with self._doing("find the neighbour of"):
                return dict(self.engine.client.api.inspect_container(whose))
        except NotFoundError:
            return None

    def _siblings(self) -> dict[str, int]:
        """The other running containers of its lab: their pids by name."""
        api, found = self.engine.client.api, {}
        only = {"label": [f"{labels.LAB}={self.labels.get(labels.LAB)}"], "status": ["running"]}
        with translated("list the lab's containers"):
            listed = api.containers(filters=only)
        for item in listed:
            if item["Id"] == self.id:
                continue
            # One that ends or is removed meanwhile shares nothing any more.
            with suppress(NotFoundError), translated("inspect a container"):
                if pid := api.inspect_container(item["Id"])["State"]["Pid"]:
                    found[labels.shown_name(item["Names"][0], item["Labels"])] = int(pid)
        return found

    @contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        with translated(f"{what} container {self.name!r}", kind="container", name=self.name):
            yield

    def _tail(self) -> str:
        try:
            return self.logs(tail=LOG_TAIL)
        except LabError as err:  # its log driver keeps nothing that could be read
            return f"[{err.seen}]"

    def _exited(self, why: str) -> LabError:
        state, condition, tail = self.inspect()["State"], self.condition(), self._tail()
        return ContainerExitedError(
            f"The container {self.name!r} is not running: {why}.",
            name=self.name,
            exit_code=int(state["ExitCode"]),
            logs=tail,
            seen=f"status {state['Status']}: {condition.seen}; its log ends:\n{tail.rstrip()}",
            do=condition.advice,
        )


def read_containers(engine: Source, *, label: str, all: bool = False) -> list[Container]:
    """Those that bear a label, "KEY" or "KEY=VALUE", the newest first; `all`: that have ended too.

    Shell: `docker ps --filter label=LABEL`. Raises EngineError.
    """
    with translated("list containers"):
        found = engine.client.api.containers(all=all, filters={"label": [label]})
    return [
        Container(engine, one["Id"], one["Labels"], on_engine=one["Names"][0])
        for one in found
        if one["Names"]  # it is just being removed
    ]


def called(containers: Sequence[Container], name: str) -> list[Container]:
    """Those of this name, else those of this Compose service."""
    named = [one for one in containers if one.name == name]
    return named or [one for one in containers if labels.service_of(one.labels) == name]
