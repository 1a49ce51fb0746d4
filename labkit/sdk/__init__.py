"""The one place that knows Docker's wire: its streams, its archives, and what its errors mean."""

from labkit.sdk.frames import STDERR, STDOUT, FrameStream
from labkit.sdk.tarball import pack, unpack_one
from labkit.sdk.translation import FREE_ROOM, translated

__all__ = ["FREE_ROOM", "STDERR", "STDOUT", "FrameStream", "pack", "translated", "unpack_one"]
