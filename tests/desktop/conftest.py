"""One desktop for these tests, with its engine in a machine apart."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from desktop import Desktop


@pytest.fixture(scope="package")
def desktop() -> Iterator[Desktop]:
    """A Mac whose engine runs; see `desktop.py`."""
    made = Desktop()
    try:
        made.start_engine()
        yield made
    finally:
        made.remove()
