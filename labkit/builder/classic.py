"""Build by an engine's own builder, where it has no BuildKit: Podman's."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from labkit.builder.order import Order
from labkit.builder.record import Build, Step
from labkit.errors import BadValueError
from labkit.sdk import pack, translated

if TYPE_CHECKING:
    from labkit.engine import Engine

STEP = re.compile(r"^(?:STEP|Step) (\d+/\d+) ?: (.*)$")


def build(engine: Engine, order: Order, *, on_message: Callable[[str], object]) -> Build:
    """Have the engine build it; its steps are told by name and outcome, without seconds or bytes.

    Raises BadValueError where there are secrets, which it could not keep out of the image.
    """
    if order.secrets:
        raise BadValueError(
            f"{engine.facts.product} cannot mount a secret through Docker's API.",
            value=tuple(order.secrets),  # their ids
            seen=", ".join(order.secrets),
            do="build on a Docker Engine",
        )
    began, lines = time.monotonic(), []
    files = {
        str(path.relative_to(order.context)): path.read_bytes()
        for path in order.context.rglob("*")
        if path.is_file()
    }
    with translated(f"build {order.name}"):
        import docker.errors

        api: Any = engine.client.api
        events = list(
            api.build(
                fileobj=pack(files),
                custom_context=True,
                decode=True,
                rm=True,
                forcerm=True,
                tag=order.reference,
                labels=dict(order.labels),
                buildargs=dict(order.buildargs),
                target=order.target or "",
                nocache=order.nocache,
                network_mode=order.network,
                platform=order.platform,
            )
        )
        for event in events:
            for line in str(event.get("stream", "")).splitlines():
                lines.append(line)
                on_message(line)
            if "error" in event:
                raise docker.errors.BuildError(event["error"], iter(events))
    steps = tuple(step for step in _steps(lines) if not _is_ours(step, order))
    return Build(engine.facts.product, steps, time.monotonic() - began)


def _is_ours(step: Step, order: Order) -> bool:
    """Whether a step is a label of ours: Podman makes an instruction of each."""
    return step.instruction.startswith("LABEL") and any(one in step.name for one in order.labels)


def _steps(lines: list[str]) -> Iterator[Step]:
    starts = [at for at, line in enumerate(lines) if STEP.match(line)]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        told = STEP.match(lines[start])
        assert told is not None
        log = "\n".join(lines[start + 1 : end])
        yield Step(
            name=f"[{told[1]}] {told[2]}",
            outcome="cached" if "Using cache" in log else "ran",
            seconds=0.0,
            bytes=0,
            log=log,
            error="",
            needs=(),
        )
