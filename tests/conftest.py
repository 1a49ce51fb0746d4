"""What several folders of tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from second_engine import SecondEngine


@pytest.fixture(scope="session")
def second_engine() -> Iterator[SecondEngine]:
    """Tests that run on a micro-VM, in the background from the first time this is asked for."""
    started = SecondEngine()
    yield started
    started.end()
