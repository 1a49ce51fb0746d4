"""BuildKit's own conversation, /grpc: the names that a build gives, changed as they pass.

Only what the client sends of two kinds of message is read, and only its maps of texts are changed.
Source: RFC 9113 (frames); gRPC over HTTP/2; BuildKit's control.proto and gateway.proto.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, CONTINUATION = 0, 1, 9
END_STREAM, END_HEADERS, PADDED, PRIORITY = 1, 4, 8, 32
FRAME = 16384  # bytes of the largest frame that everybody takes
CONTROL = "/moby.buildkit.v1.Control/Solve"
GATEWAY = "/moby.buildkit.v1.frontend.LLBBridge/Solve"
# The numbers of fields. Of a build as a whole: its id, how its result leaves (in the old form
# and the new), what its Dockerfile is told, and what it may do that is not usual (the host's
# network, ...); of one Dockerfile: what it is told.
REF, OLD_ATTRS, FRONTEND, FRONTEND_ATTRS, ENTITLEMENTS, EXPORTERS, ATTRS = 1, 4, 6, 7, 9, 13, 2
GATEWAY_FRONTEND, GATEWAY_OPTIONS = 2, 3
BUILD_ID = "buildkit-controlapi-buildid"

Image = Callable[[str], str]
Labels = Callable[[str], dict[str, str]]
Entitles = Callable[[str], bool]


def named(image: Image, labels_of: Labels, entitles: Entitles) -> Callable[[bytes], bytes]:
    """A function that takes what a client sends, piece by piece, and returns what goes on.

    `image` makes an image's name into the engine's, `labels_of` that name into labels; an
    entitlement that `entitles` denies is left out, and BuildKit says what is not allowed.
    """
    return _Conversation(image, labels_of, entitles).take


class _Conversation:
    def __init__(self, image: Image, labels_of: Labels, entitles: Entitles) -> None:
        self._image, self._labels_of, self._entitles = image, labels_of, entitles
        self._names: dict[str, str] = {}  # of each build, the first name of its image
        self._buffer = bytearray()
        self._begun = False
        self._headers = hpack.Decoder()
        self._block = bytearray()  # of headers that go on in the next frame
        self._reading: dict[int, tuple[str, str, bytearray]] = {}  # streams: path, build, message

    def take(self, data: bytes) -> bytes:
        self._buffer += data
        out = bytearray()
        if not self._begun:
            if len(self._buffer) < len(PREFACE):
                return b""
            out += self._cut(len(PREFACE))
            self._begun = True
        while len(self._buffer) >= 9:
            size = int.from_bytes(self._buffer[:3], "big")
            if len(self._buffer) < 9 + size:
                break
            frame = self._cut(9 + size)
            out += self._frame(frame, frame[3], frame[4], int.from_bytes(frame[5:9], "big"))
        return bytes(out)

    def _cut(self, count: int) -> bytes:
        part = bytes(self._buffer[:count])
        del self._buffer[:count]
        return part

    def _frame(self, frame: bytes, kind: int, flags: int, stream: int) -> bytes:
        if kind in (HEADERS, CONTINUATION):
            content = frame[9:]
            if kind == HEADERS and flags & PADDED:
                content = content[1 : len(content) - content[0]]
            if kind == HEADERS and flags & PRIORITY:
                content = content[5:]
            self._block += content
            if flags & END_HEADERS:
                said = {str(k): str(v) for k, v in self._headers.decode(bytes(self._block))}
                self._block.clear()
                if (path := said.get(":path", "")) in (CONTROL, GATEWAY):
                    self._reading[stream] = path, said.get(BUILD_ID, ""), bytearray()
            return frame
        if kind != DATA or stream not in self._reading:
            return frame
        path, build, message = self._reading[stream]
        content = frame[9:]
        message += content[1 : len(content) - content[0]] if flags & PADDED else content
        out = bytearray()
        while len(message) >= 5:
            size = int.from_bytes(message[1:5], "big")
            if len(message) < 5 + size:
                break
            if message[0]:  # no client does so; it would pass unread
                raise ValueError("a compressed message")
            changed = self._changed(path, build, bytes(message[5 : 5 + size]))
            out += message[:1] + len(changed).to_bytes(4, "big") + changed
            del message[: 5 + size]
        return _frames(bytes(out), stream, ends=bool(flags & END_STREAM))

    def _changed(self, path: str, build: str, message: bytes) -> bytes:
        fields = list(_fields(message))
        if path == CONTROL:
            id = next((value.decode() for number, _, value in fields if number == REF), "")
            fields = [
                (number, raw, self._exported(number, value, id))
                for number, raw, value in fields
                if number != ENTITLEMENTS or self._entitles(value.decode())
            ]
            if any(number == FRONTEND and value for number, _, value in fields):
                fields += self._labelled(FRONTEND_ATTRS, id)
        elif any(number == GATEWAY_FRONTEND and value for number, _, value in fields):
            fields += self._labelled(GATEWAY_OPTIONS, build)
        return b"".join(
            raw if raw is not None else _field(number, value) for number, raw, value in fields
        )

    def _exported(self, number: int, value: bytes, build: str) -> bytes:
        if number == OLD_ATTRS:
            return self._attribute(value, build)
        if number == EXPORTERS:
            parts = [
                raw if raw is not None else
                _field(inner, self._attribute(part, build) if inner == ATTRS else part)
                for inner, raw, part in _fields(value)
            ]  # fmt: skip
            return b"".join(parts)
        return value

    def _attribute(self, entry: bytes, build: str) -> bytes:
        found = {number: value.decode() for number, _, value in _fields(entry)}
        key, value = found.get(1, ""), found.get(2, "")
        if key != "name" or not value:
            return entry
        self._names[build] = value.split(",")[0]
        return _entry(key, ",".join(self._image(one) for one in value.split(",")))

    def _labelled(self, number: int, build: str) -> list[tuple[int, None, bytes]]:
        labels = self._labels_of(self._names.get(build, ""))
        return [(number, None, _entry(f"label:{key}", value)) for key, value in labels.items()]


def _frames(content: bytes, stream: int, *, ends: bool) -> bytes:
    parts = [content[at : at + FRAME] for at in range(0, len(content), FRAME)] or [b""]
    if parts == [b""] and not ends:
        return b""
    last = len(parts) - 1
    return b"".join(
        len(part).to_bytes(3, "big")
        + bytes((DATA, END_STREAM if ends and number == last else 0))
        + stream.to_bytes(4, "big")
        + part
        for number, part in enumerate(parts)
    )


# --- Protocol Buffers: https://protobuf.dev/programming-guides/encoding ---------------------------


def _fields(message: bytes) -> Iterator[tuple[int, bytes | None, bytes]]:
    """Number, raw bytes, and the value where it has a length; such a one has no raw bytes.

    A number has 32 bits, a tag more: what is beyond them BuildKit does not see.
    """
    at = 0
    while at < len(message):
        begin = at
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 2:
            size, at = _varint(message, at)
            yield tag >> 3 & 0xFFFFFFFF, None, message[at : at + size]
            at += size
            continue
        if kind == 0:
            _, at = _varint(message, at)
        else:
            at += {1: 8, 5: 4}[kind]
        yield tag >> 3 & 0xFFFFFFFF, message[begin:at], b""


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _written(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes((*out, number))


def _field(number: int, value: bytes) -> bytes:
    return _written(number << 3 | 2) + _written(len(value)) + value


def _entry(key: str, value: str) -> bytes:
    """One of a map of texts."""
    return _field(1, key.encode()) + _field(2, value.encode())
