"""What a notebook needs so that everybody can read it."""

from __future__ import annotations

import re

from nbformat import NotebookNode

_FENCED = re.compile(r"^ {0,3}(```+|~~~+).*?(^ {0,3}\1|\Z)", re.MULTILINE | re.DOTALL)
_CODE_SPAN = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
_HEADING = re.compile(r"^ {0,3}(#{1,6})\s+(.*)$", re.MULTILINE)
_IMAGE = re.compile(r"!\[([^\]]*)\](?=[(\[])|<img\b([^>]*)>", re.IGNORECASE)
_HTML_ALT = re.compile(r"""\balt\s*=\s*["']\s*[^"'\s]""", re.IGNORECASE)


def validate(notebook: NotebookNode) -> tuple[str, ...]:
    """Find skipped heading levels and images without alternative text; a sentence each."""
    errors: list[str] = []
    level = 0  # of the last heading; the first one has to be of level 1
    for cell in notebook.cells:
        if cell.cell_type == "code":
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
    return tuple(errors)
