"""A long look at a host: what is seen comes bit by bit, until the reader has had enough."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")
U = TypeVar("U")


class Chunks(Iterator[list[Any]], Protocol):
    """Where a stream comes from; a generator is one."""

    def close(self) -> None: ...


class Stream(Iterator[T], Generic[T]):
    """An iterator that is a context manager too: leaving it, or dropping it, ends the look.

    What is looked at waits for the reader: at most a few chunks are under way. An interrupt of
    the reader ends it.
    """

    def __init__(self, chunks: Chunks, make: Callable[[Any], T]) -> None:
        self._chunks = chunks
        self._make = make
        self._items: deque[Any] = deque()
        self._closed = False

    def __next__(self) -> T:
        try:
            while not self._items:
                if self._closed:
                    raise StopIteration
                self._items.extend(next(self._chunks))
            return self._make(self._items.popleft())
        except BaseException:  # an interrupt, too: a stream with a gap would be a lie
            self.close()
            raise

    def map(self, make: Callable[[T], U]) -> Stream[U]:
        """The same stream, each item made into something else; it takes this one's place."""
        mine = self._make
        return Stream(self._chunks, lambda item: make(mine(item)))

    def close(self) -> None:
        """End the look; the iterator is at its end then."""
        self._closed = True
        self._items.clear()
        self._chunks.close()

    def __enter__(self) -> Stream[T]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
