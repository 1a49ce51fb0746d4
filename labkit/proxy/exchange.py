"""One request on its way through: what was asked, and how it is to be answered."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from labkit.proxy.engine import Headers, target
from labkit.proxy.fields import spelled
from labkit.proxy.refusal import Refusal

LARGEST = 16 << 20  # bytes of a request that is read as a whole
Filters = dict[str, list[str]]


class Ask:
    """A request; a handler changes it into the one that the engine gets."""

    def __init__(
        self,
        method: str,
        version: str,
        path: str,
        query: dict[str, list[str]],
        headers: Headers,
        pieces: AsyncIterator[bytes],
    ) -> None:
        self.method = method
        self.version = version  # "/v1.41", or nothing
        self.path = path
        self.query = query
        self.headers = headers
        self.pieces = pieces  # of the body
        self._body: bytes | None = None

    async def body(self) -> bytes:
        """All of it. Raises Refusal where it is too large."""
        if self._body is None:
            parts, size = [], 0
            async for piece in self.pieces:
                parts.append(piece)
                size += len(piece)
                if size > LARGEST:
                    raise Refusal(413, f"a request of more than {LARGEST} bytes")
            self._body = b"".join(parts)
        return self._body

    async def json(self) -> dict[str, Any]:
        """What the body says, its fields spelled as in the manual. Raises Refusal."""
        said = await self.body()
        try:
            value = spelled(json.loads(said) if said.strip() else {})
        except (ValueError, RecursionError) as err:
            raise Refusal(400, f"invalid JSON: {err}") from err
        if not isinstance(value, dict):
            raise Refusal(400, "invalid JSON: an object is wanted")
        return value

    def put(self, value: Any) -> None:
        """From now on this is the body."""
        self._body = json.dumps(value).encode()

    def first(self, name: str, default: str = "") -> str:
        """The first value of a parameter."""
        return self.query.get(name, [default])[0]

    def flag(self, name: str) -> bool:
        """Whether a parameter is true, as the engine reads it."""
        return self.first(name).strip().lower() not in ("", "0", "no", "false", "none")

    def filters(self) -> Filters:
        """The filters, in either of the forms that Docker takes. Raises Refusal."""
        try:
            said = json.loads(self.first("filters") or "{}")
            return {
                name: [key for key, on in many.items() if on] if isinstance(many, dict) else
                [str(one) for one in many]
                for name, many in said.items()
            }  # fmt: skip
        except (ValueError, AttributeError, TypeError) as err:
            raise Refusal(400, f"invalid filter: {err}") from err

    def filter_by(self, filters: Filters) -> None:
        """From now on these are the filters."""
        self.query["filters"] = [json.dumps({k: v for k, v in filters.items() if v})]

    @property
    def target(self) -> str:
        """Where the request goes."""
        return target(self.version + self.path, self.query)

    def header(self, name: str) -> str:
        """The value of a header, or nothing."""
        wanted = name.lower().encode()
        return next((v.decode("latin-1") for k, v in self.headers if k.lower() == wanted), "")


Shape = Callable[[Any], Any]
Change = Callable[[bytes], bytes]
After = Callable[[int, Any], Awaitable[None]]


@dataclass
class Call:
    """Ask the engine, and tell its whole answer, shaped."""

    ask: Ask
    shape: Shape | None = None  # before the names are told
    after: After | None = None  # with the status and the answer, before it is told


@dataclass
class Streamed:
    """Ask the engine, and tell its answer as it comes."""

    ask: Ask
    shape: Shape | None = None  # of each line of JSON; what it makes None is left out
    answer: Change | None = None  # instead: what is done to the bytes of the answer
    upload: Change | None = None  # what is done to the bytes of the body, which then is not read
    around: AbstractAsyncContextManager[None] | None = None  # held while it lasts
    after: Callable[[], Awaitable[None]] | None = None  # when all has been told


@dataclass
class Raw:
    """Bytes in both directions, unread, until the engine closes."""

    ask: Ask
    hijack: bool = False  # the connection becomes the stream of a program
    outgoing: Change | None = None  # what is done to the client's bytes after the head
    around: AbstractAsyncContextManager[None] | None = None


@dataclass
class Told:
    """An answer of the proxy's own."""

    status: int
    value: Any = None
    headers: Headers = field(default_factory=list)


Plan = Call | Streamed | Raw | Told
