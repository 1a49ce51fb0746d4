"""Whether a guest's own programs, kernel and processes are still what was started.

A baseline is taken when a snapshot is made, and when a guest has booted cold; it is kept beside
the snapshot or in the machine's folder, where no guest can write. Later looks are compared with it.
Two witnesses: a program that is brought along and run in the guest (`inside`), by an interpreter
that is executed for it; and QEMU, which reads the kernel's code out of the machine's memory.

What is *stopped*: nothing; this only looks. What is *seen*: what is left of whatever root in the
guest did to files of /usr and /etc (by inode, size, mode and time of change; by content those that
answer us, with `contents` all), mounts, kernel settings, modules, BPF programs, the guest's own
addresses, routes and rules against reaching out, the kernel's code and constants, the engine, its
containerd and the entrance (the process itself, its program, environment, namespaces, foreign or
overwritten code, tracers, who listens at its socket), and processes that belong to no container.
A container's doings in its own namespaces, and what an engine does for it, are no change.

What would *pass*: what was undone before the look; an entrance that was altered in its memory by
somebody who forges this very program's answers, or an interpreter that does so for it (the kernel
and its code are seen from outside all the same, the rest is what the guest says); data of the
engine's or the kernel's own memory that was overwritten, a jump from the kernel's code to another
place of it, or a module of the image put to another use; the content of a large program
that was written past the file system, or with the clock set back for it, unless `contents` is
asked for; a program that was covered while a process read it, and uncovered again. The engine
that reads a covered configuration when it is restarted is one of these: so a restart is told.
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labkit.errors import EngineError, EngineGoneError
from labkit.table import Table, Tabular

from .qmp import monitor
from .runner import GuestRunner

INSIDE = Path(__file__).with_name("inside.py")
BASELINE, KERNEL, LOOK = "baseline.json", "kernel.code", "kernel.look"
FILES = (BASELINE, KERNEL, LOOK)
INTERPRETER = "/usr/bin/python3"
PATIENCE = 60.0  # seconds
LONGEST = 8 << 20  # bytes that a guest may answer with
CLOCK_TOLERATED = 5.0  # seconds
PAGE = 4096
WHOLE = "whole"

Facts = dict[tuple[str, str], str]

# Told for the comparison, and none itself.
_ASIDE = {"digest", "address", "clock", "end"}


@dataclass(frozen=True)
class Change:
    """One thing of the guest's own that is not what it was; None: it was, or is, not there.

    `kind` is answer, BPF program, clock, content, file, kernel, module, mount, network, process,
    restart (the same program was started anew by the guest's own loop), setting or socket.
    """

    kind: str
    what: str
    was: str | None
    now: str | None

    def __str__(self) -> str:
        was, now = self.was or "not there", self.now or "not there"
        return f"{self.kind} {self.what}: was {was}, is {now}"


@dataclass(frozen=True, repr=False)
class Changes(Tabular):
    """What has changed; empty, and false, if nothing of the guest's own has."""

    found: tuple[Change, ...]

    def __len__(self) -> int:
        return len(self.found)

    def __iter__(self) -> Iterator[Change]:
        return iter(self.found)

    def table(self) -> Table:
        if not self.found:
            return Table(("the guest",), [("nothing of its own has changed",)])
        rows = [
            (one.kind, one.what, *(_short(text) for text in (one.was, one.now)))
            for one in self.found
        ]
        return Table(("kind", "what", "was", "is"), rows, "what of the guest's own has changed")


def _short(text: str | None) -> str:
    if text is None:
        return "not there"
    return text if len(text) <= 120 else text[:119] + "…"


# --- the two calls -------------------------------------------------------------------------------


def take_baseline(folder: Path, runner: GuestRunner, place: Path, *, like: Path | None) -> None:
    """Write down in `place` what the guest of `folder` is now.

    `like` is the place of a baseline whose disk this guest was booted from: if its files are
    unchanged they are taken from there, and only those that answer us are read again.
    Raises EngineError.
    """
    earlier = _recorded(like) if like else {}
    known = earlier.get(("digest", "files"), "")
    facts = _look(runner, known, whole=not like)
    if like and facts.get(("digest", "files"), known) != known:  # a kept disk, by now
        facts = _look(runner, "", whole=True)
    if ("end", "") not in facts:
        raise EngineError(
            "The guest does not say what it is.",
            seen="its answer is not whole",
            do="look at serial.log in the machine's folder",
        )
    if known == facts["digest", "files"]:
        kept = {key: value for key, value in earlier.items() if key[0] in ("file", "content")}
        facts = kept | facts
    _save_kernel(folder, facts, KERNEL)
    if place != folder:
        (folder / KERNEL).rename(place / KERNEL)
    listed = [[*key, value] for key, value in facts.items()]
    (place / BASELINE).write_text(json.dumps({"program": _version(), "facts": listed}))


def is_current(place: Path) -> bool:
    """Whether there is a baseline in `place` that was taken with this program."""
    try:
        with (place / BASELINE).open() as file:
            return f'"program": "{_version()}"' in file.read(100)
    except OSError:
        return False


def find_changes(folder: Path, runner: GuestRunner, place: Path, *, contents: bool) -> Changes:
    """Compare the guest of `folder` with the baseline in `place`. Raises EngineGoneError."""
    was = _recorded(place)
    before = time.time()
    try:
        now = _look(runner, was["digest", "files"], whole=contents)
    except ValueError as err:
        return Changes((Change("answer", "to the look", "facts", str(err)),))
    after = time.time()
    if ("end", "") not in now:
        return Changes((Change("answer", "to the look", "whole", f"ends after {len(now)} facts"),))
    found = [*_differences(was, now), *_kernel_changes(folder, was, place)]
    clock = float(now.get(("clock", ""), "0")) / 1e9
    if not before - CLOCK_TOLERATED < clock < after + CLOCK_TOLERATED:
        found.append(Change("clock", "", "right", f"{clock - after:+.0f} s"))
    return Changes(tuple(found))


# --- inside --------------------------------------------------------------------------------------


def _version() -> str:
    return hashlib.sha256(INSIDE.read_bytes()).hexdigest()[:12]


def _look(runner: GuestRunner, known: str, *, whole: bool) -> Facts:
    """What the guest says of itself. Raises ValueError if that is nonsense, EngineGoneError."""
    # The entrance's child executes the interpreter anew: of what was altered in the entrance's
    # memory, or is in its environment, nothing comes along.
    argv = ["python3", "-I", "-S", "-c", INSIDE.read_text(), known, WHOLE if whole else ""]
    source = f"import os\nos.execve({INTERPRETER!r}, {argv!r}, {{}})\n"
    deadline = time.monotonic() + PATIENCE
    answer = bytearray()
    with runner.open(source, timeout=PATIENCE) as end:
        try:
            while data := end.recv(1 << 16):
                answer += data
                if len(answer) > LONGEST:
                    raise ValueError(f"more than {LONGEST} bytes")
                end.settimeout(max(deadline - time.monotonic(), 0.01))
        except OSError as err:
            raise EngineGoneError(
                "The guest does not say whether anything of its own has changed.",
                seen=f"{err} after {len(answer)} bytes in {PATIENCE:g} s",
                do="look at serial.log in the machine's folder",
            ) from err
    facts: Facts = {}
    for line in answer.splitlines():
        kind, what, value = (part.decode("unicode_escape") for part in line.split(b"\t"))
        facts[kind, what] = value
    return facts


def _recorded(place: Path) -> Facts:
    try:
        recorded = json.loads((place / BASELINE).read_text())
    except (OSError, ValueError) as err:
        raise EngineError(
            "It is not known what this micro-VM was when it was started.",
            seen=str(err),
            do="`labkit engine stop`, then start it again",
        ) from err
    return {(kind, what): value for kind, what, value in recorded["facts"]}


def _differences(was: Facts, now: Facts) -> Iterator[Change]:
    same_files = was["digest", "files"] == now.get(("digest", "files"))
    for key in sorted({**was, **now}):
        kind, what = key
        old, new = was.get(key), now.get(key)
        if kind in _ASIDE or old == new:
            continue
        if kind == "file" and same_files:  # not listed again
            continue
        if kind == "content" and None in (old, new):  # not read, or a file that is told of
            continue
        if kind == "restart" and None in (old, new):  # told of as a process
            continue
        # What containers need is loaded for them, and brings settings of its own.
        if old is None and (kind == "setting" or (kind, new) == ("module", "of the image")):
            continue
        yield Change(kind, what, old, new)


# --- from outside --------------------------------------------------------------------------------


def _ranges(facts: Facts) -> dict[str, tuple[int, int]]:
    """Where in memory the kernel's code and constants are: first byte, and bytes."""
    found: dict[str, tuple[int, int]] = {}
    if platform.machine() != "x86_64":  # another kernel's own patches look otherwise
        return found
    for (kind, what), where in facts.items():
        if kind == "address":
            first, last = (int(part, 16) for part in where.split("-"))
            found[what] = first, last - first + 1
    return found


def _save_kernel(folder: Path, facts: Facts, name: str) -> None:
    """Have QEMU write the kernel's code and constants into a file of the machine's folder."""
    saved = b""
    with monitor(folder) as qemu:
        for first, size in _ranges(facts).values():
            qemu.command("pmemsave", val=first, size=size, filename=LOOK)
            saved += (folder / LOOK).read_bytes()
    (folder / LOOK).unlink(missing_ok=True)
    (folder / name).write_bytes(saved)


def _kernel_changes(folder: Path, facts: Facts, place: Path) -> Iterator[Change]:
    was = (place / KERNEL).read_bytes()
    _save_kernel(folder, facts, LOOK)
    now = (folder / LOOK).read_bytes()
    (folder / LOOK).unlink()
    at = 0
    for what, (_, size) in _ranges(facts).items():
        one, other = was[at : at + size], now[at : at + size]
        at += size
        if places := altered(one, other, code=what == "Kernel code"):
            seen = f"{len(places)} places differ, the first at byte {places[0]}"
            yield Change("kernel", what.lower(), "as it was", seen)


def altered(was: bytes, now: bytes, *, code: bool) -> list[int]:
    """Where two states of the kernel differ, but for what it does to its own code all the time.

    A branch that is seldom taken is a no-op until it is switched on, and then a jump; a call may
    be turned to another function of the kernel's. Source: Linux, static-keys, static_call.
    """
    found = []
    at = 0
    for page in range(0, len(was), PAGE):
        if was[page : page + PAGE] == now[page : page + PAGE]:
            continue
        at, end = max(at, page), min(page + PAGE, len(was))  # a patch may cross into this page
        while at < end:
            if was[at] == now[at]:
                at += 1
                continue
            length = _own_patch(was, now, at) if code else 0
            if not length:
                found.append(at)
            at += length or 1
    return found


def _own_patch(was: bytes, now: bytes, at: int) -> int:
    """How many bytes from `at` on are one of the kernel's own patches; 0 if it is none."""
    for back in range(
        min(at + 1, 5)
    ):  # of a jump that was turned elsewhere, the first bytes are the same
        begin = at - back
        one, other = _branch(was, begin), _branch(now, begin)
        if one and one == other > back and (not back or was[begin] == now[begin]):
            return one - back
    return 0


def _branch(code: bytes, at: int) -> int:
    """The length of the no-op, jump or call that is there, if it leads to this code; or 0."""
    if code[at : at + 2] == b"\x66\x90":
        return 2
    if code[at : at + 5] == b"\x0f\x1f\x44\x00\x00":
        return 5
    length = {0xEB: 2, 0xE8: 5, 0xE9: 5}.get(code[at], 0)
    target = at + length + int.from_bytes(code[at + 1 : at + length], "little", signed=True)
    return length if length and 0 <= target < len(code) else 0
