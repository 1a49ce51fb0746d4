"""What a learner sees: a real browser, on the JupyterLab that `make lab` starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from jupyter_client.manager import start_new_kernel
from kernels import Kernel
from lab_server import LabServer, containers_of, wait_until
from notebook_page import NotebookPage, go
from playwright.sync_api import Locator, Page, WebSocket, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from labkit.course import course_dir, exercises_of

# Chromium drops what is under way whenever a network interface comes or goes: beside tests that
# make containers all the time, a click or a line typed is lost now and then.
pytestmark = pytest.mark.alone

CHAPTER = "02_namespaces"
EXERCISE = "02.1"
ERROR = '[data-mime-type="application/vnd.jupyter.stderr"]'  # a traceback, or a warning
SETUP = "lab = labkit.Lab()"  # cells are found by what is in them
INSIDE = "%%in web"
TABLE = "web.namespaces()"
CONTROLS = "show.explore("
FIGURE = "namespace_matrix(web, shop, sidecar"
CHECK = f'check("{EXERCISE}")'
WRONG = 'watcher = lab.run("base", name="watcher", network="host")'


def test_the_printed_address_opens_the_course(server: LabServer, page: Page) -> None:
    go(page, server.address)
    notebook = page.locator(".jp-Notebook:visible")
    expect(notebook.get_by_role("heading", name="00 Start here")).to_be_visible()


def test_a_chapter_shows_real_containers(server: LabServer, page: Page) -> None:
    notebook = NotebookPage(page, server, f"notebooks/{CHAPTER}.ipynb")
    inside, table, figure, controls = map(notebook.find, (INSIDE, TABLE, FIGURE, CONTROLS))
    notebook.run_through(controls)
    expect(notebook.outputs(inside)).to_contain_text(":80")
    expect(notebook.outputs(table).get_by_role("cell", name="its own").first).to_be_visible()
    expect_picture(notebook.outputs(figure).locator("img"))
    # What a shell cell's command says of an error is shown so too.
    expect(notebook.panel.locator(ERROR, has_text="Traceback")).to_have_count(0)
    assert containers_of({kernel.pid for kernel in server.kernels()})

    explorer = notebook.cell(controls).locator(".jp-OutputArea")
    expect(explorer).to_contain_text("Welcome to the new web.")
    expect(explorer).not_to_contain_text("httpd -f -p 80")
    explorer.get_by_role("combobox", name="guest").select_option("debug")
    expect(explorer).to_contain_text("httpd -f -p 80")
    expect(explorer).not_to_contain_text("Welcome to the new web.")


def test_an_exercise_untouched_wrong_and_right(server: LabServer, page: Page) -> None:
    (right,) = (one for one in exercises_of(course_dir() / CHAPTER) if one.id == EXERCISE)
    notebook = NotebookPage(page, server, f"exercises/{CHAPTER}.ipynb")
    exercise, check = notebook.find(right.stub), notebook.find(CHECK)
    judged = notebook.outputs(check)

    notebook.run(notebook.find(SETUP))
    notebook.run(exercise)
    expect(notebook.cell(exercise).locator(ERROR)).to_contain_text("NotImplementedError")
    notebook.run(check)
    expect(judged).to_contain_text("not attempted")

    notebook.write(exercise, WRONG)
    notebook.run(exercise)
    notebook.run(check)
    expect(judged).to_contain_text("incorrect, 0 of")
    expect(judged).to_contain_text("expected: watcher is in the pid namespace of the host")
    expect(judged).to_contain_text("observed: it is in another pid namespace, and shares net")
    expect(judged).to_contain_text("hint: ")

    # As the notebook advises; the same cell then holds the next attempt.
    notebook.write(exercise, f'reset("{EXERCISE}")')
    notebook.run(exercise)
    expect(notebook.outputs(exercise)).to_contain_text("watcher")
    notebook.write(exercise, right.code_with_solution)
    notebook.run(exercise)
    notebook.run(check)
    expect(judged).to_contain_text("passed")
    expect(judged).not_to_contain_text("expected:")


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    """A notebook's kernel, in which a cell has run."""
    made = Kernel(start_new_kernel())
    made.run("import labkit; lab = labkit.Lab(); box = lab.run('base', name='box')")
    yield made
    made.end()


def test_docker_in_a_terminal_is_the_notebooks_in_which_a_cell_ran_last(
    server: LabServer, page: Page, kernel: Kernel
) -> None:
    said = server.copies / "terminal.txt"
    prompts: list[str] = []

    def listen(socket: WebSocket) -> None:
        if "/terminals/" in socket.url:
            socket.on("framereceived", lambda frame: prompts.append(str(frame)))

    page.on("websocket", listen)
    terminal = page.locator(".jp-Terminal:visible .xterm")
    for _ in range(3):
        # Anew: its code may have been dropped on its way, and is not asked for again.
        go(page, server.address)
        expect(page.locator(".jp-Notebook:visible")).to_be_visible()
        page.get_by_role("menuitem", name="File", exact=True).click()
        page.locator(".lm-Menu-item[data-type=submenu]", has_text="New").first.click()
        page.locator('.lm-Menu-item[data-command="terminal:create-new"]').click()
        # The notebook comes to the front when it is ready: it may have done so just now.
        with suppress(PlaywrightTimeoutError):
            terminal.wait_for(timeout=20_000)
            break
    # What is typed before the shell has shown its prompt is lost.
    for _ in range(600):
        if any("stdout" in one for one in prompts):
            break
        page.wait_for_timeout(100)
    for _ in range(6):
        # The notebook beside it comes to the front when it is restored, and takes the keyboard
        # when its kernel is ready: who has typed into that, types again.
        page.locator(".lm-TabBar-tab", has_text="Terminal").first.click()
        terminal.click()
        expect(page.locator(".jp-Terminal:visible .xterm-helper-textarea")).to_be_focused()
        page.keyboard.press("Control+C")
        made = "docker exec box touch /seen; docker run -d --name typed labkit/base"
        page.keyboard.type(f"{made}; docker ps --format '{{{{.Names}}}}' | sort >{said}\n")
        with suppress(TimeoutError):
            wait_until(lambda: said.exists() and said.read_text().endswith("\n"), 20)
            break
    assert said.read_text().split() == ["box", "typed"]
    assert kernel.run("print([one.name for one in lab.containers()])") == "['box', 'typed']\n"
    assert kernel.run("print(box.exec('ls /seen').exit_code)") == "0\n"


def expect_picture(picture: Locator) -> None:
    """A picture that has been decoded and takes up room on the page."""
    expect(picture).to_be_visible()
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("picture => picture.naturalWidth") > 100
