"""Progress, answers and hints survive a restart, and better is never replaced by worse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from labkit.checks.ledger import Ledger, Standing, student
from labkit.checks.outcome import Finding, Outcome, Report, Result
from labkit.errors import BadValueError, LabError


def report(*passed: bool) -> Report:
    results = tuple(Result(f"c{i}", 1, Finding(ok, "a", "b")) for i, ok in enumerate(passed))
    outcome = Outcome.PASSED if all(passed) else Outcome.INCORRECT
    return Report("02.1", "Title", outcome, results)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "deep/progress.db")


def test_the_best_outcome_is_kept(ledger: Ledger) -> None:
    ledger.record(report(True, False))
    assert ledger.standings() == {"02.1": Standing(Outcome.INCORRECT, 1, 2)}
    ledger.record(report(True, True))
    ledger.record(report(False, False))
    assert ledger.standings() == {"02.1": Standing(Outcome.PASSED, 2, 2)}


def test_an_exercise_that_grew_is_judged_by_its_share(ledger: Ledger) -> None:
    ledger.record(report(True, True))
    ledger.record(report(True, True, False))
    assert ledger.standings()["02.1"].possible == 2
    ledger.record(report(True, True, True))
    assert ledger.standings()["02.1"] == Standing(Outcome.PASSED, 3, 3)


def test_not_attempted_is_not_recorded(ledger: Ledger) -> None:
    ledger.record(Report("02.1", "Title", Outcome.NOT_ATTEMPTED, ()))
    assert ledger.standings() == {}


def test_answers_belong_to_a_session(ledger: Ledger) -> None:
    ledger.record_answers("one", "01.2", {"pid": 42, "names": ["a"]})
    ledger.record_answers("one", "01.2", {"pid": 43})
    assert ledger.answers("one", "01.2") == {"pid": 43, "names": ["a"]}
    assert ledger.answers("two", "01.2") == {}
    ledger.forget_answers("one", "01.2")
    assert ledger.answers("one", "01.2") == {}


def test_an_answer_must_be_a_plain_value(ledger: Ledger) -> None:
    with pytest.raises(BadValueError, match="plain value"):
        ledger.record_answers("one", "01.2", {"pid": object()})


def test_hints_come_one_by_one_and_the_last_stays(ledger: Ledger) -> None:
    assert [ledger.next_hint("02.1", of=2) for _ in range(4)] == [0, 1, 1, 1]


def test_another_process_sees_it_at_once(ledger: Ledger) -> None:
    ledger.record(report(True))
    code = "import sys; from pathlib import Path; from labkit.checks.ledger import Ledger;"
    code += "print(Ledger(Path(sys.argv[1])).standings()['02.1'].earned)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(ledger.path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "progress.db"
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(LabError, match=r"progress\.db"):
        Ledger(path).standings()


def test_on_a_hub_everybody_has_a_name_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LABKIT_STUDENT", raising=False)
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    assert student() == "ada"
    monkeypatch.setenv("LABKIT_STUDENT", "s-17")  # an instructor says it
    assert student() == "s-17"
    monkeypatch.delenv("LABKIT_STUDENT")
    monkeypatch.setenv("JUPYTERHUB_USER", "")
    assert student()


def test_another_librarys_whole_number_is_one(ledger: Ledger) -> None:
    class Counted:
        def __index__(self) -> int:
            return 42

    ledger.record_answers("s", "00.2", {"outside": Counted()})
    assert ledger.answers("s", "00.2") == {"outside": 42}


def test_what_could_not_be_judged_is_not_remembered(ledger: Ledger) -> None:
    nothing = (Result("c", 1, Finding(False, "", "not seen")),)
    ledger.record(Report("02.1", "Title", Outcome.NOT_JUDGED, nothing, "wait"))
    assert ledger.standings() == {}
