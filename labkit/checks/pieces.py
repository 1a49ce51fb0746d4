"""A piece of the learner's own container: a program in a file, kept from chapter to chapter.

It sets one thing up, and then becomes the command that it was given, as nice(1) and env(1) do. So
pieces can stand in front of each other, and together they make a container.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from labkit import paths
from labkit.checks.exercise import Exercise
from labkit.errors import CourseError, LabError

FOLDER = "container"  # in the learner's work/


@dataclass(frozen=True, repr=False)
class Piece:
    """The file of one piece; any editor may write it."""

    path: Path

    def __repr__(self) -> str:
        if (text := self.read()) is None:
            return f"{self.path} is not there yet: write it"
        return f"{self.path}: {len(text.splitlines())} lines"

    def read(self) -> bytes | None:
        """The program, None where there is none. Raises LabError."""
        try:
            return self.path.read_bytes().replace(b"\r\n", b"\n")  # as an editor may end lines
        except FileNotFoundError:
            return None
        except OSError as err:
            raise self._unfit("read", err) from err

    def write(self, text: str) -> None:
        """Write it, to be run; what was there and differs is kept beside it. Raises LabError."""
        program = text.lstrip("\n").encode()
        before = self.read()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if before is not None and before != program:
                self.path.replace(self.path.with_name(f"{self.path.name}.before"))
            beside = self.path.with_name(f"{self.path.name}.new")
            beside.write_bytes(program)
            beside.chmod(0o755)
            beside.replace(self.path)
        except OSError as err:
            raise self._unfit("written", err) from err

    def _unfit(self, what: str, err: OSError) -> LabError:
        return LabError(
            f"Your piece cannot be {what}.",
            seen=str(err),
            do=f"see what stands at {self.path}, or name another folder with LABKIT_WORK",
        )


def piece_of(exercise: Exercise) -> Piece:
    """The piece that an exercise asks for. Raises CourseError where it asks for none."""
    if not exercise.piece:
        raise CourseError(
            f"The exercise {exercise.id} asks for no file.",
            seen="what is made for it is on the engine",
            do="see what stands above its cell",
        )
    return Piece(paths.work() / FOLDER / exercise.piece)
