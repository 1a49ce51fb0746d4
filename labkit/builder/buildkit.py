"""Build by BuildKit, which is in every Docker Engine; its client is buildx."""

from __future__ import annotations

import codecs
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.builder.order import Order
from labkit.builder.record import Build, Progress, Step
from labkit.engine import tools
from labkit.errors import DiskFullError, ImageBuildError, LabError
from labkit.sdk import FREE_ROOM, NO_SPACE, gone, timed_out, translated

if TYPE_CHECKING:
    from labkit.engine import Engine

SILENCE = 600.0  # seconds without a word, after which an engine is not waited for
WORTH_CHECKING = 1 << 20  # bytes of a context
TAIL = 8  # lines of what a failed step printed
NO_ENGINE = ("Cannot connect to the Docker daemon", "error during connect", "connection refused")


def build(
    engine: Engine, order: Order, work: Path, *, on_message: Callable[[str], object]
) -> Build:
    """Have buildx build it; `work` is a folder of this build's own."""
    environ = tools.command_environ(engine.endpoint.environ())
    # buildx keeps notes of its builds, and of the builder that its user chose: not of ours.
    environ["BUILDX_CONFIG"] = str(work / "buildx")
    doing = f"build {order.name}"
    _check_room(engine, order, doing)
    progress = Progress(on_message=on_message)
    began = time.monotonic()
    process = subprocess.Popen(
        list(_argv(order, work)),
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            for told in _pieces(process, doing):
                progress.feed(told)
            code = process.wait()
        except BaseException:
            process.kill()  # and the engine ends the build when its client has gone
            raise
    done = progress.build(seconds=time.monotonic() - began)
    if code:
        error = _error(done, progress.messages, doing)
        if isinstance(error, DiskFullError) and engine.kind != "docker":
            drop_cache(engine)  # an engine of ours need not keep what made it full
        raise error
    return done


def drop_cache(engine: Engine) -> None:
    """Remove what the builder keeps of earlier builds, no image. Shell: `docker builder prune`."""
    with translated("drop the cache of builds"):
        api: Any = engine.client.api  # its stubs lack types here
        api.prune_builds(all=True)


def _check_room(engine: Engine, order: Order, doing: str) -> None:
    """Refuse a context for which the engine has no room, where that can be known."""
    # Engine 20.10 holds a file that it could not write to the end for up to two minutes more.
    size = sum(path.stat().st_size for path in order.context.rglob("*"))
    if size < WORTH_CHECKING or engine.local_daemon() is None:
        return
    free = shutil.disk_usage(engine.facts.data_root).free
    if size > free:
        raise DiskFullError(
            f"The engine's disk is full: cannot {doing}.",
            seen=f"{size} bytes of context, {free} bytes free in {engine.facts.data_root}",
            do=FREE_ROOM,
        )


def _argv(order: Order, work: Path) -> Iterator[str]:
    yield from (*tools.command("buildx"), "build", "--builder=default", "--progress=rawjson")
    yield "--provenance=false"  # an attestation would make of one image an index of two
    yield f"--tag={order.reference}"
    for name, value in order.labels.items():
        yield f"--label={name}={value}"
    for name, value in order.buildargs.items():
        yield f"--build-arg={name}={value}"
    for number, (name, secret) in enumerate(order.secrets.items()):
        place = work / f"secret-{number}"  # in a folder that only we may enter
        place.write_bytes(secret.encode() if isinstance(secret, str) else secret)
        yield f"--secret=id={name},src={place}"
    if order.target:
        yield f"--target={order.target}"
    if order.nocache:
        yield "--no-cache"
    if order.network:
        yield f"--network={order.network}"
    if order.platform:
        yield f"--platform={order.platform}"
    yield str(order.context)


def _pieces(process: subprocess.Popen[bytes], doing: str) -> Iterator[str]:
    """What buildx tells, as it comes. Raises EngineTimeoutError."""
    assert process.stderr is not None
    decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a piece may end within a letter
    while True:
        if not select.select([process.stderr], [], [], SILENCE)[0]:
            raise timed_out(doing, f"no word for {SILENCE:g} s", timeout=SILENCE)
        piece = process.stderr.read1(1 << 16)  # type: ignore[attr-defined]  # it is buffered
        if not piece:
            return
        yield decoder.decode(piece)


def _error(done: Build, messages: list[str], doing: str) -> LabError:
    said = "\n".join(messages)
    step = done.failed
    seen = "\n".join([*(step.log.strip().splitlines()[-TAIL:] if step else ()), said.strip()])
    log = "".join(one.log for one in done.steps)
    if NO_SPACE.search(seen) or NO_SPACE.search(log):
        return DiskFullError(f"The engine's disk is full: cannot {doing}.", seen=seen, do=FREE_ROOM)
    if any(words in said for words in NO_ENGINE):
        return gone(doing, seen)
    return ImageBuildError(
        f"{_what(step)}: cannot {doing}.",
        step=step.name if step else "",
        log=step.log if step else log,
        seen=seen,
        do="correct that step; what it printed is above"
        if step
        else "correct the Dockerfile; the engine's words are above",
    )


def _what(step: Step | None) -> str:
    if step is None:
        return "The Dockerfile cannot be built"
    if not step.instruction:
        return f"A build failed at {step.name!r}"
    return "A step of the Dockerfile failed"
