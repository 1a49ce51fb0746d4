"""Hosts that need no engine: this process, and an agent beside it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from spawned import Spawned

from labkit.host import LocalHost


@pytest.fixture
def spawned() -> Iterator[Spawned]:
    host = Spawned()
    yield host
    host.close()


@pytest.fixture(params=["in process", "child"])
def host(request: pytest.FixtureRequest) -> Iterator[LocalHost | Spawned]:
    made = LocalHost() if request.param == "in process" else Spawned()
    yield made
    made.close()
