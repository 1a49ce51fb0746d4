"""Where looks come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from labkit.host import Host


class Source(Protocol):
    """An engine's client, of which `client.api` is asked, and the host behind the engine."""

    @property
    def client(self) -> Any: ...

    @property
    def host(self) -> Host: ...
