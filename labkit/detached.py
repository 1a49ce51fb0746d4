"""A Python process that outlives the one that starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence


def detach(
    module: str,
    *arguments: str,
    stdin: int = subprocess.DEVNULL,
    inherited: Sequence[int] = (),
    environ: Mapping[str, str],
) -> int:
    """Run a module of ours on its own, silent and holding no folder; return its pid.

    It has our descriptors `inherited`, besides.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A session of its own: an interrupt or hang-up of the notebook's must not reach it.
        start_new_session=True,
        pass_fds=inherited,
        cwd="/",
        env={**environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    process.returncode = 0  # not ours to wait for, nor to warn about
    return process.pid
