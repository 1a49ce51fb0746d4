"""Files in and out of the engine: it takes and gives tar archives."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping


def pack(files: Mapping[str, str | bytes], *, mode: int = 0o644) -> io.BytesIO:
    """An archive of files owned by root, all of one age, so that equal files make equal bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), mode
            tar.addfile(entry, io.BytesIO(data))
    packed.seek(0)
    return packed


def unpack_one(chunks: Iterable[bytes]) -> bytes | None:
    """The content of the one file in an archive; None if its first entry is no file."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        member = tar.next()
        file = tar.extractfile(member) if member is not None and member.isfile() else None
        return None if file is None else file.read()
