"""The few shapes that the kernel's text files share: a number, a limit, `key value` lines."""

from __future__ import annotations

import re
from collections.abc import Mapping

from labkit.errors import BadValueError


def malformed(what: str, text: str) -> BadValueError:
    """Return the error that says that `text`, read as `what`, is not that."""
    return BadValueError(
        f"This text is not {what}.",
        value=text,
        seen=repr(text if len(text) <= 120 else text[:117] + "..."),
        do="Read the file again, whole; the process or the cgroup may have gone in between.",
    )


def integer(text: str, *, name: str) -> int:
    """Return the decimal number that is all of the file `name`; `BadValueError` if it is not."""
    if re.fullmatch(r"\s*-?[0-9]+\s*", text) is None:
        raise malformed(f"the number that {name} holds", text)
    return int(text)


def limit(text: str, *, name: str) -> int | None:
    """Return a cgroup v2 limit: a number, or None for `max`."""
    return None if text.strip() == "max" else integer(text, name=name)


def flat_keyed(text: str, *, name: str) -> dict[str, int]:
    """Parse lines of `KEY VALUE`, the kernel's "flat keyed" format."""
    pairs = {}
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        pairs[key] = integer(value, name=f"{name} ({key})")
    return pairs


def need(files: Mapping[str, str], name: str, *, v1: str) -> str:
    """Return the text of a file of the cgroup; `v1` is what cgroup v1 has in place of `name`."""
    if name not in files:
        raise BadValueError(
            f"The cgroup has neither {name} (v2) nor {v1} (v1), or not all that go with it.",
            value=dict(files),
            seen=f"files: {', '.join(sorted(files)) or 'none'}",
            do="Read a cgroup below the root, in a hierarchy where the controller is enabled.",
        )
    return files[name]
