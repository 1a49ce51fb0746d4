"""What a report says, in text and in HTML."""

from __future__ import annotations

from labkit.checks.outcome import Finding, Outcome, Report, Result

RESULTS = (
    Result("it runs", 1, Finding(True, "running", "running")),
    Result("it is <small>", 2, Finding(False, "24 MiB", "no limit", "give `memory=`")),
)


def test_a_failed_criterion_says_expected_observed_and_hint() -> None:
    report = Report("00.3", "Small", Outcome.INCORRECT, RESULTS)
    assert repr(report).splitlines() == [
        "00.3 Small: incorrect, 1 of 3 points",
        "  ✓ it runs",
        "  ✗ it is <small>",
        "      expected: 24 MiB",
        "      observed: no limit",
        "      hint:     give `memory=`",
    ]
    assert report.failed == ("it is <small>",)


def test_html_says_the_same_and_escapes() -> None:
    shown = Report("00.3", "Small", Outcome.INCORRECT, RESULTS)._repr_html_()
    assert "it is &lt;small&gt;" in shown
    for words in ("1 of 3 points", "24 MiB", "no limit", "give <code>memory=</code>"):
        assert words in shown


def test_nothing_attempted_earns_nothing() -> None:
    report = Report("00.3", "Small", Outcome.NOT_ATTEMPTED, RESULTS, "make it")
    assert (report.earned, report.possible) == (0, 3)
    assert "make it" in repr(report)
    assert "make it" in report._repr_html_()
