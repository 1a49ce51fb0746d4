"""Every error that labkit raises on purpose, in one tree under `LabError`.

An error says what happened, what was seen, and what to do. The facts are also attributes,
so that a program (a check, a batch) does not have to parse the sentence.
"""

from __future__ import annotations


class LabError(Exception):
    """Something in a lab went wrong, with what was seen and what to do about it.

    A class names its facts as attributes; whoever raises it gives those that are known.
    """

    def __init__(self, what: str, *, seen: str = "", do: str = "", **facts: object) -> None:
        for name, value in facts.items():
            if not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__} has no fact {name!r}")
            setattr(self, name, value)
        self.what = what
        self.seen = seen
        self.do = do
        super().__init__(what)  # alone: an OSError takes a second for its errno's text

    def __reduce__(self) -> tuple[object, ...]:
        # It goes from process to process whole, which Exception's own way would not do.
        return _revived, (type(self), dict(self.__dict__))

    def __str__(self) -> str:
        lines = [self.what]
        if self.seen:
            lines.append(f"  seen: {self.seen}")
        if self.do:
            lines.append(f"  do:   {self.do}")
        return "\n".join(lines)

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the message, without the stack of calls that led to it."""
        return [f"{type(self).__name__}: {self}"]


def _revived(kind: type[LabError], facts: dict[str, object]) -> LabError:
    error = kind.__new__(kind)
    error.__dict__.update(facts)
    error.args = (error.what,)
    return error


# --- the engine ------------------------------------------------------------------------------


class EngineError(LabError):
    """The engine cannot be used."""


class NoEngineError(EngineError):
    """No engine was found and none could be started."""

    tried: tuple[str, ...] = ()  # each with why it failed


class EngineGoneError(EngineError):
    """An engine that answered before does not answer any more."""


class BadSnapshotError(EngineError):
    """A micro-VM's snapshot does not load, or its guest does not live on."""


class EngineTimeoutError(EngineError):
    """The engine accepted a request and did not answer it in time."""

    timeout: float = 0.0  # seconds, as far as they are known


class NoRoomError(EngineError):
    """The engine's machine has too little memory left for one more container."""

    available: int = 0  # bytes


class EngineRefusedError(EngineError):
    """The engine understood the request and refused it."""

    status: int | None = None  # of the HTTP answer


# --- what an engine holds --------------------------------------------------------------------


class NotFoundError(LabError):
    """A container, network, volume or image of this name does not exist."""

    kind: str = ""  # container, network, volume, image, ...
    name: str = ""  # as it was asked for


class ImageNotFoundError(NotFoundError):
    """No image of this name is on the engine, and it cannot be had from a registry."""


class NameTakenError(LabError):
    """The lab already has an object of this kind and name."""

    kind: str = ""
    name: str = ""


class BadValueError(LabError, ValueError):
    """A value (a size, a name, a subnet, a port) is malformed."""

    value: object = None  # the value itself


class ContainerExitedError(LabError):
    """A container that was expected to run has ended."""

    name: str = ""  # the learner's
    exit_code: int = 0
    logs: str = ""  # the end of what it printed


class DiskFullError(LabError):
    """The engine's disk has no room."""


class ImageBuildError(LabError):
    """A lab image could not be made."""

    log: str = ""  # what the build printed, or the end of it
    step: str = ""  # the step that failed, as "[2/3] RUN make"; "" if no step was reached


class ComposeError(LabError):
    """Compose could not do what it was asked for."""

    exit_code: int = 0
    log: str = ""  # what it printed


class CommandFailedError(LabError):
    """What was typed in a shell cell ended otherwise than the cell says."""

    exit_code: int = 0


# --- time ------------------------------------------------------------------------------------


class WaitTimeoutError(LabError, TimeoutError):
    """What was waited for did not come in time."""

    timeout: float = 0.0  # seconds


class LookTimeoutError(LabError, TimeoutError):
    """What a check has to see could not be seen in time."""

    timeout: float = 0.0  # seconds


class ExecTimeoutError(LabError, TimeoutError):
    """A command run in a container did not end in time, and was killed."""

    timeout: float = 0.0  # seconds
    stdout: str = ""  # what it had printed by then


# --- the machine -----------------------------------------------------------------------------


class HostError(LabError):
    """The machine on which the engine's processes live cannot be seen."""

    errno: int | None = None  # of the kernel's refusal: errno(3)


class ProcessGoneError(HostError):
    """The process has ended."""

    pid: int | None = None


class HostPermissionError(HostError):
    """The kernel refuses to show this to the user that labkit runs as."""


class MissingToolError(LabError):
    """A program that is needed is not installed."""

    tools: tuple[str, ...] = ()  # the programs


# --- the course ------------------------------------------------------------------------------


class CourseError(LabError):
    """The course's source cannot be built, or a built notebook differs from it."""


class UnknownExerciseError(CourseError):
    """No exercise of this number is in the course."""

    exercise: str = ""
