"""The one loop that waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from labkit.errors import WaitTimeoutError

T = TypeVar("T")


def wait_until(
    predicate: Callable[[], T],
    *,
    timeout: float,
    what: str,
    saw: Callable[[], object] | None = None,
    interval: float = 0.05,
) -> T:
    """Call `predicate` until what it returns is true, and return that.

    `timeout` and `interval` are seconds on the monotonic clock; `saw` tells the error what was
    there at the end. Raises WaitTimeoutError.
    """
    deadline = time.monotonic() + timeout
    while True:
        if value := predicate():
            return value
        if time.monotonic() >= deadline:
            raise WaitTimeoutError(
                f"Waited {timeout:g} s for {what}, and it did not come.",
                timeout=timeout,
                seen=str(saw()) if saw else repr(value),
                do="look at its logs, or give it more time with `timeout=`",
            )
        time.sleep(interval)
