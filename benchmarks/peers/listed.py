"""A plugin of pytest: what is listed must fail, all else must pass, and a list names what exists.

And a test leaves its environment as it was: some of the suites' do not.

It runs in the environment of the suites, which has neither labkit nor its settings.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Generator
from pathlib import Path

import pytest


def told() -> dict[str, dict[str, str]]:
    """The list: for each kind of engine, a test's name and why it does not pass."""
    lists: dict[str, dict[str, str]] = tomllib.loads(Path(os.environ["PEERS_LIST"]).read_text())
    return lists


@pytest.hookimpl(tryfirst=True)  # before -k leaves some out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is listed as that which must fail, or may."""
    found = {item.nodeid: item for item in items}
    # A run of some files knows nothing of the others.
    files = {name.partition("::")[0] for name in found}
    for kind, reasons in told().items():
        for name, reason in reasons.items():
            if name.partition("::")[0] not in files:
                continue
            if name not in found:
                raise pytest.UsageError(f"listed, and not there: {name}")
            if kind in ("any", "sometimes", os.environ["PEERS_ENGINE"], os.environ["PEERS_VIA"]):
                strict = kind != "sometimes"
                found[name].add_marker(pytest.mark.xfail(reason=reason, strict=strict))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, bool | None, bool | None]:
    """Restore the environment after a test."""
    before = dict(os.environ)
    try:
        return (yield)
    finally:
        os.environ.clear()
        os.environ.update(before)
