"""Predictions: made by a choice, remembered, sealed by the answer, which is a live value."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

from labkit.authoring.notebook import dumps, normalise
from labkit.checks import predict, progress, reveal
from labkit.checks.ledger import Ledger
from labkit.checks.prediction import Prediction, Value
from labkit.errors import BadValueError, LabError

WIDGET = "application/vnd.jupyter.widget-view+json"
ASK = ("02.c", "How many numbers does the inner sleep have?", [1, 2, 3])


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "progress.db"))
    return Ledger()


def buttons(question: Any) -> Any:
    """The radio buttons that a page shows of it."""
    question._repr_mimebundle_()
    return question._buttons


def status(question: Any) -> str:
    return str(question._status.value)


def test_a_choice_is_compared_with_the_live_value(ledger: Ledger) -> None:
    question = predict(*ASK)
    buttons(question).index = 1
    assert "You say 2. Until the answer is shown" in status(question)
    assert repr(reveal("02.c", 3)) == "02.c: You said 2. The kernel says 3."
    assert ledger.predictions() == [Prediction("02.c", ASK[1], (1, 2, 3), 2, 3)]
    assert ledger.predictions()[0].came_true is False


def test_it_may_come_true_and_somebody_else_may_say_so() -> None:
    predict("02.d", "Does it start?", [True, False]).choose(False)
    told = repr(reveal("02.d", False, by="the engine"))
    assert told == "02.d: You said no. The engine says no. It came true."


def test_before_the_answer_it_can_be_changed_and_after_it_not(ledger: Ledger) -> None:
    question = predict(*ASK)
    choice = buttons(question)
    choice.index = 0
    choice.index = 2
    assert "You say 3." in status(question)
    reveal("02.c", 2)
    assert choice.disabled
    assert "You said 3. The answer has been shown, so it stays." in status(question)
    choice.index = 1  # a page that has not heard of it yet
    assert choice.index == 2
    predict(*ASK, mine=2)
    assert ledger.predictions()[0].said == 3


@pytest.mark.parametrize(
    ("choices", "said", "live", "told"),
    [
        ([1, 2], 1, 5, "You said 1. The kernel says 5, which is none of the choices."),
        ([True, False], True, 1, "You said yes. The kernel says 1, which is none of the choices."),
        (["its own", "the host's"], "its own", "the host's",
         "You said its own. The kernel says the host's."),
    ],
)  # fmt: skip
def test_an_answer_may_be_none_of_the_choices(
    choices: list[Value], said: Value, live: Value, told: str, ledger: Ledger
) -> None:
    predict("02.a", "What?", choices).choose(said)
    assert repr(reveal("02.a", live)) == f"02.a: {told}"
    assert ledger.predictions()[0].came_true is (None if "none" in told else False)


def test_shown_before_it_was_made_it_counts_for_nothing(ledger: Ledger) -> None:
    question = predict(*ASK)
    told = "02.c: The kernel says 3. No prediction was made before this, so nothing is counted."
    assert repr(reveal("02.c", 3)) == told
    assert buttons(question).disabled
    assert "the next prediction is yours" in status(question)
    predict(*ASK, mine=3)
    assert ledger.predictions()[0].said is None
    assert repr(reveal("02.c", 3)) == told


def test_shown_before_it_was_even_asked(ledger: Ledger) -> None:
    assert "No prediction was made" in repr(reveal("02.c", 3))
    assert "( ) 3" in repr(predict(*ASK, mine=3))
    (found,) = ledger.predictions()
    assert (found.question, found.choices, found.said) == (ASK[1], (1, 2, 3), None)


def test_shown_again_the_first_time_counts(ledger: Ledger) -> None:
    predict(*ASK, mine=2)
    reveal("02.c", 3)
    assert repr(reveal("02.c", 3)) == "02.c: You said 2. The kernel says 3."
    told = repr(reveal("02.c", 2))
    assert told.endswith("It came true. The first time it was 3: that is what counts.")
    assert ledger.predictions()[0].came_true is False


def test_asked_twice_both_show_the_choice() -> None:
    first, second = predict(*ASK), predict(*ASK)
    buttons(second)
    buttons(first).index = 0
    assert buttons(second).index == 0
    assert "You say 1." in status(second)


def test_in_two_windows_the_last_choice_before_the_answer_counts(ledger: Ledger) -> None:
    here = predict(*ASK)
    buttons(here).index = 0
    code = f"import labkit; print(labkit.predict(*{ASK!r}, mine=2)); labkit.reveal('02.c', 3)"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert "(•) 2" in told
    buttons(here).index = 2  # this window has not heard of the answer
    assert "You said 2. The answer has been shown, so it stays." in status(here)
    assert buttons(here).index == 1
    assert buttons(here).disabled
    assert ledger.predictions()[0].said == 2


def test_a_choice_races_the_answer(ledger: Ledger) -> None:
    ledger.ask("02.c", "?", (1, 2))
    noted: list[Prediction] = []

    def choose() -> None:
        noted.extend(Ledger().predict("02.c", one) for one in (1, 2) * 20)

    thread = threading.Thread(target=choose)
    thread.start()
    sealed = ledger.reveal("02.c", 2)
    thread.join()
    assert {one.said for one in noted if one.is_sealed} <= {sealed.said}
    assert ledger.predictions()[0].said == sealed.said


def test_a_restart_remembers_it() -> None:
    predict(*ASK, mine=2)
    code = f"import labkit; print(labkit.predict(*{ASK!r}))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "(•) 2\n" in told.stdout
    assert "You say 2." in told.stdout


def test_a_question_that_was_rewritten_forgets_only_what_is_no_choice_any_more(
    ledger: Ledger,
) -> None:
    predict(*ASK, mine=2)
    assert ledger.ask("02.c", "Reworded?", (2, 4)).said == 2
    assert ledger.ask("02.c", "Reworded?", (True, 4)).said is None
    ledger.predict("02.c", True)
    ledger.reveal("02.c", 4)
    assert ledger.ask("02.c", "Again?", (7, 8)).question == "Reworded?"


def test_without_a_front_end_it_is_a_text() -> None:
    assert repr(predict(*ASK)) == (
        "Prediction 02.c: How many numbers does the inner sleep have?\n"
        "  ( ) 1\n  ( ) 2\n  ( ) 3\n"
        "Choose before you run on; without buttons, add mine=1 here."
    )
    assert "(•) 3" in repr(predict(*ASK, mine=3))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("2.c", "?", [1, 2]), "no prediction's name"),
        (("02.1", "?", [1, 2]), "no prediction's name"),
        ((2, "?", [1, 2]), "no prediction's name"),
        (("02.c", "?", [1]), "no choice"),
        (("02.c", "?", [1, 1]), "no choice"),
        (("02.c", "?", [True, "yes"]), "no choice"),  # nobody could tell them apart
        (("02.c", "?", [1.5, 2]), "whole number"),
    ],
)
def test_what_is_no_question_is_refused(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(BadValueError, match=words):
        predict(*arguments)


def test_what_is_no_choice_or_no_answer_is_refused(ledger: Ledger) -> None:
    with pytest.raises(BadValueError, match="none of the choices"):
        predict(*ASK, mine=9)
    with pytest.raises(BadValueError, match="none of the choices"):
        predict(*ASK, mine=True)
    with pytest.raises(BadValueError, match="whole number"):
        reveal("02.c", [3])
    assert not ledger.predictions()[0].is_sealed


def test_a_ledger_that_cannot_be_written_is_told_where_the_choice_is_made(ledger: Ledger) -> None:
    question = predict(*ASK)
    choice = buttons(question)
    ledger.path.unlink()
    ledger.path.mkdir()
    choice.index = 1
    assert 'role="alert"' in status(question)
    assert "progress.db" in status(question)
    with pytest.raises(LabError, match=r"progress\.db"):
        reveal("02.c", 3)


def test_a_ledger_moved_away_begins_anew(ledger: Ledger) -> None:
    question = predict(*ASK)
    ledger.path.unlink()
    question.choose(2)
    assert ledger.predictions()[0].said == 2


def test_progress_counts_them() -> None:
    assert "prediction" not in repr(progress())
    predict(*ASK, mine=3)
    assert "; 1 prediction made, 0 came true" in repr(progress())
    reveal("02.c", 3)
    predict("02.d", "?", [1, 2], mine=1)
    assert "; 2 predictions made, 1 came true" in repr(progress())


def test_what_is_stored_is_the_same_each_time_and_knows_no_answer_before_it_is_shown(
    tmp_path: Path,
) -> None:
    new: Any = nbformat.v4
    sources = ["from labkit import *", f"predict(*{ASK!r})", "reveal('02.c', 40 + 2)"]

    def executed(name: str) -> Any:
        notebook = new.new_notebook(cells=[new.new_code_cell(source) for source in sources])
        for number, cell in enumerate(notebook.cells):
            cell.id = f"c{number}"
        environment = f"import os; os.environ['LABKIT_PROGRESS'] = {str(tmp_path / name)!r}\n"
        notebook.cells[0].source = environment + notebook.cells[0].source
        done = nbclient.NotebookClient(notebook, kernel_name="python3").execute()
        assert WIDGET in done.cells[1].outputs[0].data  # a front end shows buttons
        stored = normalise(done, name=name)
        stored.cells[0].source = ""
        return stored

    one, other = executed("one.db"), executed("other.db")
    assert dumps(one) == dumps(other)
    asked = one.cells[1].outputs[0].data
    assert set(asked) == {"text/plain", "text/html"}
    assert "42" not in str(asked)
    assert "The kernel says 42" in str(one.cells[2].outputs[0].data)
