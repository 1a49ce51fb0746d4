"""Sizes as people write them."""

from __future__ import annotations

import re

from labkit.errors import BadValueError

UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def parse_size(size: int | str) -> int:
    """Bytes, from `67108864`, `"64m"`, `"1.5g"`; the units are powers of 1024, as Docker's.

    Raises BadValueError.
    """
    if isinstance(size, int):
        return size
    if found := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([bkmgt]?)(?:i?b)?\s*", size.lower()):
        return int(float(found[1]) * UNITS[found[2]])
    raise BadValueError(
        "That is not a size of memory.",
        value=size,
        seen=repr(size),
        do='write "64m", "1g", or a number of bytes',
    )


def show_size(size: float) -> str:
    """A number of bytes for people: `show_size(67108864)` is "64 MiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
