"""`labkit course open`: the course laid out for a learner to work in, outputs cleared.

What was built holds every output, and with it the answer to every prediction. A learner works in a
copy. What is the learner's there is told from what is not by the cells: a copy that has only been
run, or to which blank cells were added, is as it was laid out.

A notebook is read as the JSON that it is: loading nbformat would take longer than all the rest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.errors import CourseError
from labkit.lock import locked
from labkit.paths import LAID_OUT

FOLDERS = ("notebooks", "exercises")
NOTES = LAID_OUT  # of each notebook, all that were ever laid out, by their cells
TIMEOUT = 60.0  # seconds: another may be laying it out


@dataclass
class Laid:
    """What was done in the learner's folder, by notebook, as "exercises/02_namespaces.ipynb"."""

    new: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)  # it was untouched, and the course has changed
    kept: list[str] = field(default_factory=list)  # the learner changed it, and so did the course
    removed: list[str] = field(default_factory=list)  # untouched, and no more in the course
    left: list[str] = field(default_factory=list)  # changed, and no more in the course


def lay_out(built: Path, work: Path) -> Laid:
    """Lay out the built notebooks of `built` in `work`, or bring what is there up to date.

    A learner's changes are never lost. A notebook that was deleted is laid out again. Raises
    CourseError where nothing was built, or `work` cannot be written.
    """
    fresh = {
        f"{folder}/{path.name}": path
        for folder in FOLDERS
        for path in sorted((built / folder).glob("*.ipynb"))
    }
    if not fresh:
        raise CourseError(
            f"There is no notebook to lay out in {built.absolute()}.",
            seen="nothing in notebooks/ or exercises/",
            do="name the folder of the course with --root, or run `labkit course build` there",
        )
    with _writing(work), locked(work / ".lock", timeout=TIMEOUT):
        if not (work / ".gitignore").exists():  # else somebody keeps more than the course there
            (work / ".gitignore").write_text("*\n")
        notes = _Notes(work / NOTES)
        laid = Laid()
        for name, source in fresh.items():
            _lay(source, work / name, name, notes, laid)
        for name in sorted(set(notes.known) - set(fresh)):
            _retire(work / name, name, notes, laid)
        return laid


class _Notes:
    """What was ever laid out, so that an old copy is known for one that nobody has touched."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Without them, or where they are spoiled, every copy counts as changed: nothing is lost.
        self.known: dict[str, list[str]] = {}
        with suppress(FileNotFoundError, ValueError, AttributeError, TypeError):
            said = json.loads(path.read_text()).items()
            self.known = {name: [*map(str, cells)] for name, cells in said}

    def add(self, name: str, cells: str) -> None:
        """Before it is laid out: whoever is interrupted between knows his own."""
        if cells not in self.known.setdefault(name, []):
            self.known[name].append(cells)
            self._save()

    def drop(self, name: str) -> None:
        del self.known[name]
        self._save()

    def _save(self) -> None:
        _save(json.dumps(self.known, indent=1), self._path)


def _lay(source: Path, place: Path, name: str, notes: _Notes, laid: Laid) -> None:
    notebook = json.loads(source.read_text(encoding="utf-8"))
    wanted = _cells(notebook)
    if place.exists():
        there = _cells_of(place)
        if there == wanted:
            notes.add(name, wanted)  # a copy made by hand
            return
        if there not in notes.known.get(name, ()):
            if wanted not in notes.known.get(name, ()):  # else only the learner's is new
                laid.kept.append(name)
            return
        laid.updated.append(name)
    else:
        laid.new.append(name)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    notes.add(name, wanted)
    _save(json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True), place)


def _retire(place: Path, name: str, notes: _Notes, laid: Laid) -> None:
    """The course has it no more, or by another name."""
    if not place.exists():
        notes.drop(name)
    elif _cells_of(place) in notes.known[name]:
        place.unlink()
        notes.drop(name)
        laid.removed.append(name)
    else:
        laid.left.append(name)


def _cells(notebook: dict[str, Any]) -> str:
    # The text of a cell is stored as one, or as its lines.
    said = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]
    kept = [one for one in said if one[1].strip()]
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()


def _cells_of(place: Path) -> str:
    """Those of a copy; one that is no notebook any more is the learner's."""
    try:
        return _cells(json.loads(place.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError):
        return ""


def _save(text: str, place: Path) -> None:
    """Whole: whoever is interrupted leaves what was there."""
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.with_name(f"{place.name}.new")
    beside.write_text(f"{text}\n", encoding="utf-8")
    beside.replace(place)


@contextmanager
def _writing(work: Path) -> Iterator[None]:
    try:
        work.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as err:
        raise CourseError(
            f"The course cannot be laid out in {work.absolute()}.",
            seen=str(err),
            do="make room there, or name another folder: `labkit course open DIR`",
        ) from err
