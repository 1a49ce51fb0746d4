"""What the tests took, in a table: seconds of workers for each suite, and for each chapter."""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from pathlib import PurePosixPath

import pytest

CHAPTER_MAX = 60  # seconds of workers that a chapter may add to `make test`
# What each chapter has: a test that takes one of them as a sample has its bare number, [02].
OWN = re.compile(r"\[(?:\w+/)?(\d\d)[._]")


class Seconds:
    """Adds up what the workers report: set-up, call and tear-down of each test."""

    def __init__(self, config: pytest.Config) -> None:
        self._workers = getattr(config.option, "numprocesses", None) or 1
        self._began = time.monotonic()
        self._suites: dict[str, float] = defaultdict(float)
        self._chapters: dict[str, float] = defaultdict(float)
        self._tests: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count one phase of one test."""
        folder = PurePosixPath(report.nodeid.partition("::")[0]).parts[1]
        chapter = OWN.search(report.nodeid) if folder == "course" else None
        self._suites[folder] += report.duration
        if chapter:
            self._chapters[chapter[1]] += report.duration
        if report.when == "call":
            self._tests.update([folder, *([chapter[1]] if chapter else [])])

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the tables, before the closing line."""
        wall, total = time.monotonic() - self._began, sum(self._suites.values())
        terminalreporter.section("seconds")
        say = terminalreporter.write_line
        say(f"{total:.0f} s of tests in {wall:.0f} s, on {self._workers} workers")
        for title, seconds in (("suite", self._suites), ("chapter", self._chapters)):
            if seconds:
                say(f"\n{title:10} {'tests':>6} {'seconds':>8}")
            for name, taken in sorted(seconds.items()):
                over = title == "chapter" and taken > CHAPTER_MAX
                more = f"  more than {CHAPTER_MAX}" if over else ""
                say(f"{name:10} {self._tests[name]:6} {taken:8.1f}{more}")


def pytest_configure(config: pytest.Config) -> None:
    """Only where the reports of all workers come together."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Seconds(config))
