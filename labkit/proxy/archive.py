"""The names in an archive of images, changed as it passes; the layers pass unread.

Source: Docker image spec v1.2, manifest.json and repositories; OCI image spec, index.json,
`org.opencontainers.image.ref.name`; tar(5).
"""

from __future__ import annotations

import bz2
import json
import lzma
import re
import tarfile
import zlib
from collections.abc import Callable
from typing import Any, Protocol

from labkit.proxy.refusal import Refusal

BLOCK = 512
NAMING = ("manifest.json", "repositories", "index.json")  # the entries in which names stand
WITH_CONTENT = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip
SLICE = 16 << 10  # compressed bytes at once: what they become must have room
LARGEST = 16 << 20  # bytes of one of those
FULL_NAME = "io.containerd.image.name"
REF_NAME = "org.opencontainers.image.ref.name"
Rename = Callable[[str], str]


class Decompressor(Protocol):
    """What undoes a compression bit by bit."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


COMPRESSED: dict[bytes, Callable[[], Decompressor]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(wbits=31),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\0": lzma.LZMADecompressor,
}
ZSTD = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")  # RFC 8878, 3.1


def renamed(rename: Rename) -> Callable[[bytes], bytes]:
    """A function that takes an archive piece by piece, and returns what it has become so far.

    What it cannot read would pass under names of others: for that it raises Refusal.
    """
    archive = _Archive(rename)
    undo: list[_Undo] = []
    begun = bytearray()

    def take(data: bytes) -> bytes:
        if not undo and len(begun) < 8:
            begun.extend(data)
            if len(begun) < 8:
                return b""
            data = bytes(begun)
            made = next((one for magic, one in COMPRESSED.items() if data.startswith(magic)), None)
            if made is not None:
                undo.append(_Undo(made))
            elif ZSTD.match(data):
                raise Refusal(
                    400,
                    "the archive is compressed with zstd, which a lab's socket cannot read: "
                    "decompress it first, `zstd -d FILE`, and load what that makes",
                )
        if not undo:
            return archive.take(data)
        slices = (data[at : at + SLICE] for at in range(0, len(data), SLICE))
        return b"".join(archive.take(undo[0].take(one)) for one in slices)

    return take


class _Undo:
    """Undoes a compression of one part or of several, one behind the other."""

    def __init__(self, make: Callable[[], Decompressor]) -> None:
        self._make, self._part = make, make()

    def take(self, data: bytes) -> bytes:
        out = bytearray()
        try:
            while data:
                if self._part.eof:
                    data = data.lstrip(b"\0")  # which may fill up between parts
                    if not data:
                        break
                    self._part = self._make()
                out += self._part.decompress(data)
                data = self._part.unused_data if self._part.eof else b""
        except (zlib.error, lzma.LZMAError, OSError) as err:
            raise Refusal(400, f"the archive is damaged: {err}") from err
        return bytes(out)


class _Archive:
    def __init__(self, rename: Rename) -> None:
        self._rename = rename
        self._buffer = bytearray()
        self._passing = 0  # bytes of an entry that pass as they are
        self._header = b""  # of an entry that is read
        self._size = 0
        self._begun = False

    def take(self, data: bytes) -> bytes:
        self._buffer += data
        out = bytearray()
        while True:
            if self._passing:
                part = self._buffer[: self._passing]
                if not part:
                    break
                out += part
                self._passing -= len(part)
                del self._buffer[: len(part)]
            elif self._header:
                whole = _padded(self._size)
                if len(self._buffer) < whole:
                    break
                out += self._named(bytes(self._buffer[: self._size]))
                del self._buffer[:whole]
                self._header = b""
            elif len(self._buffer) >= BLOCK:
                header = bytes(self._buffer[:BLOCK])
                del self._buffer[:BLOCK]
                self._begin(header)
                if not self._header:
                    out += header
            else:
                break
        return bytes(out)

    def _begin(self, header: bytes) -> None:
        try:
            entry = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except tarfile.HeaderError as err:
            if not self._begun and any(header):
                raise Refusal(
                    400,
                    "that is no archive of images: a lab's socket reads tar, as it is or "
                    "compressed with gzip, bzip2 or xz",
                ) from err
            return  # its end
        self._begun = True
        name = entry.name.removeprefix("./")
        if entry.isreg() and name in NAMING and entry.size <= LARGEST:
            self._header, self._size = header, entry.size
        elif entry.isreg() or entry.type in WITH_CONTENT:
            self._passing = _padded(entry.size)

    def _named(self, content: bytes) -> bytes:
        entry = tarfile.TarInfo.frombuf(self._header, "utf-8", "surrogateescape")
        try:
            made = json.dumps(self._with_names(entry.name, json.loads(content))).encode()
        except (ValueError, AttributeError, TypeError):
            made = content
        entry.size = len(made)
        head = entry.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")
        return head + made + b"\0" * (_padded(len(made)) - len(made))

    def _with_names(self, name: str, value: Any) -> Any:
        if name.endswith("manifest.json"):
            for one in value:
                one["RepoTags"] = [self._rename(tag) for tag in one.get("RepoTags") or ()] or None
        elif name.endswith("repositories"):
            made: dict[str, dict[str, str]] = {}
            for repo, tags in value.items():
                for tag, layer in tags.items():
                    new, _, new_tag = self._rename(f"{repo}:{tag}").rpartition(":")
                    made.setdefault(new, {})[new_tag] = layer
            return made
        else:
            for one in value.get("manifests") or ():
                notes = one.get("annotations") or {}
                if FULL_NAME in notes:
                    notes[FULL_NAME] = self._rename(notes[FULL_NAME])
                if ":" in notes.get(REF_NAME, ""):
                    notes[REF_NAME] = self._rename(notes[REF_NAME])
        return value


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
