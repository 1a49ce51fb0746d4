"""Execute one notebook in a kernel of its own."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from papermill.engines import papermill_engines  # type: ignore[import-untyped]  # ships no types
from traitlets.config import Config

from labkit.errors import CourseError

TIMEOUT = 300  # seconds a cell may take: the slowest one boots a machine or builds an image


@dataclass(frozen=True)
class Step:
    """A code cell about to be executed."""

    notebook: str  # folder and file: "notebooks/02_namespaces.ipynb"
    cell: int  # from 1, among the code cells
    cells: int  # how many code cells the notebook has


OnProgress = Callable[[Step], None]


def execute_notebook(
    notebook: NotebookNode,
    *,
    name: str,
    cwd: Path,
    timeout: int = TIMEOUT,
    allow_errors: bool = False,
    output: Path | None = None,
    on_progress: OnProgress | None = None,
) -> NotebookNode:
    """Return a copy of the notebook with the outputs of a fresh kernel that runs in `cwd`.

    It stops after the first cell that raises, unless `allow_errors`; the error is in the outputs.
    What was executed so far is written to the file `output` after each cell.
    `timeout` is in seconds, for each cell. Raises CourseError when a cell takes longer or the
    kernel dies. In a shell: `papermill --execution-timeout 300 --cwd notebooks IN OUT`.
    """
    notebook = copy.deepcopy(notebook)
    notebook.metadata["papermill"] = {}  # papermill fills what its own loader would have put there
    codes = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    begun = "none"

    def on_cell_start(cell: NotebookNode, cell_index: int) -> None:
        nonlocal begun
        begun = cell.id
        if on_progress and cell_index in codes:
            on_progress(Step(name, codes.index(cell_index) + 1, len(codes)))

    # Sockets in a folder of our own: kernels that start at once race for the same TCP ports.
    with TemporaryDirectory(prefix="labkit-") as sockets, _as_nobody_in_particular(sockets):
        settings: dict[str, Any] = {"transport": "ipc", "ip": f"{sockets}/kernel"}
        try:
            # The engine, not papermill.execute_notebook: that one cannot go past an error, and
            # writes cells of its own into the notebook.
            executed: NotebookNode = papermill_engines.execute_notebook_with_engine(
                "nbclient",
                notebook,
                "python3",
                output_path=str(output) if output else None,
                progress_bar=False,
                execution_timeout=timeout,
                allow_errors=allow_errors,
                record_timing=False,
                store_widget_state=False,
                resources={"metadata": {"path": str(cwd)}},
                on_cell_start=on_cell_start,
                config=Config(KernelManager=settings),
            )
        except CellTimeoutError as err:
            raise CourseError(
                f"{name}, cell {begun} did not end.",
                seen=f"still running after {timeout:g} s",
                do="make it faster, or wait for something with a timeout of its own",
            ) from err
        except DeadKernelError as err:
            raise CourseError(
                f"{name}, cell {begun}: the kernel died.",
                seen=str(err),
                do="run the cells up to this one by hand; see `dmesg` for the OOM killer",
            ) from err
    return executed


@contextmanager
def _as_nobody_in_particular(folder: str) -> Iterator[None]:
    """Let the kernel begin with no progress, and with the variants of the course's own student."""
    ours = {
        "LABKIT_STUDENT": "course",
        "LABKIT_PROGRESS": f"{folder}/progress.db",
        "LABKIT_WORK": folder,
    }
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def raised(output: NotebookNode) -> str:
    """Return what an error output says, in a line."""
    return f"{output.ename}: {output.evalue}".strip().split("\n")[0]
