"""Requests that no host can answer, each with a word that its error must hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from labkit.host import Host

BAD: dict[str, tuple[Callable[[Host], Any], str]] = {
    "signal": (lambda host: host.kill(1, signal="Stop"), "STOP"),
    "signal zero": (lambda host: host.kill(1, signal="0"), "TERM"),
    "signal number": (lambda host: host.kill(1, signal=9), "KILL"),  # type: ignore[arg-type]
    "own group": (lambda host: host.kill(0), "at least 1"),
    "everything": (lambda host: host.kill(-1, signal="KILL"), "at least 1"),
    "a group": (lambda host: host.kill(-4242), "at least 1"),
    "truth": (lambda host: host.kill(True), "at least 1"),
    "pid as text": (lambda host: host.kill("1"), "at least 1"),  # type: ignore[arg-type]
    "huge pid": (lambda host: host.kill(1 << 40), "at least 1"),
    "end of a group": (lambda host: host.end(0, start=0), "at least 1"),
    "namespace": (lambda host: host.run(["true"], pid=1, namespaces=["network"]), "net"),
    "one namespace": (lambda host: host.run(["true"], pid=1, namespaces="net"), "list"),
    "no pid": (lambda host: host.run(["true"], namespaces=["net"]), "at least 1"),
    "no command": (lambda host: host.run([]), "command"),
    "command as text": (lambda host: host.run("true"), "list"),
    "a number in it": (lambda host: host.run(["sleep", 1]), "list"),  # type: ignore[list-item]
    "no time": (lambda host: host.run(["true"], timeout=0), "number"),
    "never": (lambda host: host.run(["true"], timeout=float("nan")), "number"),
    "for ever": (lambda host: host.run(["true"], timeout=float("inf")), "number"),
    "bytes": (lambda host: host.run(["cat"], stdin=b"x"), "text"),  # type: ignore[arg-type]
    "relative": (lambda host: host.read("etc/hostname"), "absolute"),
    "no text": (lambda host: host.read(Path("/etc/hostname")), "absolute"),  # type: ignore[arg-type]
    "NUL": (lambda host: host.read("/etc/\0"), "absolute"),
    "one of many": (lambda host: host.read_many(["/proc/uptime", "uptime"]), "absolute"),
    "link": (lambda host: host.link(7), "absolute"),  # type: ignore[arg-type]
    "list": (lambda host: host.list(""), "absolute"),
    "stat": (lambda host: host.stat(None), "absolute"),  # type: ignore[arg-type]
    "xattrs": (lambda host: host.xattrs("here"), "absolute"),
    "sweep": (lambda host: host.sweep(read="stat"), "list"),
    "walk": (lambda host: host.walk("here"), "absolute"),
    "sample": (lambda host: host.sample(["/proc/uptime"], interval=0), "at least"),
    "sample of one": (lambda host: host.sample("/proc/uptime"), "list"),
}
