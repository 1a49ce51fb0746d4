"""The program that sweeps: what dead owners left, one lab, or all that its owner's end leaves.

A process of its own, because it needs the Docker SDK, and the reaper waits for hours.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Literal

from labkit.engine.endpoint import Endpoint
from labkit.errors import LabError
from labkit.lab.registry import forget, forgotten_labs
from labkit.lab.sweep import SETTLE, sweep_dead, sweep_lab
from labkit.owner import forget_old
from labkit.sdk import translated
from labkit.waiting import wait_until

if TYPE_CHECKING:
    import docker

GONE_TIMEOUT = 120.0  # seconds for an engine that is being restarted just when the owner ends
Task = Literal["dead", "lab", "end"]


def main(task: str, *labs: str) -> None:
    """`dead`; `lab LAB`; or `end LAB ...`, after which nothing of those labs is there."""
    endpoint = Endpoint.from_environ()
    assert endpoint is not None

    def sweep(what: Callable[[docker.DockerClient], object]) -> bool:
        """Whether the engine was there, and refused nothing."""
        with suppress(LabError), translated("connect"), closing(endpoint.client()) as client:
            what(client)
            return True
        return False

    def sweep_labs() -> bool:
        return False not in [sweep(partial(sweep_lab, lab=lab)) for lab in labs]

    if task == "dead":  # an engine that does not answer now is swept when it starts again
        sweep(sweep_dead)
        for lab in forgotten_labs():
            if sweep(partial(sweep_lab, lab=lab)):
                forget(lab)
        forget_old()
        return
    if task == "lab":
        sweep_labs()
        return
    # Again and again: what the owner's last requests still make, and what was refused meanwhile.
    went = True
    for pause in SETTLE if labs else ():
        time.sleep(pause)
        went = sweep_labs()
    if not went:
        with suppress(LabError):
            wait_until(sweep_labs, timeout=GONE_TIMEOUT, what="the engine", interval=2.0)


if __name__ == "__main__":
    main(*sys.argv[1:])
