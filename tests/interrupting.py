"""An interrupt, as the Stop button of a notebook sends it, at a moment that nobody chose."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable


def interrupted(action: Callable[[], object], *, seconds: float) -> bool:
    """Do something with an interrupt at a random moment of the next seconds; whether it came."""
    over = threading.Event()

    def press() -> None:
        if not over.wait(random.random() * seconds):
            os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    try:
        presser.start()
        try:
            action()
        finally:
            over.set()
            presser.join()
            for _ in range(100):  # let one that is on its way arrive
                pass
    except KeyboardInterrupt:
        over.set()
        presser.join()
        return True
    return False
