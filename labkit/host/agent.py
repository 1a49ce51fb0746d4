"""The eyes of labkit on an engine's machine: one file, standard library only.

It runs in this process, in a helper container, or in a guest, and does the same in each: it
answers batches of requests, each a dict with an "op", with one dict each, `{"value": ...}` or
`{"errno": ..., "error": ...}`. As a program it speaks JSON lines on stdin and stdout.

Paths below /proc are those of the agent's own /proc. All others are seen as the engine's
processes see them: `root` is a process of the engine's, through whose /proc/PID/root they go.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

KINDS = {"mnt": "-m", "uts": "-u", "ipc": "-i", "net": "-n", "pid": "-p", "cgroup": "-C"}
KINDS.update({"user": "-U", "time": "-T"})


class Agent:
    """Answers requests; each `op_` method is one operation, named by a request's "op"."""

    def __init__(self, anchor: int, root: str = "") -> None:
        self.anchor = anchor  # the pid of a process of the engine's
        self.root = root  # what goes before a path that is not below /proc

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request; the kernel's refusals are answers too."""
        try:
            return {"value": getattr(self, "op_" + request["op"])(request)}
        except OSError as err:
            return {"errno": err.errno or 0, "error": err.strerror or str(err)}
        except subprocess.TimeoutExpired as err:
            return {"errno": 110, "error": f"timed out after {err.timeout:g} s"}

    def place(self, path: str) -> str:
        """Where the agent finds what the engine's processes find at `path`."""
        return path if path.startswith("/proc/") or path == "/proc" else self.root + path

    def op_anchor(self, request: dict[str, Any]) -> int:
        return self.anchor

    def op_read(self, request: dict[str, Any]) -> str:
        with open(self.place(request["path"]), "rb", buffering=0) as file:
            return file.read().decode("utf-8", "surrogateescape")

    def op_link(self, request: dict[str, Any]) -> str:
        return os.readlink(self.place(request["path"]))

    def op_list(self, request: dict[str, Any]) -> list[str]:
        return sorted(os.listdir(self.place(request["path"])))

    def op_stat(self, request: dict[str, Any]) -> dict[str, int]:
        found = os.lstat(self.place(request["path"]))
        names = ("mode", "ino", "dev", "nlink", "uid", "gid", "size", "rdev")
        return {name: getattr(found, "st_" + name) for name in names}

    def op_sweep(self, request: dict[str, Any]) -> dict[str, dict[str, str | None]]:
        """For every process: the texts and links asked for; None where the kernel refuses."""
        texts, links = request.get("read", []), request.get("link", [])
        found = {}
        for pid in os.listdir("/proc"):
            if not pid.isdigit():
                continue
            here = "/proc/" + pid + "/"
            seen: dict[str, str | None] = {}
            for name in links:
                try:
                    seen[name] = os.readlink(here + name)
                except OSError:
                    seen[name] = None
            for name in texts:
                try:
                    handle = os.open(here + name, os.O_RDONLY)
                except OSError:
                    seen[name] = None
                    continue
                try:
                    # One read is enough for the small files of /proc; cmdline may be longer.
                    data = os.read(handle, 65536)
                    seen[name] = data.decode("utf-8", "surrogateescape")
                except OSError:
                    seen[name] = None
                finally:
                    os.close(handle)
            if any(value is not None for value in seen.values()):
                found[pid] = seen
        return found

    def op_kill(self, request: dict[str, Any]) -> None:
        os.kill(request["pid"], getattr(signal, "SIG" + request["signal"]))

    def op_run(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run a command, in the given namespaces of a process; the program is the agent's own."""
        argv = list(request["argv"])
        kinds = request.get("namespaces") or []
        if kinds:
            flags = [KINDS[kind] for kind in kinds]
            argv = ["nsenter", "-t", str(request["pid"]), *flags, "--", *argv]
        done = subprocess.run(
            argv,
            input=request.get("stdin", "").encode("utf-8", "surrogateescape"),
            capture_output=True,
            timeout=request.get("timeout", 10),
        )
        return {
            "exit_code": done.returncode,
            "stdout": done.stdout.decode("utf-8", "surrogateescape"),
            "stderr": done.stderr.decode("utf-8", "surrogateescape"),
        }


def main() -> None:
    # In a helper container that shares the machine's pid namespace, the parent is the engine's
    # shim, which lives where the engine lives.
    anchor = os.getppid()
    agent = Agent(anchor, root=f"/proc/{anchor}/root")
    for line in sys.stdin:
        answers = [agent.answer(request) for request in json.loads(line)]
        sys.stdout.write(json.dumps(answers) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
