"""A Compose project of a lab."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit import labels
from labkit.engine import tools
from labkit.errors import BadValueError, ComposeError, DiskFullError, NotFoundError
from labkit.lab.compose_model import Model, Owner, owned
from labkit.lab.container import Container
from labkit.lab.network import SUBNET_TRIES, random_subnet
from labkit.sdk import FREE_ROOM, NO_SPACE, timed_out, translated

if TYPE_CHECKING:
    from labkit.lab.lab import Lab

TIMEOUT = 300.0  # seconds: images may have to be built
PROJECT = "com.docker.compose.project"  # Compose's own labels
NUMBER = "com.docker.compose.container-number"
TAKEN = re.compile(r"overlap|subnet", re.IGNORECASE)  # what engines say of a taken subnet


class Compose:
    """A project of services; all it makes is the lab's, found by checks, and gone with the lab."""

    def __init__(
        self,
        lab: Lab,
        name: str,
        file: str | Mapping[str, Any],
        *,
        files: Mapping[str, str | bytes],
    ) -> None:
        self.lab = lab
        self.name = labels.checked_name(name)
        self.project = re.sub(r"[^a-z0-9_-]", "-", f"labkit-{lab.id}-{name}".lower())
        self._file = file if isinstance(file, str) else json.dumps(file)
        self._files = files
        self._subnets: dict[str, str] = {}
        with self._laid_out() as (_, model):
            self._services: dict[str, Model] = model["services"]

    def __repr__(self) -> str:
        return f"<Compose {self.name}: {', '.join(self.services())}>"

    def up(self, *services: str, scale: Mapping[str, int] | None = None) -> Compose:
        """Make and start what the file says, or only some services and what they need.

        `scale` gives numbers of containers by service. A port that names no address is published
        on loopback. Raises ComposeError, DiskFullError, EngineTimeoutError.
        Shell: `docker compose up --detach --build`.
        """
        counts = [f"--scale={service}={count}" for service, count in (scale or {}).items()]
        for _ in range(SUBNET_TRIES):
            with self._laid_out() as (folder, model):
                (folder / "owned.json").write_text(json.dumps(model))
                words = ("--detach", "--build", *counts, *services)
                try:
                    self._run(folder, "up", *words, options=["--file=owned.json"])
                    break
                except ComposeError as err:
                    if not self._subnets or not TAKEN.search(err.log):
                        raise
                    refused = err
                    self._subnets.clear()  # and take others
        else:
            raise refused
        self.lab.own_images.add(*(n for n, one in self._services.items() if "build" in one))
        return self

    def down(self, *, volumes: bool = False) -> None:
        """Remove its containers and networks, and its volumes too if that is said.

        Raises ComposeError. Shell: `docker compose down`, `docker compose down --volumes`.
        """
        with tempfile.TemporaryDirectory(prefix="labkit-compose-") as folder:
            self._run(Path(folder), "down", *(["--volumes"] if volumes else []))

    def services(self) -> list[str]:
        """The names of its services. Shell: `docker compose config --services`."""
        return sorted(self._services)

    def containers(self, service: str | None = None) -> list[Container]:
        """Its containers, by service and number, those that have ended too.

        Shell: `docker compose ps --all`.
        """
        wanted = [
            f"{PROJECT}={self.project}",
            *([f"{labels.SERVICE}={service}"] if service else []),
        ]
        with translated(f"list the containers of {self.name!r}"):
            found = self.lab.engine.client.containers.list(
                all=True, filters={"label": wanted}, ignore_removed=True
            )
        found.sort(key=lambda one: (one.labels[labels.SERVICE], int(one.labels[NUMBER])))
        return [Container(self.lab, one) for one in found]

    def container(self, service: str, number: int = 1) -> Container:
        """One container of a service: the first, or another by its number. Raises NotFoundError."""
        for one in self.containers(service):
            if one.labels[NUMBER] == str(number):
                return one
        there = [f"{one.labels[labels.SERVICE]} {one.labels[NUMBER]}" for one in self.containers()]
        raise NotFoundError(
            f"The project {self.name!r} has no container {number} of service {service!r}.",
            kind="container",
            name=service,
            seen=", ".join(there) or "no container",
            do="`up()` makes them; the services are " + ", ".join(self.services()),
        )

    def logs(self, service: str | None = None) -> str:
        """What its containers printed, one after the other. Shell: `docker compose logs`."""
        return "".join(one.logs() for one in self.containers(service))

    # --- inside --------------------------------------------------------------------------------

    @contextmanager
    def _laid_out(self) -> Iterator[tuple[Path, Model]]:
        """A folder with the files for as long as Compose reads them, and the lab's own model."""
        with tempfile.TemporaryDirectory(prefix="labkit-compose-") as place:
            folder = Path(place).resolve()
            for path, content in {"compose.yaml": self._file, **self._files}.items():
                file = folder / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content.encode() if isinstance(content, str) else content)
            try:
                said = self._run(folder, "config", "--format=json")
            except ComposeError as err:
                raise BadValueError(
                    f"The Compose file of {self.name!r} is not valid.",
                    value=self._file,
                    seen=err.seen,
                    do="correct what the message names",
                ) from err
            yield folder, owned(json.loads(said), self._owner(folder))

    def _owner(self, folder: Path) -> Owner:
        lab = self.lab
        return Owner(
            project=self.name,
            labels_of=lab.labels,
            engine_name=lambda name: labels.engine_name(lab.id, name),
            image_name=lab.own_images.tag,
            known_image=lab.own_images.base,
            subnet=self._subnet,
            address=lab.engine.publish_address,
            files=self._files,
            folder=folder,
        )

    def _subnet(self, network: str) -> str:
        """The same each time: a network whose subnet changes would be made anew."""
        return self._subnets.setdefault(network, random_subnet())

    def _run(self, folder: Path, command: str, *words: str, options: Sequence[str] = ()) -> str:
        """What a command of Compose printed. Raises ComposeError, DiskFullError."""
        environ = tools.command_environ(self.lab.engine.endpoint.environ())
        environ["BUILDX_CONFIG"] = str(folder / ".buildx")  # its notes of builds are not kept
        argv = [*tools.command("compose"), "--progress=plain", f"--project-name={self.project}"]
        doing = f"run `compose {command}` of {self.name!r}"
        try:
            done = subprocess.run(
                [*argv, *options, command, *words],
                cwd=folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=TIMEOUT,
            )
        except subprocess.TimeoutExpired as err:
            raise timed_out(doing, f"no end after {TIMEOUT:g} s", timeout=TIMEOUT) from err
        if done.returncode == 0:
            return done.stdout
        seen = "\n".join(done.stderr.strip().splitlines()[-8:])
        if NO_SPACE.search(done.stderr):
            raise DiskFullError(
                f"The engine's disk is full: cannot {doing}.", seen=seen, do=FREE_ROOM
            )
        raise ComposeError(
            f"Compose failed: cannot {doing}.",
            exit_code=done.returncode,
            log=done.stderr,
            seen=seen,
            do="correct what the message names; what was made before it stays, see `containers()`",
        )
