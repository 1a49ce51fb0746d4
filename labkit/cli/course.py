"""`labkit course`: the notebooks, from the course's text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from labkit.course import course_dir

app = typer.Typer(help="The course's notebooks, made from its text.", no_args_is_help=True)
Only = Annotated[list[str] | None, typer.Option("--only", help="a chapter's number, as 02")]
Root = Annotated[Path, typer.Option("--root", help="where notebooks/ and the others are")]


@app.command("open")
def open_(
    folder: Annotated[Path, typer.Argument(help="where a learner works")] = Path("work"),
    root: Annotated[
        Path | None, typer.Option(help="where notebooks/ and exercises/ are; else this checkout's")
    ] = None,
) -> None:
    """Lay out the course to work in, without its outputs; what you changed there stays."""
    from labkit.authoring.learners_copy import lay_out

    laid = lay_out(root or course_dir().parent, folder)
    said = {
        "new": laid.new,
        "brought up to date": laid.updated,
        "yours is kept, and the course has changed: rename yours to get the new one": laid.kept,
        "removed, for the course has it no more": laid.removed,
        "yours is kept, and the course has it no more": laid.left,
    }
    for what, names in said.items():
        for name in names:
            typer.echo(f"{folder / name}: {what}")
    typer.echo(f"the course is laid out in {folder}/: begin with notebooks/00_start_here.ipynb")


@app.command()
def build(
    only: Only = None,
    root: Root = Path(),
    execute: Annotated[bool, typer.Option(help="run the notebooks and store outputs")] = True,
) -> None:
    """Make notebooks/, exercises/ and solutions/ from course/."""
    from labkit.authoring.build import build as make
    from labkit.authoring.progress import shown

    with shown() as on_progress:
        made = make(course_dir(), root, chapters=only, execute=execute, on_progress=on_progress)
    typer.echo(f"{len(made)} notebooks are up to date")


@app.command()
def check(only: Only = None, root: Root = Path()) -> None:
    """Fail if a chapter lacks a part, or a notebook is not what course/ makes; runs nothing."""
    from labkit.authoring.drift import check as compare
    from labkit.authoring.examine import examine

    missing = 0
    for chapter, findings in examine(course_dir(), root, chapters=only).items():
        for finding in findings:
            missing += not finding.advice
            typer.echo(f"{'advice: ' * finding.advice}{chapter}, {finding}", err=True)
    compare(course_dir(), root, chapters=only)
    if missing:
        raise typer.Exit(1)
    typer.echo("the notebooks are what course/ makes, and no chapter lacks a part")


@app.command()
def coverage(only: Only = None, root: Root = Path()) -> None:
    """Show how much of the subject the course runs or shows, and what is missing.

    Fails where a chapter that is in the course lacks something. What a chapter still to come must
    show is listed by --only.
    """
    from rich.console import Console
    from rich.table import Table

    from labkit.authoring.coverage import coverage as look

    found, console = look(course_dir(), root, chapters=only), Console()
    missing = [row for row in found.rows if row.id in found.faults]
    counted = [(row.chapter, row.id not in found.faults) for row in found.rows]
    table = Table("chapter", "shown", "of", box=None)
    for number in sorted({row.chapter for row in found.rows}):
        chapter, mine = found.landed.get(number), [ok for at, ok in counted if at == number]
        name = chapter.name if chapter else f"{number} is not in the course"
        table.add_row(name, str(sum(mine)), str(len(mine)))
    table.add_row("all", str(sum(ok for _, ok in counted)), str(len(counted)))
    console.print(table)
    for row in missing if only else found.broken:
        told = f"{row.id}, {row.chapter}, {row.kind}: {row.item}\n      {found.faults[row.id]}"
        console.print(told, markup=False, highlight=False, soft_wrap=True)
    if found.broken:
        raise typer.Exit(1)


@app.command()
def run(
    only: Only = None,
    root: Root = Path(),
    output: Annotated[Path, typer.Option(help="where the executed copies go")] = Path("build/run"),
) -> None:
    """Execute every notebook; solved ones must run through, and exercises up to their stubs."""
    from labkit.authoring.progress import shown
    from labkit.authoring.run import run as execute

    with shown() as on_progress:
        made = execute(root, output, chapters=only, on_progress=on_progress)
    typer.echo(f"{len(made)} notebooks ran as they should; copies are in {output}")


@app.command()
def attempt(
    exercise: Annotated[str, typer.Argument(help="an exercise's number, as 02.4")],
    only: Annotated[str | None, typer.Option("--only", help="the name of one attempt")] = None,
) -> None:
    """Make every attempt at an exercise, right and wrong, and show how each is judged."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import track
    from rich.table import Table

    from labkit.authoring.attempts import attempts_of, tried
    from labkit.checks.catalog import find
    from labkit.course import chapters

    find(exercise)
    chapter = next(c for c in chapters(course_dir()) if c.number == exercise.partition(".")[0])
    mine = [
        one
        for one in attempts_of(chapter.path)
        if one.exercise == exercise and only in (None, one.name)
    ]
    table, wrong, console = Table("attempt", "must", "outcome", "what was seen"), 0, Console()
    for one in track(mine, description=exercise, console=console, transient=True):
        report = tried(one)
        verdict = one.verdict(report)
        wrong += bool(verdict)
        seen = [
            f"✗ {r.criterion}: {r.finding.observed} → {r.finding.hint}"
            for r in report.results
            if not r.finding.passed
        ]
        table.add_row(
            f"{'✗' if verdict else '✓'} {one.name}",
            "fail" if one.fails else "pass",
            f"{report.outcome}, {report.earned} of {report.possible}",
            escape("\n".join([*seen, report.advice, f"but: {verdict}" if verdict else ""]).strip()),
            end_section=True,
        )
    console.print(table)
    if wrong:
        raise typer.Exit(1)
