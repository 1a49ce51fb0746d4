"""A prediction's answer on the page, in a real browser, against what Jupyter itself takes.

The times are the page's own: from the learner's key or click to the frame that shows the words.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from pairs import compare, report

BROWSER = Path(__file__).resolve().parents[1] / "tests" / "browser"
sys.path.append(str(BROWSER))  # as pytest does for its tests

from lab_server import LabServer, lab_server  # noqa: E402  # found by the line above
from notebook_page import PATIENCE, NotebookPage, browser_page  # noqa: E402

from labkit.authoring.notebook import new_notebook, save  # noqa: E402

ROUNDS = 7
AT_MOST = 0.1  # seconds: what comes sooner is felt as at once
NOTEBOOK = "notebooks/99_predictions.ipynb"
LETTERS = "abcdefghijklmnopqrstuvwxyz"[: ROUNDS + 1]  # a prediction is answered once

# The clock starts at the first key or click after it is set. A frame is painted between its
# callback and the message that this one posts: there the clock stops.
CLOCK = """
([index, words]) => {
  const cell = document.querySelector(
    `.jp-NotebookPanel:not(.lm-mod-hidden) [data-windowed-list-index="${index}"]`);
  const count = () => cell.textContent.split(words).length - 1;
  const before = count();
  window.took = null;
  let began = null;
  const begin = event => { began ??= event.timeStamp; };
  addEventListener("keydown", begin, {capture: true});
  addEventListener("pointerdown", begin, {capture: true});
  const seen = new MutationObserver(() => {
    if (began === null || count() <= before) return;
    seen.disconnect();
    removeEventListener("keydown", begin, {capture: true});
    removeEventListener("pointerdown", begin, {capture: true});
    const painted = new MessageChannel();
    painted.port1.onmessage = () => { window.took = performance.now() - began; };
    requestAnimationFrame(() => painted.port2.postMessage(null));
  });
  seen.observe(cell, {childList: true, subtree: true, characterData: true});
}
"""

FIRST = """\
import ipywidgets
from labkit import predict, reveal

def plain():
    buttons = ipywidgets.RadioButtons(options=["1", "2", "3"], index=None)
    status = ipywidgets.HTML()
    buttons.observe(lambda _: setattr(status, "value", "You say 2."), names="index")
    return ipywidgets.VBox([buttons, status])"""


def main() -> int:
    cells = [FIRST, *(f"plain()  # {one}" for one in LETTERS)]
    cells += [f'predict("99.{one}", "How many numbers?", [1, 2, 3])' for one in LETTERS]
    cells += [f'reveal("99.{one}", 3)' for one in LETTERS]
    cells += [f'print("The kernel says 3.")  # {one}' for one in LETTERS]
    with lab_server() as server, browser_page() as page:
        write(server, cells)
        notebook = NotebookPage(page, server, NOTEBOOK)
        notebook.run_through(2 * len(LETTERS))
        pairs = [
            compare(
                "the choice is noted : ipywidgets' buttons and a text",
                Each(notebook, 'predict("99.{}"', choose, "You say 2."),
                Each(notebook, "plain()  # {}", choose, "You say 2."),
                rounds=ROUNDS,
                at_most=2,
            ),
            compare(
                "reveal : print",
                Each(notebook, 'reveal("99.{}"', run, "The kernel says 3."),
                Each(notebook, 'says 3.")  # {}', run, "The kernel says 3."),
                rounds=ROUNDS,
                at_most=1.5,
            ),
        ]
    failed = report(pairs)
    for pair in pairs:
        median = statistics.median(pair.ours)
        print(f"{pair.name}: {1000 * median:.0f} ms; at most {1000 * AT_MOST:.0f} ms are wanted")
        failed |= int(median > AT_MOST)
    return failed


class Each:
    """A side of a pair: one cell after the other, and the seconds until its words are seen."""

    def __init__(
        self,
        notebook: NotebookPage,
        source: str,
        act: Callable[[NotebookPage, int], None],
        words: str,
    ) -> None:
        self._notebook, self._act, self._words = notebook, act, words
        self._cells = iter([notebook.find(source.format(one)) for one in LETTERS])

    def __call__(self) -> float:
        notebook, cell = self._notebook, next(self._cells)
        notebook.wait_idle()
        notebook.select(cell)
        notebook.page.evaluate(CLOCK, [cell, self._words])
        self._act(notebook, cell)
        notebook.page.wait_for_function("window.took !== null", timeout=PATIENCE)
        milliseconds: float = notebook.page.evaluate("window.took")
        return milliseconds / 1000


def choose(notebook: NotebookPage, cell: int) -> None:
    """Click the second of the buttons."""
    notebook.outputs(cell).get_by_role("radio").nth(1).click()


def run(notebook: NotebookPage, cell: int) -> None:
    """Run the active cell."""
    notebook.page.keyboard.press("Shift+Enter")


def write(server: LabServer, cells: list[str]) -> None:
    """Put a notebook of these cells beside the copies of the course's."""
    v4: Any = nbformat.v4  # its functions carry no types
    made = new_notebook([v4.new_code_cell(one) for one in cells], prefix="99-c")
    save(made, server.copies / NOTEBOOK)


if __name__ == "__main__":
    sys.exit(main())
