"""The lab images: what `images/` says, made once, and again only when it says something else."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from labkit import paths
from labkit.errors import CourseError
from labkit.images import debian_root
from labkit.images.roots import OnMessage, ensure_root, import_error
from labkit.lock import locked
from labkit.sdk import pack, translated

if TYPE_CHECKING:
    from labkit.engine import Engine

RECIPE_LABEL = "labkit.recipe"
BUILD_TIMEOUT = 600.0  # seconds without a word from the engine


@dataclass(frozen=True)
class LabImage:
    """One folder of `images/`."""

    name: str
    root: str  # "root-busybox", "root-debian", or another lab image's name
    files: dict[str, bytes]

    @property
    def reference(self) -> str:
        """Its name on the engine."""
        return f"labkit/{self.name}"

    @property
    def recipe(self) -> str:
        """A digest of all that it is made of."""
        digest = hashlib.sha256()
        for name, content in sorted(self.files.items()):
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()


def lab_images() -> list[LabImage]:
    """The lab images, each after the one it is built on. Raises CourseError."""
    found = {folder.name: _read(folder) for folder in sorted(paths.images_dir().iterdir())}
    ordered: list[LabImage] = []

    def add(image: LabImage) -> None:
        if image in ordered:
            return
        if image.root in found:
            add(found[image.root])
        ordered.append(image)

    for image in found.values():
        add(image)
    return ordered


def packages_on(root: str) -> list[str]:
    """The Debian packages of all lab images on a root, from their files `packages`."""
    named: set[str] = set()
    below = {root}
    for image in lab_images():  # each comes after the one it is built on
        if image.root in below:
            below.add(image.name)
            named.update(image.files.get("packages", b"").decode().split())
    return sorted(named)


def recipe_of_all() -> str:
    """A short digest that changes with any lab image's recipe, or with how a root is made."""
    digest = hashlib.sha256(Path(debian_root.__file__).read_bytes())
    for image in lab_images():
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
    """Make the lab images that are missing or out of date; return the names of those made.

    `say` is told of progress, a line at a time. A build that is broken off leaves no image.
    Raises ImageBuildError, DiskFullError, MissingToolError. Shell: `docker build images/NAME`.
    """
    built = []
    paths.home().mkdir(parents=True, exist_ok=True)
    # Two notebooks that start at once must not build the same image twice.
    with locked(
        paths.home() / "images.lock",
        on_wait=lambda: on_message("another labkit is making the images; waiting for it"),
    ):
        for image in lab_images():
            if names is not None and image.name not in names:
                continue
            if is_built(engine, image):
                on_message(f"{image.name}: up to date")
                continue
            _build(engine, image, on_message=partial(_tell, on_message, image.name))
            built.append(image.name)
    return built


def _build(engine: Engine, image: LabImage, *, on_message: OnMessage) -> None:
    root = (
        ensure_root(engine, image.root, packages=packages_on(image.root), on_message=on_message)
        if image.root.startswith("root-")
        else f"labkit/{image.root}"
    )
    with translated(f"build {image.name}"):
        client = engine.endpoint.client(timeout=BUILD_TIMEOUT)
        try:
            events = client.api.build(
                fileobj=pack(image.files),
                custom_context=True,
                decode=True,
                rm=True,
                forcerm=True,
                buildargs={"ROOT": root},
                labels={RECIPE_LABEL: image.recipe},
                tag=image.reference,
            )
            for event in events:
                if "error" in event:
                    raise import_error(image.name, event["error"])
                if line := event.get("stream", "").strip():
                    on_message(line.splitlines()[0])
        finally:
            client.close()


def _tell(on_message: OnMessage, name: str, line: str) -> None:
    on_message(f"{name}: {line}")


def _read(folder: Path) -> LabImage:
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    dockerfile = files.get("Dockerfile", b"").decode()
    root = re.search(r"^ARG ROOT=(\S+)$", dockerfile, re.MULTILINE)
    if root is None:
        raise CourseError(
            f"The lab image {folder.name!r} does not say what it is built on.",
            seen=f"no line `ARG ROOT=...` in {folder}/Dockerfile",
            do="begin it with `ARG ROOT=labkit/toolbox` and `FROM ${ROOT}`",
        )
    named = root[1]
    if named.startswith("labkit/"):
        return LabImage(folder.name, named.removeprefix("labkit/"), files)
    return LabImage(folder.name, f"root-{named.partition(':')[0]}", files)
