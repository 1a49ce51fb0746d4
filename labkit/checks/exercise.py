"""An exercise: what it asks for, and the criteria that judge whether it is there."""

from __future__ import annotations

import random
import reprlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.checks.evidence import Evidence, MissingError, WrongTypeError
from labkit.checks.outcome import Finding, Outcome, Report, Result
from labkit.errors import (
    ContainerExitedError,
    EngineError,
    EngineRefusedError,
    HostError,
    ImageNotFoundError,
    LabError,
    LookTimeoutError,
    NotFoundError,
    ProcessGoneError,
)
from labkit.inspect import read_process

INFRASTRUCTURE = (EngineError, HostError, ImageNotFoundError, LookTimeoutError)
Judge = Callable[[Evidence], Finding]
Again = Callable[[Evidence], Evidence]
TRIES = 3  # looks during which something ended, before that is what was seen
LOOKS = 2  # more, at a state that passes
CALM = 0.4  # seconds over which they are spread, where nothing says otherwise
TOLD_FROM = 1.0  # seconds of waiting that the learner is told of

_HOW = {
    "container": 'make it with `lab.run(..., name="{0}")`',
    "network": 'make it with `lab.network("{0}")`',
    "image": 'make it with `lab.build("{0}", ...)`',
    "volume": 'make it with `lab.volume("{0}")`',
    "answer": 'give it with `answer("{1}", {0}=...)`',
}


@dataclass(frozen=True)
class Criterion:
    """One thing that is judged by itself and has its own points."""

    name: str
    points: int
    judge: Judge
    is_guard: bool  # earns nothing while a criterion that is none fails


class Exercise:
    """One exercise of a chapter's `checks.py`.

    `containers`, `networks`, `volumes` and `answers` name what the learner makes: while none of
    them exists, the exercise is not attempted. `hints` go from a nudge to nearly the answer.
    `vary` draws the learner's own values from a seeded generator. What passes is looked at again
    at moments within `lasts` seconds: as long as whatever could fool one look. With a `scene`
    (in the chapter's `scenes.py`) the containers are there before the learner begins. `piece` names
    the file of the learner's own container that is written, and which a trial (there, too) runs.
    """

    def __init__(
        self,
        id: str,
        title: str,
        *,
        containers: Sequence[str] = (),
        networks: Sequence[str] = (),
        volumes: Sequence[str] = (),
        images: Sequence[str] = (),
        answers: Sequence[str] = (),
        hints: Sequence[str],
        vary: Callable[[random.Random], Mapping[str, Any]] | None = None,
        lasts: float = CALM,
        scene: bool = False,
        piece: str = "",
    ) -> None:
        self.id = id
        self.title = title
        self.hints = tuple(hints)
        self.answers = tuple(answers)
        self.parts = tuple(
            (kind, name)
            for kind, names in (
                ("container", containers),
                ("network", networks),
                ("volume", volumes),
                ("image", images),
                ("answer", answers),
            )
            for name in names
        )
        self.criteria: list[Criterion] = []
        self.lasts = lasts
        self.scene = scene
        self.piece = piece
        self._vary = vary

    def criterion(
        self, name: str, *, points: int = 1, guard: bool = False
    ) -> Callable[[Judge], Judge]:
        """Declare a criterion; the function below judges it from the evidence.

        A guard ("no more rights than that") earns only together with what it guards.
        """

        def declare(judge: Judge) -> Judge:
            self.criteria.append(Criterion(name, points, judge, guard))
            return judge

        return declare

    def variant(self, student: str) -> dict[str, Any]:
        """This student's own values, the same each time."""
        return dict(self._vary(random.Random(f"{student}/{self.id}"))) if self._vary else {}

    def _how(self, kind: str, name: str) -> str:
        """How to make what is not there."""
        if self.scene and kind != "answer" and (kind, name) in self.parts:
            return f'`scene("{self.id}")` sets it up, anew if need be'
        if self.piece and (kind, name) in self.parts:
            return f'write your piece, and run `trial("{self.id}")`, which makes it'
        return _HOW[kind].format(name, self.id)

    # --- judging ---------------------------------------------------------------------------------

    def judge(
        self, evidence: Evidence, *, again: Again, on_wait: Callable[[str], object] | None = None
    ) -> Report:
        """Judge all criteria by one look, and what passes by some more, which `again` takes.

        An engine or a host that fails makes the outcome `NOT_JUDGED`. `on_wait` is told why it
        takes a moment.
        """
        try:
            return self._judged(evidence, again, on_wait)
        except INFRASTRUCTURE as err:
            nothing = Finding(False, "", "not seen")
            results = tuple(Result(c.name, c.points, nothing) for c in self.criteria)
            seen = f" Seen: {_first_line(err)}." if err.seen else ""
            advice = f"{err.what}{seen} Nothing is lost. What to do: {err.do or 'check again'}."
            return Report(self.id, self.title, Outcome.NOT_JUDGED, results, advice)

    def _judged(
        self, evidence: Evidence, again: Again, on_wait: Callable[[str], object] | None
    ) -> Report:
        if not any(evidence.has(kind, name) for kind, name in self.parts):
            kind, name = self.parts[0]
            results = tuple(
                Result(c.name, c.points, Finding(False, "", "nothing yet")) for c in self.criteria
            )
            advice = f"There is no {kind} {name!r} yet: {self._how(kind, name)}."
            return Report(self.id, self.title, Outcome.NOT_ATTEMPTED, results, advice)
        evidence, sight = self._sight(evidence, again)
        if any(s.finding.passed for s, c in zip(sight, self.criteria, strict=True)
               if not c.is_guard):  # fmt: skip
            if on_wait is not None and self.lasts >= TOLD_FROM:
                on_wait(f"It has to last: looking again for {self.lasts:g} s.")
            for pause in _pauses(self.lasts):
                time.sleep(pause)
                evidence, later = self._sight(again(evidence), again)
                sight = [_both(was, now) for was, now in zip(sight, later, strict=True)]
        main = all(s.finding.passed for s, c in zip(sight, self.criteria, strict=True)
                   if not c.is_guard)  # fmt: skip
        results = tuple(
            Result(c.name, c.points, s.finding, counts=main or not c.is_guard)
            for c, s in zip(self.criteria, sight, strict=True)
        )
        passed = all(result.finding.passed for result in results)
        return Report(self.id, self.title, Outcome.PASSED if passed else Outcome.INCORRECT, results)

    def _sight(self, evidence: Evidence, again: Again) -> tuple[Evidence, list[_Seen]]:
        """All criteria by one look; one during which something ended is taken anew."""
        for _ in range(TRIES - 1):
            try:
                return evidence, [self._seen(c, evidence) for c in self.criteria]
            except ImageNotFoundError:
                raise
            except (ProcessGoneError, NotFoundError):
                evidence = again(evidence)
        return evidence, [self._seen(c, evidence, last=True) for c in self.criteria]

    def _seen(self, criterion: Criterion, evidence: Evidence, *, last: bool = False) -> _Seen:
        evidence.touched.clear()
        try:
            finding = criterion.judge(evidence)
            # What a guard guards has been seen to be the same.
            of = _identities(evidence) if finding.passed and not criterion.is_guard else {}
            return _Seen(finding, of)
        except MissingError as err:
            how = self._how(err.kind, err.name)
            article = "an" if err.kind[0] in "ai" else "a"
            expected = f"{article} {err.kind} {err.name!r}"
            finding = Finding(False, expected, "there is none", how)
        except WrongTypeError as err:
            observed = f"your answer, {reprlib.repr(err.given)}, is {_kind(err.given)}"
            how = f'give the number itself: `answer("{self.id}", {err.name}=4242)`'
            finding = Finding(False, err.wanted, observed, how)
        except ContainerExitedError as err:
            finding = _ended(evidence, err)
        except (ProcessGoneError, NotFoundError) as err:
            if not last or isinstance(err, ImageNotFoundError):
                raise
            observed = f"it ended while it was looked at, {TRIES} times: {err.what}"
            finding = Finding(False, criterion.name, observed, "let it last, then check again")
        except EngineRefusedError as err:  # of what the learner made
            finding = Finding(False, criterion.name, f"{err.what} {_first_line(err)}", err.do)
        except INFRASTRUCTURE:
            raise
        except LabError as err:
            finding = Finding(False, criterion.name, f"{err.what} {_first_line(err)}", err.do)
        return _Seen(finding, {})


@dataclass(frozen=True)
class _Seen:
    """What one look found for a criterion, and of which processes."""

    finding: Finding
    of: Mapping[str, tuple[str, int, int]]  # container -> its id, pid and start time


def _both(was: _Seen, now: _Seen) -> _Seen:
    """Passed only if it is so both times, of the same processes."""
    if not was.finding.passed:
        return was
    if now.finding.passed and was.of != now.of:
        changed = sorted(n for n in was.of.keys() | now.of.keys() if was.of.get(n) != now.of.get(n))
        return _Seen(
            Finding(
                False,
                f"{now.finding.expected}, and so it stays",
                f"{', '.join(changed)} was started again between two looks",
                "let it run on; what is asked for must last",
            ),
            {},
        )
    return now


def _ended(evidence: Evidence, err: ContainerExitedError) -> Finding:
    """A container that ought to run, and what has become of it."""
    try:
        condition = evidence.container(err.name).condition()
    except (LabError, LookupError):  # it was removed meanwhile
        return Finding(False, f"{err.name} is running", err.what, err.do)
    seen = f"{err.name}: {condition.told}"
    return Finding(False, f"{err.name} is running", seen, condition.advice)


def _identities(evidence: Evidence) -> dict[str, tuple[str, int, int]]:
    """The first processes of the containers that were looked at."""
    found = {}
    for name in evidence.touched:
        container = evidence.container(name)
        if pid := int(container.inspect()["State"]["Pid"] or 0):
            found[name] = (container.id, pid, read_process(evidence.host, pid).start_time)
    return found


def _pauses(lasts: float) -> list[float]:
    """Seconds before each further look: nobody can guess them."""
    draw = secrets.SystemRandom()
    last = draw.uniform(0.7, 1) * lasts
    moments = [*sorted(draw.uniform(0, last) for _ in range(LOOKS - 1)), last]
    return [end - begin for begin, end in zip([0.0, *moments], moments, strict=False)]


def _first_line(err: LabError) -> str:
    return err.seen.splitlines()[0] if err.seen else ""


def _kind(given: object) -> str:
    names = {bool: "True or False", str: "a text", list: "a list", dict: "a table",
             float: "no whole number", type(None): "nothing"}  # fmt: skip
    return names.get(type(given), "of another kind")
