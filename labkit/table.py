"""A table that reads well in a terminal, in a notebook and in Markdown."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows of cells under column names; `caption` says what the table shows."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""

    def __repr__(self) -> str:
        lines = [[str(cell) for cell in row] for row in (self.columns, *self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        padded = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        padded.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join([self.caption, *padded] if self.caption else padded)

    def _repr_markdown_(self) -> str:
        def line(cells: Sequence[object]) -> str:
            return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

        head = [line(self.columns), line(["---"] * len(self.columns))]
        table = "\n".join([*head, *map(line, self.rows)])
        return f"**{self.caption}**\n\n{table}" if self.caption else table

    def _repr_html_(self) -> str:
        def line(cells: Sequence[object], tag: str) -> str:
            style = ' style="text-align:left"'
            return "".join(f"<{tag}{style}>{html.escape(str(cell))}</{tag}>" for cell in cells)

        caption = f"<caption>{html.escape(self.caption)}</caption>" if self.caption else ""
        body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in self.rows)
        head = f"<thead><tr>{line(self.columns, 'th')}</tr></thead>"
        return f"<table>{caption}{head}<tbody>{body}</tbody></table>"


class Tabular:
    """What is shown as a table: a class of this kind only says which."""

    def table(self) -> Table:
        """The table that shows it."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return repr(self.table())

    def _repr_markdown_(self) -> str:
        return self.table()._repr_markdown_()

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()
