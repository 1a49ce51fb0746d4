"""Archives in the `newc` format of cpio(5), which the kernel unpacks as its first root.

Source: https://docs.kernel.org/driver-api/early-userspace/buffer-format.html
"""

from __future__ import annotations

import stat
from collections.abc import Mapping

_DIR = stat.S_IFDIR | 0o755
FILE = stat.S_IFREG | 0o644
PROGRAM = stat.S_IFREG | 0o755


def archive(entries: Mapping[str, tuple[int, bytes]]) -> bytes:
    """Return an archive of `path -> (mode, content)`; folders are added.

    The same: `find . | cpio --create --format=newc`.
    """
    parts: list[bytes] = []
    folders: set[str] = set()
    for path, (mode, content) in entries.items():
        names = path.split("/")
        for depth in range(1, len(names)):
            folder = "/".join(names[:depth])
            if folder not in folders:
                folders.add(folder)
                parts.append(_entry(folder, _DIR, b"", len(parts) + 1))
        parts.append(_entry(path, mode, content, len(parts) + 1))
    data = b"".join(parts) + _entry("TRAILER!!!", 0, b"", 0)
    return data + bytes(-len(data) % 512)


def _entry(path: str, mode: int, content: bytes, inode: int) -> bytes:
    name = path.encode() + b"\0"
    fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)
