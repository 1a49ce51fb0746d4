"""What a learner's names of images mean to the engine: first of all, those that the lab built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit import labels
from labkit.errors import EngineRefusedError, NotFoundError
from labkit.proxy.names import Names, with_tag
from labkit.sdk import translated

if TYPE_CHECKING:
    from labkit.engine import Engine

LAB_IMAGES = "labkit/"  # with this the lab images' names on the engine begin


class OwnImages:
    """The names of the images that a lab built."""

    def __init__(self, engine: Engine, lab: str) -> None:
        self._engine = engine
        self._lab = lab
        self._on_engine = Names(lab)
        self._names: set[str] = set()

    def add(self, *names: str) -> None:
        """From now on these names mean the lab's own."""
        self._names.update(names)

    def tag(self, name: str) -> str:
        """What the engine calls one that the lab builds."""
        return labels.image_name(self._lab, name)

    def reference(self, image: str) -> str:
        """What the engine calls an image: the lab's own, a lab image, or anybody's."""
        if own := self._own(image):
            return own
        return image if "/" in image or ":" in image else f"{LAB_IMAGES}{image}"

    def base(self, image: str) -> str:
        """What a Dockerfile begins from: of the learner's names only what is the lab's own."""
        return self._own(image) or image

    def _own(self, image: str) -> str:
        """The engine's name of one that the lab built, or that `docker` made or tagged in it."""
        if image in self._names:
            return self.tag(image)
        if not image or "@" in image or image.startswith("sha256:"):
            return ""
        own = with_tag(self._on_engine.image_on_engine(image))
        api: Any = self._engine.client.api
        try:
            with translated("find an image"):
                api.inspect_image(own)
        except (NotFoundError, EngineRefusedError):  # it is not there, or can be no name
            return ""
        return own

    def is_pullable(self, reference: str) -> bool:
        """Whether a registry may have it: neither the lab's own nor one of the lab images."""
        return not reference.startswith((LAB_IMAGES, f"labkit-{self._lab}"))

    def ids(self, name: str) -> set[str]:
        """The images that the lab has under this name: several only while they are in use."""
        if name not in self._names:
            return set()
        only = {"label": [f"{labels.LAB}={self._lab}", f"{labels.NAME}={name}"]}
        api: Any = self._engine.client.api  # its stubs lack types here
        with translated("list the lab's images"):
            return {str(one["Id"]) for one in api.images(filters=only)}
