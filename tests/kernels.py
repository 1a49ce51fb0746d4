"""A notebook's kernel, spoken to as JupyterLab does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

TIMEOUT = 120


class Kernel:
    """A notebook's kernel, and what its cells show."""

    def __init__(self, started: tuple[KernelManager, BlockingKernelClient]) -> None:
        self.manager, self.client = started

    def run(self, cell: str) -> str:
        """What a cell prints. An error fails the test."""
        printed, error = self.ends(cell)
        assert not error, error
        return printed

    def fails(self, cell: str) -> str:
        """What the error says that a cell ends with."""
        _, error = self.ends(cell)
        assert error, "the cell ended without an error"
        return error

    def ends(self, cell: str) -> tuple[str, str]:
        """What a cell prints, and its error."""
        return self.until_idle(self.client.execute(cell))

    def until_idle(self, asked: str) -> tuple[str, str]:
        printed, error = [], ""
        for message in self.messages(asked):
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])
            elif message["msg_type"] == "error":
                error = "\n".join(message["content"]["traceback"])
        return "".join(printed), error

    def messages(self, asked: str) -> Iterator[dict[str, Any]]:
        """What comes until the cell has ended."""
        while True:
            message = self.client.get_iopub_msg(timeout=TIMEOUT)
            if message["parent_header"].get("msg_id") != asked:
                continue
            yield message
            if message["content"].get("execution_state") == "idle":
                return

    def end(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
