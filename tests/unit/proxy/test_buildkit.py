"""What a build may do that is not usual, taken out of BuildKit's own conversation."""

from __future__ import annotations

import hpack
import pytest

from labkit.proxy.buildkit import CONTROL, DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, named


def frame(kind: int, flags: int, content: bytes) -> bytes:
    return len(content).to_bytes(3, "big") + bytes((kind, flags, 0, 0, 0, 1)) + content


def field(tag: bytes, value: bytes) -> bytes:
    return tag + bytes((len(value),)) + value


REF, ENTITLEMENT = b"\x0a", b"\x4a"  # 1 and 9, each with a length
# 9 and the 33rd bit of its number, which BuildKit's reader drops.
DISGUISED = b"\xca\x80\x80\x80\x80\x01"


def passed(message: bytes, *, compressed: bool = False) -> bytes:
    """What goes on of a build's beginning, of which the host's network may not be had."""
    headers = hpack.Encoder().encode([(":method", "POST"), (":path", CONTROL)])
    framed = bytes((compressed,)) + len(message).to_bytes(4, "big") + message
    take = named(lambda name: name, lambda _: {}, lambda one: one != "network.host")
    said = PREFACE + frame(HEADERS, END_HEADERS, headers) + frame(DATA, END_STREAM, framed)
    return b"".join(take(said[at : at + 7]) for at in range(0, len(said), 7))


@pytest.mark.parametrize("tag", [ENTITLEMENT, DISGUISED])
def test_an_entitlement_that_is_denied_does_not_go_on(tag: bytes) -> None:
    said = passed(field(REF, b"id") + field(tag, b"network.host") + field(tag, b"other"))
    assert b"network.host" not in said
    assert said.endswith(field(REF, b"id") + field(ENTITLEMENT, b"other"))


def test_nothing_goes_on_unread() -> None:
    with pytest.raises(ValueError, match="compressed"):
        passed(field(ENTITLEMENT, b"network.host"), compressed=True)
