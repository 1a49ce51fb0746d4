"""The one boundary at which errors of the Docker SDK and of its transport become ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from labkit.errors import (
    DiskFullError,
    EngineError,
    EngineGoneError,
    EngineRefusedError,
    EngineTimeoutError,
    ImageBuildError,
    ImageNotFoundError,
    LabError,
    NameTakenError,
    NotFoundError,
)

BUILD_TAIL = 8  # lines of what a failed build printed
FREE_ROOM = (
    "free room: `labkit clean`, then `docker builder prune`; "
    "`docker system df` shows what takes the rest"
)
READ_TIMEOUT = re.compile(r"read timeout=([\d.]+)")
NO_SPACE = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
# Docker's words, and Podman's.
NO_IMAGE = re.compile(r"^no such image|image not known|no such image$", re.IGNORECASE)
REMEDY = "change what the message names; the engine's own log is shown by `labkit doctor`"
# What an engine's words mean, where they do not say what to do.
REMEDIES = {
    "not a shared mount": "mounts of the engine's machine are private, mount_namespaces(7): as "
    "root, there, `mount --make-rshared /`; systemd does so when it starts",
    "on the machine outside the micro-VM": "stop what has the port on your machine "
    "(`ss -tlnp` shows it), or publish another",
}
DIAGNOSE = "run `labkit doctor` to see the engine, then create the lab again"


@contextmanager
def translated(doing: str, *, kind: str = "", name: str = "") -> Iterator[None]:
    """Let LabErrors through and turn every SDK or transport error into one.

    `doing` says what was asked of the engine, as in "start container 'web'"; `kind` and `name`
    are those of the object that was asked for, for an error to carry.
    """
    import docker.credentials
    import docker.errors
    import requests.exceptions
    import urllib3.exceptions

    try:
        yield
    except LabError:
        raise
    except docker.errors.APIError as err:
        raise _of_api(err, doing, kind, name) from err
    except (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError) as err:
        raise timed_out(doing, str(err), timeout=_waited(str(err))) from err
    except docker.errors.BuildError as err:
        raise _of_build(err, doing) from err
    except docker.errors.DockerException as err:
        # The SDK wraps so what its first request, for the API version, met.
        if isinstance(err.__cause__, requests.exceptions.RequestException):
            raise _of_transport(err.__cause__, doing, str(err)) from err
        if isinstance(err.__context__, docker.credentials.StoreError):
            raise _of_credentials(err.__context__, doing) from err
        raise EngineError(f"Cannot {doing}.", seen=str(err), do=DIAGNOSE) from err
    except docker.credentials.StoreError as err:
        raise _of_credentials(err, doing) from err
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as err:
        raise _of_transport(err, doing, str(err)) from err
    except (ConnectionError, TimeoutError) as err:
        raise gone(doing, str(err)) from err


def _of_transport(err: Exception, doing: str, seen: str) -> LabError:
    import requests.exceptions
    import urllib3.exceptions

    unreached = (requests.exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError)
    # requests reports a read timeout in the middle of a stream as a ConnectionError.
    late = "timed out" in seen.lower() and not isinstance(err, unreached)
    return timed_out(doing, seen, timeout=_waited(seen)) if late else gone(doing, seen)


def _waited(seen: str) -> float:
    """Seconds, as requests tells them; in the middle of a stream it tells none."""
    told = READ_TIMEOUT.search(seen)
    return float(told[1]) if told else 0.0


def timed_out(doing: str, seen: str, *, timeout: float) -> EngineTimeoutError:
    """The error for an engine that took a request and gave no answer in time."""
    return EngineTimeoutError(
        f"The engine did not answer in time when asked to {doing}.",
        timeout=timeout,
        seen=seen,
        do="see whether the machine is busy or out of memory; `labkit doctor` tests the engine",
    )


def gone(doing: str, seen: str) -> EngineGoneError:
    """The error for an engine that does not answer any more."""
    return EngineGoneError(
        f"The engine stopped answering when asked to {doing}.", seen=seen, do=DIAGNOSE
    )


def _of_credentials(err: Exception, doing: str) -> EngineError:
    """Docker Desktop has gone, and left its name in the configuration: `docker` fails as well."""
    return EngineError(
        f"The store of registry passwords cannot be asked: cannot {doing}.",
        seen=str(err),
        do="install that program, or take `credsStore` out of ~/.docker/config.json",
    )


def _of_build(err: Any, doing: str) -> LabError:
    printed = "".join(event.get("stream", "") for event in err.build_log)
    seen = "\n".join([*printed.strip().splitlines()[-BUILD_TAIL:], str(err.msg)])
    if NO_SPACE.search(seen):
        return DiskFullError(f"The engine's disk is full: cannot {doing}.", seen=seen, do=FREE_ROOM)
    return ImageBuildError(
        f"A step of the Dockerfile failed: cannot {doing}.",
        log=printed,
        seen=seen,
        do="correct that step; what it printed is above",
    )


def _of_api(err: Any, doing: str, kind: str, name: str) -> LabError:
    response = getattr(err, "response", None)
    status = getattr(response, "status_code", None)
    said = str(getattr(err, "explanation", "") or err).strip()
    if NO_SPACE.search(said):
        return DiskFullError(f"The engine's disk is full: cannot {doing}.", seen=said, do=FREE_ROOM)
    if status == 404:
        return _not_found(str(getattr(response, "url", "")), said, doing, kind, name)
    # Podman's status is 500.
    if (status == 409 and re.search(r"already (in use|exists|used)", said, re.IGNORECASE)) or (
        status == 500 and re.search(r"name \S+ is already in use", said, re.IGNORECASE)
    ):
        return NameTakenError(
            f"That name is taken: cannot {doing}.",
            kind=kind,
            name=name,
            seen=said,
            do=f"choose another name, or remove the one that has it: `docker rm -f {name}`"
            if kind == "container"
            else "choose another name, or remove the one that has it first",
        )
    return EngineRefusedError(
        f"The engine refused to {doing}.",
        status=status,
        seen=f"HTTP {status}: {said}",
        do=next((do for words, do in REMEDIES.items() if words in said), REMEDY),
    )


def _not_found(url: str, said: str, doing: str, kind: str, name: str) -> NotFoundError:
    """What is not there is told by the path that was asked for; a text may hold any name."""
    path = re.sub(r"^/(v[\d.]+/)?", "", urlsplit(url).path)
    # A container's making names an image, and perhaps other containers and networks.
    of_image = path.startswith("images/") or (
        path == "containers/create" and NO_IMAGE.search(said) is not None
    )
    if of_image:
        return ImageNotFoundError(
            f"No such image: cannot {doing}.",
            kind="image",
            name=name,
            seen=said,
            do="check the spelling; `labkit images` lists the lab images, "
            "`labkit images build` makes them",
        )
    return NotFoundError(
        f"It does not exist: cannot {doing}.",
        kind=kind or path.partition("/")[0].removesuffix("s"),
        name=name,
        seen=said,
        do="list what the lab holds with `lab.containers()`, `lab.networks()`",
    )
