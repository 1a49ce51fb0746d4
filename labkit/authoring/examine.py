"""`labkit course check`: what the chapters of a course lack of their anatomy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labkit.authoring import anatomy
from labkit.authoring.anatomy import Finding
from labkit.authoring.build import keep_outputs
from labkit.authoring.source import Kind, assemble, is_introduction, select


def examine(
    course_dir: Path, out_dir: Path, *, chapters: Sequence[str] | None = None
) -> dict[str, tuple[Finding, ...]]:
    """Return the findings in each chapter, by its name.

    What is drawn and printed is judged by the outputs that are stored in `out_dir`, as long as they
    are those of the text; where they are not, `drift.check` says so. Raises CourseError.
    """
    found = {}
    for chapter in select(course_dir, chapters):
        notebook = assemble(chapter, Kind.CHAPTER)
        keep_outputs(notebook, Kind.CHAPTER.path(out_dir, chapter))
        found[chapter.name] = anatomy.examine(
            notebook,
            assemble(chapter, Kind.SOLUTIONS),
            name=chapter.name,
            introduction=is_introduction(chapter),
        )
    return found
