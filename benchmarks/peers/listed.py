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


def reasons() -> dict[str, str]:
    """Each test that cannot pass on this engine, and why."""
    told = tomllib.loads(Path(os.environ["PEERS_LIST"]).read_text())
    return {**told.get("any", {}), **told.get(os.environ["PEERS_ENGINE"], {})}


@pytest.hookimpl(tryfirst=True)  # before -k leaves some out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is listed as that which must fail."""
    listed = reasons()
    found = {item.nodeid: item for item in items}
    # A run of some files knows nothing of the others.
    files = {name.partition("::")[0] for name in found}
    if gone := [name for name in listed if name.partition("::")[0] in files and name not in found]:
        raise pytest.UsageError(f"listed, and not there: {', '.join(gone)}")
    for name, reason in listed.items():
        if name in found:
            found[name].add_marker(pytest.mark.xfail(reason=reason, strict=True))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, bool | None, bool | None]:
    """Restore the environment after a test."""
    before = dict(os.environ)
    try:
        return (yield)
    finally:
        os.environ.clear()
        os.environ.update(before)
