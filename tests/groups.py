"""Which tests go to one worker, and in which order: pytest-xdist's `--dist loadgroup`.

Nothing is registered: what a test asks for decides. A `package` fixture of ours is dear, and made
once a run: its folder's tests go to one worker. With a `module` fixture the file's tests do, and of
the course a chapter's: a subnet that its text names, an engine has once. All others go to whichever
worker is free; a `session` fixture, which is cheap, every worker has.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# A test of a chapter has its number first in its id: [02.1], [notebooks/02_namespaces.ipynb], [02].
CHAPTER = re.compile(r"\[(?:\w+/)?(\d\d)[._\]]")
# Folders of many short tests, which even out the workers' ends; the shortest last.
LATE = ("live", "course", "unit")


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in the same hook
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give each test its group, and put first what may take longest: it has the longest timeout."""
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        group = _group(item)
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))
        groups.setdefault(group or item.nodeid, []).append(item)
    default = float(config.getini("timeout"))

    def rank(group: list[pytest.Item]) -> tuple[float, int]:
        folder = suite(group[0].path)
        late = LATE.index(folder) if folder in LATE else -1
        return -max(_timeout(item, default) for item in group), late

    items[:] = [item for group in sorted(groups.values(), key=rank) for item in group]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fail where xdist has lost the groups, as it does with pytest 9.2: its issue 1386."""
    if getattr(session.config.option, "loadgroup", False):  # only a worker's has it
        grouped = [one for one in session.items if one.get_closest_marker("xdist_group")]
        lost = [one.nodeid for one in grouped if "@" not in one.nodeid]
        assert not lost, f"pytest {pytest.__version__} and its xdist lose the groups of {lost}"


def suite(path: Path) -> str:
    """The folder of tests that a file is in: "live"."""
    return path.relative_to(TESTS).parts[0]


def _group(item: pytest.Item) -> str | None:
    """The folder or the file whose tests share what this one asks for."""
    found = getattr(item, "_fixtureinfo", None)  # pytest tells the scopes nowhere else
    fixtures = [one for many in found.name2fixturedefs.values() for one in many] if found else []
    scopes = {one.scope for one in fixtures if one.baseid.startswith(f"{TESTS.name}/")}
    if "package" in scopes:
        return f"{TESTS.name}/{suite(item.path)}"
    if suite(item.path) == "course" and (chapter := CHAPTER.search(item.nodeid)):
        return f"chapter {chapter[1]}"
    return str(item.path.relative_to(TESTS.parent)) if "module" in scopes else None


def _timeout(item: pytest.Item, default: float) -> float:
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark and mark.args else default
