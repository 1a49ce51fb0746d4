"""The commands that a chapter runs, and those that its text prints: each has to be among the first.

Pure: cells and Markdown in, words out.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nbformat import NotebookNode

from labkit.authoring.notebook import code_cells

LEFT_OUT = "..."
HOST, NOTEBOOK, PYTHON = "host", "notebook", "Python"  # where a command may be typed; or NAME

Words = tuple[str, ...]

_MAGIC = re.compile(r"%%(sh|bash|in|host)\b[ \t]*(.*)")
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_SEPARATES = re.compile(r"[;&|()]+")
_REDIRECTS = re.compile(r"[&]?[<>]+[&]?")
_KEYWORDS = {"do", "then", "else", "elif", "if", "while", "until", "!", "{", "time"}
_VERBED = {"docker", "kubectl", "ip", "git"}  # whose first argument is a part of their name
_STANDS_FOR = re.compile(r"[A-Z][A-Z_]+")


@dataclass(frozen=True)
class Ran:
    """The commands of one shell cell."""

    where: str  # "host", "notebook", or the name of the container in which it is typed
    commands: tuple[Words, ...]


def is_shell(source: str) -> bool:
    """Whether a cell is typed into a shell."""
    return bool(_MAGIC.match(source))


def shell(source: str) -> Ran | None:
    """Return what a shell cell runs, and where; None for a cell of Python."""
    first, _, script = source.partition("\n")
    magic = _MAGIC.fullmatch(first.strip())
    if magic is None:
        return None
    kind, arguments = magic[1], [one for one in magic[2].split() if not one.startswith("-")]
    where = {"host": HOST, "in": arguments[0] if arguments else "?"}.get(kind, NOTEBOOK)
    return Ran(where, tuple(simple_commands(script)))


def ran(notebook: NotebookNode) -> tuple[Ran, ...]:
    """Return what each shell cell of a notebook runs, in order."""
    return tuple(found for cell in code_cells(notebook) if (found := shell(cell.source)))


def simple_commands(script: str) -> Iterator[Words]:
    """Yield the commands of a shell's script, each as its words, without redirections.

    What another shell is given as an argument stays a word: it is typed elsewhere.
    """
    pending = ""
    for line in script.replace("\\\n", " ").splitlines():
        if not pending and line.lstrip().startswith("#"):
            continue
        pending += f"{line}\n"
        lexer = shlex.shlex(pending, posix=True, punctuation_chars=True)
        lexer.commenters, lexer.whitespace_split = "", True
        try:
            tokens = list(lexer)
        except ValueError:  # a quotation that goes on in the next line
            continue
        pending = ""
        yield from _split(tokens)


def _split(tokens: Sequence[str]) -> Iterator[Words]:
    words: list[str] = []
    rest = iter([*tokens, ";"])
    for token in rest:
        if _REDIRECTS.fullmatch(token):
            if words and words[-1].isdigit():  # 2>/dev/null
                words.pop()
            next(rest, None)
        elif _SEPARATES.fullmatch(token):
            while words and (words[0] in _KEYWORDS or re.match(r"\w+=", words[0])):
                words.pop(0)
            if words:
                yield tuple(words)
            words = []
        else:
            words.append(token)


@dataclass(frozen=True)
class Row:
    """A row of the table of commands."""

    to: str  # what it is for
    commands: tuple[str, ...]  # as printed
    where: str  # the machine on which they are typed, as the row says it; or nothing


def table(markdown: str) -> tuple[Row, ...] | None:
    """Return the rows of the first table that has the columns to, type and where; else None."""
    lines = [line.strip() for line in markdown.splitlines()]
    for number, line in enumerate(lines):
        heads = _cells(line)
        if {"to", "type", "where"} <= set(heads):
            rows = [_cells(row) for row in _until_it_ends(lines[number + 2 :])]
            named = [dict(zip(heads, row, strict=False)) for row in rows]
            return tuple(
                Row(
                    row.get("to", ""),
                    tuple(_SPAN.findall(row.get("type", ""))),
                    row.get("where", "").strip("`"),
                )
                for row in named
            )
    return None


def _cells(line: str) -> list[str]:
    if not line.startswith("|"):
        return []
    cells = re.split(r"(?<!\\)\|", line.strip("|"))
    return [cell.strip().replace("\\|", "|") for cell in cells]


def _until_it_ends(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        if not line.startswith("|"):
            return
        yield line


def command_lines(markdown: str, programs: set[str]) -> Iterator[str]:
    """Yield the commands in running text: `PROGRAM ARGUMENT...`, of a program among `programs`."""
    for span in _SPAN.findall(" ".join(markdown.split())):
        words = span.split()
        named = 2 if words[0] in _VERBED else 1
        if len(words) > named and words[0] in programs:
            yield span


def was_run(printed: str, cells: Sequence[Ran]) -> bool:
    """Whether one of the cells ran this as it is printed: the same commands, one after another.

    `...` stands for words that are left out, and is how a long command is printed.
    """
    wanted = list(simple_commands(printed))
    return any(
        all(map(_same, wanted, cell.commands[start : start + len(wanted)]))
        for cell in cells
        for start in range(len(cell.commands) - len(wanted) + 1)
    )


def _same(wanted: Words, words: Words) -> bool:
    if not wanted or not words:
        return wanted == words or wanted == (LEFT_OUT,)
    if wanted[0] == LEFT_OUT:
        return _same(wanted[1:], words) or _same(wanted, words[1:])
    return wanted[0] == words[0] and _same(wanted[1:], words[1:])


def was_run_with_more(printed: str, cells: Sequence[Ran]) -> bool:
    """Whether a command had these words in this order; a word in capitals stands for any."""
    wanted = [word for one in simple_commands(printed) for word in one]
    return any(_in_order(wanted, command) for cell in cells for command in cell.commands)


def _in_order(wanted: Sequence[str], words: Words) -> bool:
    rest = iter(words)
    return all(any(want == word or _STANDS_FOR.fullmatch(want) for word in rest) for want in wanted)


def parsed(source: str) -> ast.Module | None:
    """Return a Python cell's syntax tree, or None for a cell that is no plain Python."""
    try:
        return ast.parse(source)
    except SyntaxError:
        return None


def was_evaluated(printed: str, notebook: NotebookNode) -> bool:
    """Whether a Python cell has this expression in it, however it is laid out."""
    try:
        wanted = ast.dump(ast.parse(printed, mode="eval").body)
    except SyntaxError:
        return False
    trees = (parsed(cell.source) for cell in code_cells(notebook))
    return any(ast.dump(node) == wanted for tree in trees if tree for node in ast.walk(tree))
