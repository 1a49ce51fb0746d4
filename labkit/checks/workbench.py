"""The workbench in which a trial runs a learner's piece."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.lab import Container, Lab

# What namespaces and mounts made by hand take.
RIGHTS: dict[str, Any] = {
    "cap_add": ["SYS_ADMIN"],
    "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
}


def workbench(lab: Lab, piece: str, program: bytes, **options: Any) -> Container:
    """Start `bench`, in which the piece is a program like any other; options as for `lab.run`."""
    bench = lab.run("toolbox", name="bench", init=True, **{**RIGHTS, **options})
    bench.put(f"/usr/local/bin/{piece}", program, mode=0o755)
    return bench


def said(bench: Container, file: str) -> str:
    """The last lines of a file into which the piece printed, to be added to what became of it."""
    lines = bench.exec(["tail", "-n", "3", file]).stdout.splitlines()
    return f", and says: {' / '.join(lines)}" if lines else ""
