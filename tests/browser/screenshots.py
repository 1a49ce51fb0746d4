"""Make the README's pictures anew: `python tests/browser/screenshots.py`, on a working engine."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # as pytest does for the tests

from lab_server import CHECKOUT, lab_server
from notebook_page import WIDTH, NotebookPage, browser_page
from test_jupyterlab import CHAPTER, CHECK, FIGURE, SETUP, WRONG

PICTURES = CHECKOUT / "docs" / "screenshots"
SCALE = 1.5  # sharp on finer screens too, and below 300 kB


def main() -> None:
    """Work through the chapter up to its figure, and get an exercise wrong."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with lab_server() as server:
        with browser_page(scale=SCALE) as page:
            notebook = NotebookPage(page, server, f"notebooks/{CHAPTER}.ipynb")
            hide_files(notebook)
            figure = notebook.find(FIGURE)
            notebook.run_through(figure)
            notebook.cell(figure).evaluate("cell => cell.scrollIntoView()")
            picture(notebook, figure, PICTURES / "matrix.png")
        with browser_page(scale=SCALE) as page:
            notebook = NotebookPage(page, server, f"exercises/{CHAPTER}.ipynb")
            hide_files(notebook)
            stub, check = notebook.find("NotImplementedError"), notebook.find(CHECK)
            notebook.run(notebook.find(SETUP))
            notebook.write(stub, WRONG)
            notebook.run(stub)
            notebook.run(check)
            picture(notebook, check, PICTURES / "check.png")


def hide_files(notebook: NotebookPage) -> None:
    """Close the file browser: it would be a fifth of the picture."""
    notebook.page.keyboard.press("Control+B")
    notebook.select(0)


def picture(notebook: NotebookPage, last: int, path: Path) -> None:
    """Store the page from its top to the end of a cell."""
    box = notebook.cell(last).bounding_box()
    assert box
    height = box["y"] + box["height"] - 8  # without the frame of the next cell, the active one
    notebook.page.screenshot(path=path, clip={"x": 0, "y": 0, "width": WIDTH, "height": height})


if __name__ == "__main__":
    main()
