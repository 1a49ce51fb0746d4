"""The names of one lab's objects: the learner's, and those by which all labs' engine knows them.

Pure: no I/O. An image's reference keeps its tag; a registry's port, which no path may hold, is
written with two underscores: `localhost:5000/app:v1` is `labkit-LAB/localhost__5000/app:v1`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from labkit import labels

LATEST = "latest"
HUB = re.compile(r"^(?:index\.)?docker\.io/(?:library/)?")
PORT = re.compile(r"^([^/:@]+):(\d+)(?=/)")
WRITTEN_PORT = re.compile(r"^([^/:@]+)__(\d+)(?=/)")
ANOTHER_LABS = re.compile(r"^(?:(?:index\.)?docker\.io/(?:library/)?)?labkit-[0-9a-f]{8}[/:@]")
# Beside a name that is lent for a build this one stands on the image: whose it is, and which.
LENT = re.compile(r"^(labkit-[0-9a-f]{8}/)labkit\.lent/(.+)$")
# The same in a Dockerfile or in what BuildKit is told, and the words before it on its line.
IN_BUILD = re.compile(rb"labkit-([0-9a-f]{8})(?=[/:@])")
NAMES_AN_IMAGE = re.compile(rb"(?i)(?:FROM|ARG)\s|from=|build-arg:|docker-image://")
NOBODYS = b"unknown.invalid"  # as long as "labkit-LAB", and never a registry's: RFC 6761, 6.4
LINE = 1000  # bytes of a line that are looked at
OURS = frozenset({labels.LAB, labels.SESSION, labels.OWNER, labels.NAME})


class Names:
    """Those of one lab."""

    def __init__(self, lab: str) -> None:
        self.lab = lab
        self.prefix = labels.engine_name(lab, "")
        self.images = labels.image_prefix(lab)
        # In a text only where a name may begin: a path of the engine's machine is told as it is.
        self._begins = re.compile(rf"^(/?){self.prefix}|(?<=:)(/?){self.prefix}")
        self._image_begins = re.compile(rf"^(?:(?:index\.)?docker\.io/)?{self.images}")

    def on_engine(self, name: str) -> str:
        """What the engine calls a container, network or volume."""
        return f"{self.prefix}{name.removeprefix('/')}"

    def shown(self, name: str) -> str:
        """What the learner calls it; a name that has nothing of ours is as it is."""
        return name.removeprefix("/").removeprefix(self.prefix)

    def image_on_engine(self, reference: str) -> str:
        """What the engine calls an image of the lab's own."""
        if self.is_own_image(reference):
            return reference
        short = HUB.sub("", reference)
        return self.images + PORT.sub(r"\1__\2", short)

    def shown_image(self, reference: str) -> str:
        """What the learner calls an image."""
        found = self._image_begins.match(reference)
        return reference if not found else WRITTEN_PORT.sub(r"\1:\2", reference[found.end() :])

    def mark(self, name: str) -> str:
        """What says on the engine that the lab lends this name."""
        return f"{self.images}labkit.lent/{name}"

    def seen_tags(self, tags: Iterable[str]) -> list[str]:
        """Of an image's names those that the lab may know: none of another's, none that is lent."""
        found = list(tags)
        lent = lent_names(found)
        return [
            one
            for one in found
            if self.is_own_image(one) or not ANOTHER_LABS.match(one)
            if one not in lent and not LENT.match(one)
        ]

    def is_own_image(self, reference: str) -> bool:
        """Whether a reference of the engine's is one of the lab's."""
        return self._image_begins.match(reference) is not None

    def hidden(self, data: bytes) -> bytes:
        """What a build sends, in which images of other labs are nobody's; its length is the same.

        Read where it passes in the clear, and in one piece: enough for what happens by accident.
        """

        def judged(found: re.Match[bytes]) -> bytes:
            begin = max(data.rfind(b"\n", 0, found.start()) + 1, found.start() - LINE)
            named = NAMES_AN_IMAGE.search(data, begin, found.start())
            return NOBODYS if named and found[1] != self.lab.encode() else found[0]

        return IN_BUILD.sub(judged, data) if b"labkit-" in data else data

    def text(self, text: str) -> str:
        """A text of the engine's, in which a name may stand at the beginning."""
        if self._image_begins.match(text):
            return self.shown_image(text)
        return self._begins.sub(lambda found: found[1] or found[2] or "", text)

    def words(self, text: str) -> str:
        """An engine's message, in which a name may stand anywhere."""
        return text.replace(self.prefix, "").replace(self.images, "")

    def told(self, value: Any) -> Any:
        """What an engine answered, in the learner's names and without our labels."""
        if isinstance(value, str):
            return self.text(value) if "labkit-" in value else value
        if isinstance(value, list):
            return [self.told(one) for one in value]
        if isinstance(value, dict):
            return {self.text(key): self.told(one) for key, one in value.items() if key not in OURS}
        return value


def with_tag(reference: str) -> str:
    """A reference with a tag, `latest` where it has neither tag nor digest."""
    last = reference.rpartition("/")[2]
    return reference if ":" in last or "@" in last else f"{reference}:{LATEST}"


def lent_names(tags: Iterable[str]) -> dict[str, str]:
    """Those of an image's names that labs have lent for builds, each with what that lab's begin."""
    return {found[2]: found[1] for one in tags if (found := LENT.match(one))}
