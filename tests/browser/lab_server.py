"""JupyterLab as `make lab` starts it, for a learner who has never opened it before."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from labkit import connect
from labkit.labels import OWNER

CHECKOUT = Path(__file__).resolve().parents[2]
START = 240  # seconds: on an engine that has no lab images yet, they are made first
END = 60  # seconds for the server and its kernels, on a busy machine
CLEAN = 10  # seconds until nothing of a lab remains, as promised
ADDRESS = re.compile(r"https?://127\.0\.0\.1:\d+/\S*token=\w+")


class LabServer:
    """A running `make lab`, and copies of the notebooks, which JupyterLab may save."""

    def __init__(self, folder: Path) -> None:
        self.copies = folder / "copies"
        for kind in ("notebooks", "exercises"):
            shutil.copytree(CHECKOUT / kind, self.copies / kind)
        self.work = (folder / "work").relative_to(CHECKOUT)
        self._make = subprocess.Popen(
            ["make", "lab", "LAB_OPTIONS=--no-browser", f"WORK={self.work}"],
            cwd=CHECKOUT,
            env=_environ(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._said: list[str] = []
        # A thread of its own goes on reading, or the server would stop at a full pipe.
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        try:
            wait_until(lambda: bool(self._found() or self._make.poll() is not None), START)
            assert self._found(), f"`make lab` printed no address:\n{self.said}"
        except BaseException:
            self.end()
            raise
        self.address = self._found()[0]  # with its token, as it was printed

    @property
    def said(self) -> str:
        """All that `make lab` has printed."""
        return "".join(self._said)

    def url(self, notebook: str) -> str:
        """The address of the copy of a notebook, such as "exercises/02_namespaces.ipynb"."""
        root, token = self.address.split("/lab", 1)[0], self.address.rpartition("token=")[2]
        path = (self.copies / notebook).relative_to(CHECKOUT)
        return f"{root}/lab/tree/{path}?reset&token={token}"

    def kernels(self) -> list[psutil.Process]:
        """The kernels that run under it."""
        return [one for one in self._processes() if _is_kernel(one)]

    def end(self) -> None:
        """End `make` and the server as Ctrl+C in a terminal would, once it has been confirmed."""
        family = self._processes()
        if self._make.poll() is None:
            os.killpg(self._make.pid, signal.SIGTERM)
        _, alive = psutil.wait_procs(family, END)
        for process in alive:
            process.kill()
        self._make.wait()
        self._reader.join(END)
        assert not alive, f"still there after {END} s: {alive}\n{self.said}"

    def _processes(self) -> list[psutil.Process]:
        """`make`, the server and the kernels, but not the reapers: they outlive their kernel."""
        try:
            make = psutil.Process(self._make.pid)
            below = make.children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return [make, *(one for one in below if _is_kernel(one) or "jupyter" in _command(one))]

    def _found(self) -> list[str]:
        return ADDRESS.findall(self.said)

    def _read(self) -> None:
        assert self._make.stdout
        with self._make.stdout as lines:
            self._said.extend(lines)


@contextmanager
def lab_server() -> Iterator[LabServer]:
    """`make lab`, ended afterwards; then none of its kernels may remain, and no container."""
    build = CHECKOUT / "build"  # git ignores it
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="browser-", dir=build) as folder:
        server = LabServer(Path(folder))
        try:
            yield server
        finally:
            kernels = server.kernels()
            owners = {kernel.pid for kernel in kernels}
            server.end()
        assert kernels, "no kernel was ever started"
        assert not [kernel for kernel in kernels if kernel.is_running()]
        wait_until(lambda: not containers_of(owners), CLEAN)


def containers_of(owners: set[int]) -> list[str]:
    """The names of the containers on the engine that these processes' labs have made."""
    found = connect().client.api.containers(all=True, filters={"label": [OWNER]})
    # SIGHT/PID/START/LOCK, as `labkit.owner` writes it.
    return [one["Names"][0] for one in found if int(one["Labels"][OWNER].split("/")[1]) in owners]


def wait_until(true: Callable[[], bool], timeout: float) -> None:
    """Wait until this is true; `timeout` in seconds. Raises TimeoutError."""
    end = time.monotonic() + timeout
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"not so after {timeout:g} s")
        time.sleep(0.1)


def _environ(folder: Path) -> dict[str, str]:
    """The environment of a learner with no settings, no progress, and no `make` above them."""
    settings = folder / "settings"
    settings.mkdir()
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAKE", "MFLAGS", "JUPYTER", "LABKIT_SESSION"))
    }
    return inherited | {
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "LABKIT_PROGRESS": str(folder / "progress.db"),
        "LABKIT_STUDENT": "course",
    }


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _is_kernel(process: psutil.Process) -> bool:
    return "ipykernel_launcher" in _command(process)
