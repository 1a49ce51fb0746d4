"""The lab images: what `images/` says, made once, and again only when it says something else."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from labkit import paths
from labkit.builder import build_image
from labkit.debian import can_download
from labkit.errors import BadValueError, CourseError, ImageBuildError
from labkit.images import debian_root
from labkit.images.packages import Packages
from labkit.images.roots import OnMessage, ensure_root
from labkit.lock import locked
from labkit.sdk import translated

if TYPE_CHECKING:
    from labkit.engine import Engine

RECIPE_LABEL = "labkit.recipe"
ALWAYS = ("base", "toolbox")  # what labs and the probe start from; the others wait to be asked for
INSTALL = "install"  # of `images/`: the script by which a Dockerfile installs Debian packages


@dataclass(frozen=True)
class LabImage:
    """One folder of `images/`."""

    name: str
    root: str  # "root-busybox", "root-debian", or another lab image's name
    files: dict[str, bytes]
    below: LabImage | None = None  # the lab image that it is built on

    @property
    def reference(self) -> str:
        """Its name on the engine."""
        return f"labkit/{self.name}"

    @property
    def is_needed(self) -> bool:
        """Whether every lab needs it; another is made when it is asked for."""
        return self.name in ALWAYS

    @property
    def recipe(self) -> str:
        """A digest of all that it is made of, the lab images below it included."""
        digest = hashlib.sha256()
        for name, content in sorted(self.files.items()):
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        if self.below is not None:
            digest.update(self.below.recipe.encode())
        return digest.hexdigest()

    @property
    def packages(self) -> list[str]:
        """The Debian packages that its file `packages` names."""
        return self.files.get("packages", b"").decode().split()


def lab_images() -> list[LabImage]:
    """The lab images, each after the one it is built on. Raises CourseError."""
    folders = {one.name: one for one in sorted(paths.images_dir().iterdir()) if one.is_dir()}
    made: dict[str, LabImage] = {}

    def make(name: str) -> LabImage:
        if name not in made:
            files = _files(folders[name])
            root = _root(folders[name], files)
            below = make(root) if root in folders else None
            made[name] = LabImage(name, root, files, below)
        return made[name]

    for name in folders:
        make(name)
    return list(made.values())


def needed_images() -> list[LabImage]:
    """The lab images that every lab needs."""
    return [image for image in lab_images() if image.is_needed]


def packages_on(root: str) -> list[str]:
    """The Debian packages of the needed lab images on a root, from their files `packages`."""
    named: set[str] = set()
    below = {root}
    for image in needed_images():  # each comes after the one it is built on
        if image.root in below:
            below.add(image.name)
            named.update(image.packages)
    return sorted(named)


def recipe_of_all() -> str:
    """A short digest that changes with a needed image's recipe, or with how a root is made."""
    digest = hashlib.sha256(Path(debian_root.__file__).read_bytes())
    for image in needed_images():
        digest.update(image.recipe.encode())
    return digest.hexdigest()[:12]


def is_built(engine: Engine, image: LabImage) -> bool:
    """Whether the engine has this image, made by today's recipe."""
    with translated("list images"):
        # Not inspected by name: the list says it in one request, and for none too.
        made = engine.client.api.images(image.reference)
    return any((one.get("Labels") or {}).get(RECIPE_LABEL) == image.recipe for one in made)


def build_images(
    engine: Engine, *, on_message: OnMessage, names: set[str] | None = None
) -> list[str]:
    """Make those lab images that are missing or out of date; return the names of those made.

    `names` are the images that are wanted, each with what it is built on; without them, those that
    every lab needs. `on_message` is told of progress, a line at a time. A build that is broken off
    leaves no image. Raises BadValueError, ImageBuildError, DiskFullError, MissingToolError.
    Shell: `docker build images/NAME`.
    """
    wanted = _wanted(names)
    built = []
    paths.home().mkdir(parents=True, exist_ok=True)
    # Two notebooks that start at once must not build the same image twice.
    with (
        locked(
            paths.home() / "images.lock",
            on_wait=lambda: on_message("another labkit is making the images; waiting for it"),
        ),
        Packages(engine) as packages,
    ):
        for image in wanted:
            if is_built(engine, image):
                on_message(f"{image.name}: up to date")
                continue
            _build(engine, image, packages, on_message=partial(_tell, on_message, image.name))
            built.append(image.name)
    return built


def _wanted(names: set[str] | None) -> list[LabImage]:
    """The images of these names and all that they are built on, in the order of building."""
    if names is None:
        return needed_images()
    there = {image.name: image for image in lab_images()}
    if unknown := names - there.keys():
        raise BadValueError(
            "There is no such lab image.",
            value=sorted(unknown)[0],
            seen=", ".join(sorted(unknown)),
            do=f"one of {', '.join(there)}",
        )
    wanted = set(names)
    for name in names:
        below = there[name].below
        while below is not None:
            wanted.add(below.name)
            below = below.below
    return [image for image in there.values() if image.name in wanted]


def _build(engine: Engine, image: LabImage, packages: Packages, *, on_message: OnMessage) -> None:
    root = (
        ensure_root(engine, image.root, packages=packages_on(image.root), on_message=on_message)
        if image.below is None
        else image.below.reference
    )
    files: dict[str, bytes | Path] = dict(image.files)
    # Where this machine has no apt, as a Mac, the build fetches them itself.
    if INSTALL in image.files and can_download():
        debs = packages.lacking(root, image.packages, on_message=on_message)
        files |= {deb.name: deb for deb in debs}
    try:
        build_image(
            engine,
            image.reference,
            files,
            name=image.name,
            buildargs={"ROOT": root},
            labels={RECIPE_LABEL: image.recipe},
            on_message=on_message,
        )
    except ImageBuildError as err:
        raise ImageBuildError(
            f"The lab image {image.name!r} could not be made.",
            log=err.log,
            step=err.step,
            seen=err.seen,
            do="if it is the network, try again when it is back; what was finished is kept",
        ) from err


def _tell(on_message: OnMessage, name: str, line: str) -> None:
    on_message(f"{name}: {line}")


def _files(folder: Path) -> dict[str, bytes]:
    """All that an image is made of: its folder, and the script that installs packages, if used."""
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    if f"/context/{INSTALL}".encode() in files.get("Dockerfile", b""):
        files[INSTALL] = (folder.parent / INSTALL).read_bytes()
    return files


def _root(folder: Path, files: Mapping[str, bytes]) -> str:
    root = re.search(r"^ARG ROOT=(\S+)$", files.get("Dockerfile", b"").decode(), re.MULTILINE)
    if root is None:
        raise CourseError(
            f"The lab image {folder.name!r} does not say what it is built on.",
            seen=f"no line `ARG ROOT=...` in {folder}/Dockerfile",
            do="begin it with `ARG ROOT=labkit/toolbox` and `FROM ${ROOT}`",
        )
    named = root[1]
    if named.startswith("labkit/"):
        return named.removeprefix("labkit/")
    return f"root-{named.partition(':')[0]}"
