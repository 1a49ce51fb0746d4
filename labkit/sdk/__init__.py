"""The one place that knows Docker's wire: its streams, its archives, and what its errors mean."""

from labkit.sdk.frames import STDERR, STDOUT, FrameStream, take_frames
from labkit.sdk.tarball import pack, unpack_one
from labkit.sdk.translation import FREE_ROOM, NO_SPACE, gone, timed_out, translated

__all__ = [
    "FREE_ROOM",
    "NO_SPACE",
    "STDERR",
    "STDOUT",
    "FrameStream",
    "gone",
    "pack",
    "take_frames",
    "timed_out",
    "translated",
    "unpack_one",
]
