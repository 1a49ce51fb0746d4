"""Where the course's source is, and its chapters: one folder each."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from labkit.errors import CourseError

_FOLDER = re.compile(r"(?P<number>\d\d)_(?P<topic>[a-z0-9_]+)")


@dataclass(frozen=True)
class Chapter:
    """One folder of the course, such as `course/02_namespaces`."""

    number: str  # two digits: "02"
    topic: str  # "namespaces"
    path: Path

    @property
    def name(self) -> str:
        """The name of the folder and of the notebooks made from it: "02_namespaces"."""
        return f"{self.number}_{self.topic}"


def course_dir() -> Path:
    """Return the folder of the course's source: `LABKIT_COURSE`, the checkout's, or the wheel's.

    Raises CourseError when there is none.
    """
    named = os.environ.get("LABKIT_COURSE")
    package = Path(__file__).resolve().parents[1]
    places = [Path(named)] if named else [package.parent / "course", package / "_course"]
    for place in places:
        if place.is_dir():
            return place
    raise CourseError(
        "The course's source was not found.",
        seen="no folder at " + ", ".join(str(place) for place in places),
        do="set LABKIT_COURSE to the folder that holds 00_start_here and the other chapters",
    )


def chapters(course: Path) -> tuple[Chapter, ...]:
    """Return the chapters in a course folder, in order.

    Raises CourseError when there is none, or two have one number.
    """
    found: dict[str, Chapter] = {}
    for folder in sorted(path for path in course.glob("*") if path.is_dir()):
        match = _FOLDER.fullmatch(folder.name)
        if match is None:
            continue
        chapter = Chapter(match["number"], match["topic"], folder)
        if chapter.number in found:
            raise CourseError(
                f"Two chapters have the number {chapter.number}.",
                seen=f"{found[chapter.number].name} and {chapter.name}",
                do="give one of the folders another number",
            )
        found[chapter.number] = chapter
    if not found:
        raise CourseError(
            f"No chapter is in {course}.",
            seen="no folder named like 02_namespaces",
            do="give the folder that holds the chapters",
        )
    return tuple(found.values())


def read(path: Path) -> str:
    """Return the text of a source file, or raise CourseError if it is not there."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as err:
        raise CourseError(
            f"The chapter {path.parent.name} has no {path.name}.",
            seen=f"no file at {path}",
            do="write it: py:percent text, as in the other chapters",
        ) from err
