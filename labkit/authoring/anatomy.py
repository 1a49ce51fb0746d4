"""What a machine can see of a chapter's anatomy: what is missing, and what to do about it.

Pure: a chapter's notebook and that of its solved exercises in, findings out. What only a reader
sees (is the puzzle one, is every sentence shown) is not here.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nbformat import NotebookNode

from labkit.authoring import commands
from labkit.authoring.commands import HOST, NOTEBOOK, PYTHON, Ran
from labkit.authoring.notebook import code_cells

WORDS = 2600  # at most about 2500
LINES = 10  # of Python in a cell: under about eight
SECTIONS = range(4, 8)
PREDICTIONS = range(3, 7)
REMEMBERED = 5
MOVES = ("explore", "limits", "live", "live_overlay")  # labkit.show: what a learner moves
BREAK_IT, REMEMBER, READ_NEXT = "Break it", "What to remember", "Read next:"

_ASKS = re.compile(r"\?|\b(guess|predict|choose)\b", re.IGNORECASE)
_FENCED = re.compile(r"^ {0,3}(```+|~~~+)[ \t]*(\w*)[^\n]*\n(.*?)^ {0,3}\1", re.M | re.S)
_TYPED = ("", "sh", "bash", "shell", "console")  # the languages of what is typed


@dataclass(frozen=True)
class Finding:
    """One thing that a chapter lacks; or, as advice, that it may have a reason for."""

    where: str  # "cell 02-c07", or the part that is concerned
    what: str
    do: str
    advice: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.what}: {self.do}"


@dataclass
class Section:
    """What stands below one heading of level 2, or before the first of them."""

    title: str
    cell: str  # where it begins
    text: str = ""
    code: list[NotebookNode] = field(default_factory=list)


def examine(
    chapter: NotebookNode, solutions: NotebookNode, *, name: str, introduction: bool = False
) -> tuple[Finding, ...]:
    """Return what a chapter lacks of its anatomy, in the order in which a reader meets it.

    An `introduction` shows how the course works: it may do without a repair, and with fewer
    predictions.
    """
    sections = sections_of(chapter)
    return (
        *_puzzle(sections[0], executed=executed(chapter)),
        *_length(chapter),
        *_parts(sections, name),
        *_predictions(chapter, number=name[:2], few=introduction),
        *_live(chapter),
        *_printed(chapter, sections),
        *_exercises(solutions, number=name[:2], repair=not introduction),
    )


def sections_of(notebook: NotebookNode) -> list[Section]:
    """Cut a notebook at its headings of level 2."""
    found = [Section("", notebook.cells[0].id)]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            found[-1].code.append(cell)
            continue
        before, *others = re.split(r"^## ", cell.source, flags=re.MULTILINE)
        found[-1].text += f"{before}\n"
        for other in others:
            title, _, text = other.partition("\n")
            found.append(Section(title.strip(), cell.id, text))
    return found


def executed(notebook: NotebookNode) -> bool:
    """Whether outputs are there to be judged."""
    return all(cell.execution_count for cell in code_cells(notebook))


def _puzzle(opening: Section, *, executed: bool) -> Iterator[Finding]:
    if not _ASKS.search(opening.text):
        yield Finding(f"cell {opening.cell}", "the chapter does not begin with a question",
                      "ask what the reader cannot answer yet")  # fmt: skip
    poses = [cell for cell in opening.code if commands.is_shell(cell.source) or cell.outputs]
    if executed and not poses:
        yield Finding(f"cell {opening.cell}", "no live cell poses the puzzle",
                      "let a cell print something before the first `##`")  # fmt: skip


def _length(chapter: NotebookNode) -> Iterator[Finding]:
    texts = [cell.source for cell in chapter.cells if cell.cell_type == "markdown"]
    words = sum(len(text.split()) for text in texts)
    if words > WORDS:
        yield Finding("the text", f"{words} words (at most {WORDS})",
                      "cut, or move a section to another chapter")  # fmt: skip
    for cell in code_cells(chapter):
        lines = sum(bool(line.strip()) for line in cell.source.splitlines())
        if not commands.is_shell(cell.source) and lines > LINES:
            yield Finding(f"cell {cell.id}", f"{lines} lines of Python (more than {LINES})",
                          "split it, or put the mechanism into labkit", advice=True)  # fmt: skip


def _parts(sections: list[Section], name: str) -> Iterator[Finding]:
    titles = [section.title for section in sections[1:]]
    own = [title for title in titles if title not in (BREAK_IT, REMEMBER)]
    if len(own) not in SECTIONS:
        yield Finding("the sections", f"{len(own)} beside the two at the end",
                      f"have {SECTIONS[0]} to {SECTIONS[-1]}")  # fmt: skip
    for section in sections[1:]:
        if section.title != REMEMBER and not section.code:
            yield Finding(f"cell {section.cell}", f"no cell shows what {section.title!r} says",
                          "show it by a cell, or leave it out")  # fmt: skip
    if BREAK_IT not in titles:
        yield Finding("the sections", f"no `## {BREAK_IT}`",
                      "show one thing that goes wrong, and how to recognise it")  # fmt: skip
    if f"](../exercises/{name}.ipynb)" not in "".join(section.text for section in sections):
        yield Finding("the text", "no link to the exercises",
                      f"end with one to ../exercises/{name}.ipynb")  # fmt: skip
    if titles[-1:] != [REMEMBER]:
        yield Finding("the sections", f"`## {REMEMBER}` is not the last", "end with it")
    else:
        yield from _remembered(sections[-1])


def _remembered(section: Section) -> Iterator[Finding]:
    where = f"{REMEMBER!r}"
    lines = len(re.findall(r"^\d+\. ", section.text, re.MULTILINE))
    if lines != REMEMBERED:
        yield Finding(where, f"{lines} numbered lines", f"have {REMEMBERED}")
    if commands.table(section.text) is None:
        yield Finding(where, "no table of commands",
                      "make one: | to | type | where |, with a machine in each row")  # fmt: skip
    if READ_NEXT not in section.text:
        yield Finding(where, "nothing to read next", f"end with {READ_NEXT!r}, man pages first")


def _predictions(chapter: NotebookNode, *, number: str, few: bool) -> Iterator[Finding]:
    asked: dict[str, str] = {}  # each prediction's cell
    told: Counter[str] = Counter()
    for cell in code_cells(chapter):
        where, here = f"cell {cell.id}", set[str]()
        for call in _calls(cell.source, "predict", "reveal"):
            id, which = _first(call), _name(call)
            if id is None or not re.fullmatch(rf"{number}\.[a-z]", id):
                yield Finding(where, f"`{which}` of {id or 'what is no plain text'}",
                              f'number it "{number}.a", "{number}.b", ...')  # fmt: skip
            elif which == "predict":
                if id in asked:
                    yield Finding(where, f"{id} is asked a second time", "give it another letter")
                asked[id] = cell.id
                here.add(id)
            else:
                told[id] += 1
                if told[id] > 1:
                    yield Finding(where, f"{id} is revealed a second time", "reveal it once")
                elif id not in asked:
                    yield Finding(where, f"{id} is revealed, and was not asked before",
                                  "put `predict` in a cell above")  # fmt: skip
                elif id in here:
                    yield Finding(where, f"{id} is asked and revealed in one cell",
                                  "leave the reader time: reveal it in another")  # fmt: skip
                if len(call.args) > 1 and isinstance(call.args[1], ast.Constant):
                    yield Finding(where, f"the truth of {id} is written by the author",
                                  "reveal a value that was just read")  # fmt: skip
    for id, at in asked.items():
        if id not in told:
            yield Finding(f"cell {at}", f"{id} is asked and never revealed",
                          f'reveal("{id}", VALUE) after the cell that shows it')  # fmt: skip
    if len(asked) not in PREDICTIONS and not (few and asked):
        yield Finding("the predictions", f"{len(asked)} of them",
                      "seal the three to six that surprise most")  # fmt: skip


def _live(chapter: NotebookNode) -> Iterator[Finding]:
    cells = code_cells(chapter)
    if not commands.ran(chapter):
        yield Finding("the cells", "no shell cell",
                      "let what people type be typed: `%%sh`, `%%in NAME`, `%%host`")  # fmt: skip
    if not any(list(_calls(cell.source, *MOVES)) for cell in cells):
        yield Finding("the cells", "nothing to manipulate", "use `labkit.show.explore` or `live`")
    outputs = [output for cell in cells for output in cell.outputs]
    if executed(chapter) and not any(
        kind.startswith("image/") for output in outputs for kind in output.get("data", {})
    ):
        yield Finding("the cells", "no figure", "draw one, of what this run measured")


def _printed(chapter: NotebookNode, sections: list[Section]) -> Iterator[Finding]:
    """What the chapter prints as a command and never ran, or says not where to type."""
    cells = commands.ran(chapter)
    for row in commands.table(sections[-1].text) or ():
        yield from _row(row, cells, chapter)
    programs = {"docker"} | {command[0] for cell in cells for command in cell.commands}
    for cell in chapter.cells:
        if cell.cell_type == "code":
            continue
        where = f"cell {cell.id}"
        for _, language, block in _FENCED.findall(cell.source):
            if language in _TYPED:
                first = (block.strip() or "an empty block").splitlines()[0]
                yield Finding(where, f"`{first}` stands in a block that nothing runs",
                              "make it a shell cell, which says where it is typed")  # fmt: skip
        text = _FENCED.sub("", "\n".join(
            line for line in cell.source.splitlines() if not line.startswith("|")
        ))  # fmt: skip
        for line in commands.command_lines(text, programs):
            if not commands.was_run_with_more(line, cells):
                yield Finding(where, f"`{line}` ran in no cell", "run it in one, or reword")


def _row(row: commands.Row, cells: Sequence[Ran], chapter: NotebookNode) -> Iterator[Finding]:
    where = f"the table of commands, {row.to!r}"
    places = {HOST, NOTEBOOK, PYTHON} | {cell.where for cell in cells}
    if not row.commands:
        yield Finding(where, "no command", "write it between backticks")
    if row.where not in places:
        yield Finding(where, f"it is typed {row.where or 'nowhere'!r}",
                      f"say one of {', '.join(sorted(places))}")  # fmt: skip
        return
    there = [cell for cell in cells if cell.where == row.where]
    for command in row.commands:
        if row.where == PYTHON:
            done, kind = commands.was_evaluated(command, chapter), "Python cell"
        else:
            done = commands.was_run(command, there)
            kind = {HOST: "`%%host` cell", NOTEBOOK: "`%%sh` cell"}.get(
                row.where, f"`%%in {row.where}` cell"
            )
        if not done:
            yield Finding(where, f"`{command}` ran in no {kind} as it is printed",
                          "run it in one, or print what ran")  # fmt: skip


def _exercises(solutions: NotebookNode, *, number: str, repair: bool) -> Iterator[Finding]:
    text = "\n".join(cell.source for cell in solutions.cells if cell.cell_type == "markdown")
    cells = code_cells(solutions)
    called = {
        name: [_first(call) for cell in cells for call in _calls(cell.source, name)]
        for name in ("check", "answer", "scene")
    }
    ids = [cell.metadata.exercise for cell in cells if "exercise" in cell.metadata]
    if ids != [f"{number}.{n}" for n in range(1, len(ids) + 1)] or not ids:
        yield Finding("the exercises", f"numbered {', '.join(ids) or 'not at all'}",
                      f"number them {number}.1, {number}.2, ... in order")  # fmt: skip
    for id in ids:
        if not re.search(rf"^## {re.escape(id)} \S", text, re.MULTILINE):
            yield Finding(f"exercise {id}", "no heading", f"put `## {id} TITLE` above its text")
        if id not in called["check"]:
            yield Finding(f"exercise {id}", "no cell checks it", f'end with `check("{id}")`')
    if not set(ids) & set(called["answer"]):
        yield Finding("the exercises", "none asks for a value", "let one be given by `answer`")
    if repair and not set(ids) & set(called["scene"]):
        yield Finding("the exercises", "none is a repair",
                      "set up something broken in scenes.py, and begin with `scene`")  # fmt: skip


def _calls(source: str, *names: str) -> Iterator[ast.Call]:
    """Yield the calls of these functions in a Python cell, in order."""
    tree = commands.parsed(source)
    found = [
        node
        for node in (ast.walk(tree) if tree else ())
        if isinstance(node, ast.Call) and _name(node) in names
    ]
    yield from sorted(found, key=lambda call: (call.lineno, call.col_offset))


def _name(call: ast.Call) -> str:
    return getattr(call.func, "attr", "") or getattr(call.func, "id", "")


def _first(call: ast.Call) -> str | None:
    """The first argument, where it is a text."""
    given = call.args[0] if call.args else None
    told = isinstance(given, ast.Constant) and isinstance(given.value, str)
    return str(given.value) if told and isinstance(given, ast.Constant) else None
