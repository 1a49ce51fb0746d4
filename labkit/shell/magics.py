"""What IPython calls for `%%in` and `%%host`; the docstrings are the help that a learner reads."""

from __future__ import annotations

from typing import Any


def register(ip: Any) -> None:
    """Let IPython's shell know the cells; again does nothing."""
    known = ip.magics_manager.magics["cell"]
    for name, cell in (("in", _in), ("host", _host)):
        if known.get(name) is not cell:
            ip.register_magic_function(cell, "cell", name)


def _in(line: str, cell: str) -> None:
    """A shell in a container of this notebook:  %%in NAME [--fails] [--user USER]

        %%in web
        ps
        cat /etc/hostname

    The lines are typed into a `sh` in the container NAME, as with `docker exec NAME sh`. NAME is
    the one that you gave it, or that of its service in a Compose project.

    The cell fails if its last command does: if it ends with an exit code other than 0. Where that
    is what you expect, say --fails; then it is an error if it does *not* fail.

    Standard input is empty. Stop the cell with the Stop button: what it has started ends.
    `$name` is the shell's; nothing of Python's is put in.
    """
    from labkit.shell.cells import in_container

    in_container(line, cell)


def _host(line: str, cell: str) -> None:
    """A shell on the engine's host:  %%host [--fails]

        %%host
        lsns --task $web
        nsenter --target $web --net ip address

    The host is the machine whose kernel runs the containers: this one, or a virtual machine. You
    are root there, among the host's own processes, in its network, with its host name.
    The programs and files are those of the image `toolbox`, the same on every engine: lsns,
    nsenter, unshare, ip, nft, findmnt, strace, ps, tcpdump, curl, python3.

    $web is the number that the host has for the first process of the container `web`; in a name,
    what is not a letter or a digit is written _. $engine is a process of the engine's: the host's
    own files are below /proc/$engine/root, its mounts are shown by `findmnt --task $engine`.
    A variable that is not set is an error.

    The cell fails if its last command does; where that is what you expect, say --fails.
    Standard input is empty. Stop the cell with the Stop button: what it has started ends.
    """
    from labkit.shell.cells import on_host

    on_host(line, cell)
