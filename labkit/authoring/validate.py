"""What a notebook needs so that everybody can read it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nbformat import NotebookNode

LONG = 12  # lines of code in a cell; more than a reader takes in at once

_FENCED = re.compile(r"^ {0,3}(```+|~~~+).*?(^ {0,3}\1|\Z)", re.MULTILINE | re.DOTALL)
_CODE_SPAN = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
_HEADING = re.compile(r"^ {0,3}(#{1,6})\s+(.*)$", re.MULTILINE)
_IMAGE = re.compile(r"!\[([^\]]*)\](?=[(\[])|<img\b([^>]*)>", re.IGNORECASE)
_HTML_ALT = re.compile(r"""\balt\s*=\s*["']\s*[^"'\s]""", re.IGNORECASE)


@dataclass(frozen=True)
class Findings:
    """What is wrong with a notebook, and what is only long; a sentence each."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def validate(notebook: NotebookNode) -> Findings:
    """Find skipped heading levels, images without alternative text, and long code cells."""
    errors: list[str] = []
    warnings: list[str] = []
    level = 0  # of the last heading; the first one has to be of level 1
    for cell in notebook.cells:
        if cell.cell_type == "code":
            length = len(cell.source.splitlines())
            if length > LONG:
                warnings.append(f"cell {cell.id}: {length} lines of code (more than {LONG})")
            continue
        text = _CODE_SPAN.sub("", _FENCED.sub("", cell.source))
        for marks, title in _HEADING.findall(text):
            if len(marks) > level + 1:
                errors.append(
                    f"cell {cell.id}: the heading {title!r} is of level {len(marks)}, after "
                    + (f"one of level {level}" if level else "none")
                )
            level = len(marks)
        for image in _IMAGE.finditer(text):
            described = image[1].strip() if image[1] is not None else _HTML_ALT.search(image[2])
            if not described:
                errors.append(f"cell {cell.id}: the image {image[0]} has no alternative text")
    return Findings(tuple(errors), tuple(warnings))
