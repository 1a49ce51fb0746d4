"""A notebook in JupyterLab's page, worked through as a person does: with keys, clicks and eyes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from lab_server import LabServer
from playwright.sync_api import Error, Locator, Page, Route, expect, sync_playwright

CHROMIUM = "/usr/bin/chromium"
OPTIONS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTH, HEIGHT = 1280, 800  # CSS pixels
PATIENCE = 60_000  # milliseconds until the page shows what it should, on a busy machine
ACTIVE = re.compile("jp-mod-active")
NUMBERED = re.compile(r"\[\d+\]:")
RUNNING = "[*]:"


@contextmanager
def browser_page(*, scale: float = 1) -> Iterator[Page]:
    """A page of Debian's Chromium, in a profile of its own."""
    expect.set_options(timeout=PATIENCE)
    root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses root a sandbox
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*OPTIONS, *root])
        page = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT},
            color_scheme="light",
            device_scale_factor=scale,
        )
        page.set_default_timeout(PATIENCE)
        page.route("**/*", _fetch)
        try:
            yield page
        finally:
            page.unroute_all(behavior="ignoreErrors")
            browser.close()


def go(page: Page, address: str) -> None:
    """Open an address."""
    for _ in range(5):
        try:
            page.goto(address)
            return
        except Error as err:
            if "ERR_NETWORK_CHANGED" not in err.message:  # see `_fetch`
                raise
    raise AssertionError(f"the network changed each time that {address} was opened")


class NotebookPage:
    """An open notebook whose kernel is ready; no cell has been run yet."""

    def __init__(self, page: Page, server: LabServer, notebook: str) -> None:
        self.page = page
        cells = json.loads((server.copies / notebook).read_text(encoding="utf-8"))["cells"]
        self.sources = ["".join(cell["source"]) for cell in cells]
        self.codes = [i for i, cell in enumerate(cells) if cell["cell_type"] == "code"]
        go(page, server.url(notebook))
        self.panel = page.locator(".jp-NotebookPanel:visible")
        self.wait_idle()
        # The outputs that are stored say nothing about this run.
        self.menu("Edit", "Clear Outputs of All Cells")
        expect(self.panel.locator(".jp-OutputArea-output")).to_have_count(0)
        self.select(0)

    def menu(self, name: str, item: str) -> None:
        """Choose an item of the menu bar."""
        self.page.get_by_role("menuitem", name=name, exact=True).click()
        self.page.get_by_role("menuitem", name=item, exact=True).click()

    def wait_idle(self) -> None:
        """Wait until the kernel has nothing to do."""
        expect(
            self.panel.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
        ).to_be_attached()

    def cell(self, index: int) -> Locator:
        """A cell, by its place in the notebook."""
        return self.panel.locator(f'.jp-Notebook [data-windowed-list-index="{index}"]')

    def find(self, text: str) -> int:
        """The place of the code cell that is this text, or else of the first that has it."""
        exact = (index for index in self.codes if text == self.sources[index])
        return next(exact, None) or next(i for i in self.codes if text in self.sources[i])

    def outputs(self, index: int) -> Locator:
        """The outputs of a cell."""
        return self.cell(index).locator(".jp-OutputArea-output")

    def select(self, index: int) -> None:
        """Make a cell the active one, with a click in its margin."""
        self.cell(index).locator(".jp-InputPrompt").click()
        expect(self.cell(index)).to_have_class(ACTIVE)

    def run(self, index: int) -> None:
        """Select a cell, run it with Shift+Enter, and wait until it has ended."""
        self.select(index)
        self._run_active(index)
        self.wait_idle()

    def _run_active(self, index: int) -> None:
        """Run the active cell, a code cell; a key, or the request that it made, may be lost."""
        prompt = self.cell(index).locator(".jp-InputPrompt")
        before = prompt.inner_text().strip()
        for attempt in range(3):
            if attempt:
                self.select(index)
            self.page.keyboard.press("Shift+Enter")
            with suppress(AssertionError):
                expect(prompt).not_to_have_text(before, timeout=20_000)
            expect(prompt).not_to_have_text(RUNNING)
            if prompt.inner_text().strip() != before:
                break
        expect(prompt).to_have_text(NUMBERED)

    def run_through(self, last: int) -> None:
        """Run from the selected first cell to `last`, with nothing but Shift+Enter."""
        for index in range(last + 1):
            expect(self.cell(index)).to_have_class(ACTIVE)
            if index in self.codes:
                self._run_active(index)
            else:
                self.page.keyboard.press("Shift+Enter")
        self.wait_idle()

    def write(self, index: int, code: str) -> None:
        """Replace the text of a cell in its editor."""
        editor = self.cell(index).locator(".cm-content")
        editor.click()
        self.page.keyboard.press("Control+A")
        self.page.keyboard.insert_text(code)  # as if pasted: the editor would indent typed lines
        expect(editor.locator(".cm-line")).to_have_text(code.split("\n"))


def _fetch(route: Route) -> None:
    """Let playwright fetch what the page is made of.

    Chromium drops the requests under way (ERR_NETWORK_CHANGED) whenever an interface of the
    machine comes or goes, and each container has one. It must fetch the page itself: from one
    that it was given, it refuses to open a socket to this machine.
    """
    if route.request.is_navigation_request():
        route.continue_()
    else:
        route.fulfill(response=route.fetch())
