"""Find a Docker-compatible engine that already listens somewhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from labkit.engine.endpoint import Endpoint
from labkit.errors import EngineError, EngineTimeoutError, LabError
from labkit.sdk import translated

ABSENT = "no socket there"
PING_TIMEOUT = 3.0  # seconds; a healthy engine answers in milliseconds
PATIENCE = 30.0  # seconds more for one that listens: on a busy machine it is there all the same
FULL_QUEUE = "BlockingIOError"  # unix(7): so many wait for an answer that no more may
RESTART = "restart it (`sudo systemctl restart docker`, or Docker Desktop's own menu)"
CHOOSE = "choose another engine: LABKIT_ENGINE=private or LABKIT_ENGINE=vm"


@dataclass(frozen=True)
class Attempt:
    """One way to an engine that was tried, and why it failed."""

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name}: {self.why}"


def summary(attempts: Sequence[Attempt]) -> list[str]:
    """The attempts in few lines: where nothing was, one line is enough for all."""
    lines = [str(attempt) for attempt in attempts if attempt.why != ABSENT]
    absent = [attempt.name for attempt in attempts if attempt.why == ABSENT]
    return [*lines, *([f"{ABSENT}: {', '.join(absent)}"] if absent else [])]


def candidates() -> Iterator[tuple[str, Endpoint]]:
    """Every address at which an engine may listen, best first.

    DOCKER_HOST alone, if it is set: somebody has chosen. Else the CLI's current context, then
    the sockets of Docker, rootless Docker, Docker Desktop, Colima, Rancher, OrbStack and Podman.
    Shell: `docker context ls`.
    """
    if chosen := Endpoint.from_environ():
        yield f"DOCKER_HOST={chosen.url}", chosen
        return
    if context := _current_context():
        yield context
    home = Path.home()
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    for name, path in (
        ("Docker", Path("/var/run/docker.sock")),
        ("rootless Docker", runtime / "docker.sock"),
        ("Docker Desktop", home / ".docker/run/docker.sock"),
        ("Docker Desktop", home / ".docker/desktop/docker.sock"),
        ("Colima", home / ".colima/default/docker.sock"),
        ("Rancher Desktop", home / ".rd/docker.sock"),
        ("OrbStack", home / ".orbstack/run/docker.sock"),
        ("rootless Podman", runtime / "podman/podman.sock"),
        ("Podman", Path("/run/podman/podman.sock")),
    ):
        yield f"{name} at {path}", Endpoint(f"unix://{path}")


def _current_context() -> tuple[str, Endpoint] | None:
    """The context that `docker context use` chose, read as the CLI does."""
    from docker.context import ContextAPI
    from docker.errors import DockerException

    try:
        context = ContextAPI.get_current_context()
    except (DockerException, OSError, ValueError):  # a damaged ~/.docker is the CLI's to report
        return None
    if context is None or context.Name == "default" or not context.Host:
        return None
    tls = context.TLSConfig
    certs = str(Path(tls.cert[0]).parent) if tls is not None and tls.cert else None
    return f"context {context.Name!r}", Endpoint(context.Host, certs)


def _why_no_entry(endpoint: Endpoint) -> str | None:
    """Why there is no socket that this user may speak to, or None."""
    path = endpoint.socket_path
    try:
        if path is not None and not path.exists():
            return ABSENT
        if path is not None and not os.access(path, os.R_OK | os.W_OK):
            return (
                "the socket is there, but this user may not use it "
                "(`sudo usermod -aG docker $USER`, then log in again)"
            )
    except PermissionError:
        return "this user may not enter the socket's folder"
    return None


def why_not(endpoint: Endpoint) -> str | None:
    """Why no engine answers at this address at once, or None if one does."""
    if why := _why_no_entry(endpoint):
        return why
    try:
        with translated("answer a ping"):
            _ping(endpoint, PING_TIMEOUT)
    except LabError as err:
        return err.seen or err.what
    except ValueError as err:  # what the SDK says of some malformed addresses
        return f"not an address: {err}"
    return None


def await_answer(
    name: str, ask: Callable[[float], object], *, do: str = f"{RESTART}, or {CHOOSE}"
) -> None:
    """Ask an engine, with a short timeout; one that is silent, once more with a long one.

    Raises EngineTimeoutError if it listens and does not answer, EngineError if it is not there.
    """
    try:
        with translated("answer a ping"):
            ask(PING_TIMEOUT)
        return
    except EngineError as err:
        if not _is_silent(err):
            raise
    print(f"labkit: {name} listens and is silent; it gets {PATIENCE:g} s more", file=sys.stderr)
    try:
        with translated("answer a ping"):
            ask(PATIENCE)
    except EngineError as err:
        if not _is_silent(err):
            raise
        raise EngineTimeoutError(
            f"An engine listens and does not answer: {name}.",
            timeout=PING_TIMEOUT + PATIENCE,
            seen=f"no answer in {PING_TIMEOUT + PATIENCE:g} s: {err.seen}",
            do=do,
        ) from err


def find() -> tuple[Endpoint | None, list[Attempt]]:
    """The first engine that answers, and what was tried before it.

    Raises EngineTimeoutError where one listens and is silent: another would surprise.
    """
    tried: list[Attempt] = []
    seen: set[str] = set()
    for name, endpoint in candidates():
        if endpoint.url in seen:
            continue
        seen.add(endpoint.url)
        why = _why_no_entry(endpoint)
        try:
            if why is None:
                await_answer(name, partial(_ping, endpoint))
                return endpoint, tried
        except EngineTimeoutError:
            raise
        except LabError as err:
            why = err.seen or err.what
        except ValueError as err:
            why = f"not an address: {err}"
        tried.append(Attempt(name, why))
    return None, tried


def _ping(endpoint: Endpoint, timeout: float) -> None:
    with closing(endpoint.client(timeout=timeout)) as client:
        client.ping()


def _is_silent(err: EngineError) -> bool:
    """Whether something took the connection, or let it wait, and said nothing."""
    return isinstance(err, EngineTimeoutError) or FULL_QUEUE in err.seen
