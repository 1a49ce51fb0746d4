"""A host that an agent in another process sees for us."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from labkit.host.answers import Answer, Request
from labkit.host.conversation import ANSWER_TIMEOUT, Conversation
from labkit.host.host import Host
from labkit.host.stream import Chunks
from labkit.host.transport import Transport


class RemoteHost(Host):
    """A host that is seen by an agent in another process."""

    def __init__(self, start: Callable[[], Transport], *, patience: float = ANSWER_TIMEOUT) -> None:
        self._conversation = Conversation(start, patience=patience)
        try:
            self.ask([])  # if it cannot be seen, say so now
        except BaseException:
            self.close()
            raise

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        return self._conversation.ask(requests)

    def look(self, request: Request) -> Chunks:
        return self._conversation.look(request)

    def close(self) -> None:
        self._conversation.close()
