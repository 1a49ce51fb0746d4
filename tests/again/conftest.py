"""One micro-VM for all that runs a second time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from second_engine import SecondEngine


@pytest.fixture(scope="package")
def second_engine() -> Iterator[SecondEngine]:
    """A machine that is ended afterwards, whatever still runs on it."""
    engine = SecondEngine()
    try:
        engine.start()
        yield engine
    finally:
        engine.end()
