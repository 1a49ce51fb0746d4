"""A second private engine: a folder and a network namespace of its own, with no way out."""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
import sys
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

import labkit
from labkit.engine import Engine, PrivateEngine

# The PYTHONPATH of a child: as this process's own, and with labkit wherever it is.
PACKAGES = os.pathsep.join(
    filter(None, (os.environ.get("PYTHONPATH"), str(Path(labkit.__file__).parents[1])))
)


NAME_SERVER = re.compile(r"^nameserver\s+(\d+\.\d+\.\d+\.\d+)", re.MULTILINE)
DEFAULTS = ("8.8.8.8", "8.8.4.4")  # what an engine takes where the machine names no other


class OtherEngine:
    """Commands run in its network namespace, so that its bridges and rules touch no other's.

    Only the network is its own: its mounts and processes can be seen, and its socket reached.
    """

    def __init__(self, name: str, *, memory_disk: str | None = None) -> None:
        self.name = name
        self.home = Path(tempfile.mkdtemp(prefix="lk-", dir="/tmp"))
        self.home.chmod(0o711)  # a container whose root is remapped walks through it
        self.memory_disk = memory_disk
        if memory_disk:
            shell("mount", "-t", "tmpfs", "-o", f"size={memory_disk},mode=711", name, self.home)
        shell("ip", "netns", "add", name)
        shell("ip", "-n", name, "link", "set", "lo", "up")
        # Name servers that refuse at once: who asks for a name need not wait to be told "no".
        for address in {*NAME_SERVER.findall(Path("/etc/resolv.conf").read_text()), *DEFAULTS}:
            if not address.startswith("127."):
                shell("ip", "-n", name, "address", "add", address, "dev", "lo")
        self.private = PrivateEngine(self.home / "engine")

    @property
    def pid(self) -> int:
        """The daemon's pid; it must run."""
        pid = self.private.pid()
        assert pid is not None
        return pid

    @cached_property
    def engine(self) -> Engine:
        """A connection to it."""
        return Engine("private", self.private.endpoint)

    def popen(self, code: str, **environment: str) -> subprocess.Popen[str]:
        """Python code in its network namespace, with its LABKIT_HOME."""
        # `nsenter`, not `ip netns exec`: that would give it a mount namespace as well.
        return subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{self.name}", sys.executable, "-c", code],
            env=self.environ(**environment),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def environ(self, **more: str) -> dict[str, str]:
        """What makes this the engine of a child process."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")}
        chosen = {"LABKIT_HOME": str(self.home), "LABKIT_ENGINE": "private"}
        return {**kept, "PYTHONPATH": PACKAGES, **chosen, **more}

    def call(self, code: str, **environment: str) -> Any:
        """Run code that prints one JSON value at the end, and return that value."""
        process = self.popen(code, **environment)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        return json.loads(out.splitlines()[-1])

    def configure(self, **options: object) -> None:
        """Options for the daemon, before it starts: those of daemon.json, dockerd(8)."""
        self.private.folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        self.private.options_file.write_text(json.dumps(options))

    def start(self) -> None:
        """Start the daemon, or join it."""
        self.call("from labkit import connect; connect(); print(1)")

    def load(self, packed: bytes) -> None:
        """Give it an image."""
        client = self.private.endpoint.client()
        client.images.load(packed)
        client.close()

    def processes(self) -> list[psutil.Process]:
        """Its daemon, its containerd, its shims, and all that runs below them."""
        ours = [
            process
            for process in psutil.process_iter(["cmdline"])
            if any(f"{self.home}/" in word for word in process.info["cmdline"] or ())
            and Path(process.info["cmdline"][0]).name.startswith(("dockerd", "containerd"))
        ]
        below = [child for process in ours for child in process.children(recursive=True)]
        return list({process.pid: process for process in ours + below}.values())

    def mounts(self) -> list[str]:
        """What is mounted in the engine's folder."""
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
        return [line.split()[4] for line in lines if f"{self.private.folder}/" in line.split()[4]]

    def remove(self) -> None:
        """Stop it and leave nothing of it."""
        self.engine.close()
        gc.collect()  # what is left of its sockets is this test's, not the next one's
        self.private.stop()
        left = self.processes()
        for process in left:
            process.kill()
        shell("ip", "netns", "delete", self.name)
        if self.memory_disk:
            shell("umount", "--lazy", self.home)
        subprocess.run(["rm", "-rf", "--one-file-system", str(self.home)], check=True)
        assert not left, f"the engine's stop left {left}"


def shell(*argv: object) -> str:
    """Run a program to its end and return what it printed; it must succeed."""
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout
