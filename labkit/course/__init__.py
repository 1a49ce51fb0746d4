"""The course's source as text: where it is, its chapters, and the exercises in them."""

from labkit.course.chapters import Chapter, chapters, course_dir, read
from labkit.course.exercises import (
    BEGIN,
    END,
    Exercise,
    code_cells,
    exercises_of,
    parse_exercise,
    stub_message,
)

__all__ = [
    "BEGIN",
    "END",
    "Chapter",
    "Exercise",
    "chapters",
    "code_cells",
    "course_dir",
    "exercises_of",
    "parse_exercise",
    "read",
    "stub_message",
]
