"""Every error that labkit raises on purpose, in one tree under `LabError`.

An error says what happened, what was seen, and what to do. The facts are also attributes,
so that a program (a check, a batch) does not have to parse the sentence.
"""

from __future__ import annotations


class LabError(Exception):
    """Something in a lab went wrong, with what was seen and what to do about it."""

    def __init__(self, what: str, *, seen: str = "", do: str = "") -> None:
        self.what = what
        self.seen = seen
        self.do = do
        super().__init__(what, seen, do)

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


# --- the engine ------------------------------------------------------------------------------


class EngineError(LabError):
    """The engine cannot be used."""


class NoEngineError(EngineError):
    """No engine was found and none could be started."""


class EngineGoneError(EngineError):
    """An engine that answered before does not answer any more."""


class EngineTimeoutError(EngineError):
    """The engine accepted a request and did not answer it in time."""


class EngineRefusedError(EngineError):
    """The engine understood the request and refused it."""


# --- what an engine holds --------------------------------------------------------------------


class NotFoundError(LabError):
    """A container, network, volume or image of this name does not exist."""


class ImageNotFoundError(NotFoundError):
    """No image of this name is on the engine, and it cannot be had from a registry."""


class NameTakenError(LabError):
    """The lab already has an object of this kind and name."""


class BadValueError(LabError, ValueError):
    """A value (a size, a name, a subnet, a port) is malformed."""


class ContainerExitedError(LabError):
    """A container that was expected to run has ended."""

    def __init__(self, what: str, *, exit_code: int, logs: str, seen: str, do: str) -> None:
        super().__init__(what, seen=seen, do=do)
        self.exit_code = exit_code
        self.logs = logs


class DiskFullError(LabError):
    """The engine's disk has no room."""


class ImageBuildError(LabError):
    """A lab image could not be made."""


# --- time ------------------------------------------------------------------------------------


class WaitTimeoutError(LabError, TimeoutError):
    """What was waited for did not come in time."""


class ExecTimeoutError(LabError, TimeoutError):
    """A command run in a container did not end in time, and was killed."""


# --- the machine -----------------------------------------------------------------------------


class HostError(LabError):
    """The machine on which the engine's processes live cannot be seen."""


class ProcessGoneError(HostError):
    """The process has ended."""


class HostPermissionError(HostError):
    """The kernel refuses to show this to the user that labkit runs as."""


class MissingToolError(LabError):
    """A program that is needed is not installed."""


# --- the course ------------------------------------------------------------------------------


class CourseError(LabError):
    """The course's source cannot be built, or a built notebook differs from it."""


class UnknownExerciseError(CourseError):
    """No exercise of this number is in the course."""
