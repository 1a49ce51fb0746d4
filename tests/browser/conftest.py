"""One `make lab` for all browser tests, and a fresh browser for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab_server import LabServer, lab_server
from notebook_page import browser_page
from playwright.sync_api import Page


@pytest.fixture(scope="package")
def server() -> Iterator[LabServer]:
    """A running `make lab`. Ending it asserts that nothing of its kernels remains."""
    with lab_server() as started:
        yield started


@pytest.fixture
def page() -> Iterator[Page]:
    """An empty page."""
    with browser_page() as opened:
        yield opened
