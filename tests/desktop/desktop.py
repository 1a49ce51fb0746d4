"""A student's Mac, played by this machine: an engine in a machine apart, and nothing of Linux.

The engine is a micro-VM's, reached by DOCKER_HOST and TLS as anybody's. What runs on it is a
process of its own, made a Mac's by `mac/sitecustomize.py`, with a home, a PATH and labkit's folders
that hold nothing of this machine's.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from lacking import lacking
from relay import relayed

from labkit import paths
from labkit.engine import Endpoint
from labkit.engine.vm import MicroVM, find_image

ROOT = Path(__file__).parents[2]
MAC = Path(__file__).parent / "mac"
# Of what macOS has in /bin and /usr/bin, all that the Makefile, Jupyter and the tests call for.
PROGRAMS = (
    "awk", "basename", "bash", "cat", "chmod", "cp", "cut", "date", "dirname", "env", "expr",
    "false", "git", "grep", "head", "id", "kill", "ln", "ls", "make", "mkdir", "mktemp", "mv",
    "printf", "ps", "rm", "sed", "sh", "sleep", "sort", "tail", "tar", "test", "touch", "tr",
    "true", "wc",
)  # fmt: skip
UNAME = """#!/bin/sh
case ${1:--s} in
-s) echo Darwin ;;
-m) echo arm64 ;;
-rs) echo Darwin 24.6.0 ;; # pip asks
*) exit 64 ;;
esac
"""


class Desktop:
    """Programs run on it see a foreign engine, `endpoint`, and a Mac around them."""

    def __init__(self) -> None:
        # Unix sockets want a short path.
        self.place = Path(tempfile.mkdtemp(prefix="lk-", dir="/tmp"))
        self.home = self.place / "home"
        self._vm = MicroVM(self.place / "elsewhere/vm", cache=paths.cache() / "vm")
        self._relay = ExitStack()
        self._lay_out()

    def _lay_out(self) -> None:
        (self.home / ".docker").mkdir(parents=True)
        (self.place / "bin").mkdir()
        (self.place / "tmp").mkdir()
        for name in PROGRAMS:
            there = shutil.which(name)
            assert there is not None, f"these tests need {name}"
            (self.place / "bin" / name).symlink_to(there)
        (self.place / "bin/python3").symlink_to(Path(sys.executable).resolve())
        (self.place / "bin/uname").write_text(UNAME)
        (self.place / "bin/uname").chmod(0o755)
        (self.place / "lacks.json").write_text(json.dumps(lacking()))

    def start_engine(self) -> None:
        """Start the machine that the engine is in; the first time it is built, in minutes."""
        # By the command line, which puts the lab images into it.
        subprocess.run(
            [sys.executable, "-m", "labkit", "engine", "start", "--engine", "vm"],
            env={**os.environ, "LABKIT_HOME": str(self.place / "elsewhere")},
            check=True,
        )
        self.socket = self._vm.endpoint.url.removeprefix("unix://")
        certificates = self.home / ".docker/elsewhere"
        certificates.mkdir()
        port = self._relay.enter_context(relayed(self.socket, certificates))
        self.endpoint = Endpoint(f"tcp://127.0.0.1:{port}", str(certificates))
        # What an engine for the desktop brings along: the command line, Compose and buildx.
        image = find_image(paths.cache() / "vm")
        assert image is not None
        (self.place / "bin/docker").symlink_to(image.tools / "docker")
        (self.home / ".docker/cli-plugins").symlink_to(image.tools / "cli-plugins")

    def environ(self) -> dict[str, str]:
        """All that a program on the desktop has in its environment, the engine apart."""
        return {
            "PATH": str(self.place / "bin"),
            "HOME": str(self.home),
            "TMPDIR": str(self.place / "tmp"),
            "LANG": "en_US.UTF-8",
            "LABKIT_HOME": str(self.home / "labkit"),
            "LABKIT_CACHE": str(self.home / "cache"),
            "LABKIT_STUDENT": "course",
            "LABKIT_PROGRESS": str(self.home / "progress.db"),
            "PYTHONPATH": os.pathsep.join((str(MAC), str(ROOT))),
            "PYTHONDONTWRITEBYTECODE": "1",
            "DESKTOP_LACKS": str(self.place / "lacks.json"),
        }

    def run(
        self,
        *argv: object,
        engine: bool = True,
        cwd: Path = ROOT,
        timeout: float = 600,
        **more: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on it to the end; `more` is added to its environment."""
        return subprocess.run(
            [str(word) for word in argv],
            cwd=cwd,
            env={**self.environ(), **(self.endpoint.environ() if engine else {}), **more},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def python(self, *argv: object, **options: object) -> subprocess.CompletedProcess[str]:
        """Run Python on it, as `run` does."""
        return self.run(sys.executable, *argv, **options)  # type: ignore[arg-type]

    def remove(self) -> None:
        """End the machine apart, and leave nothing of the desktop."""
        self._relay.close()
        self._vm.remove()
        shutil.rmtree(self.place)
