"""A small chapter that has every part, and the same with one part taken away."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jupytext  # type: ignore[import-untyped]  # it ships no types
import nbformat
import pytest
from nbformat import NotebookNode
from typer.testing import CliRunner

from labkit.authoring.anatomy import LINES, WORDS, Finding, examine
from labkit.authoring.commands import command_lines, simple_commands, table, was_run_with_more
from labkit.authoring.commands import ran as ran_in
from labkit.authoring.notebook import code_cells, new_notebook
from labkit.authoring.source import TEXT
from labkit.cli import app

v4: Any = nbformat.v4

CHAPTER = """\
# %% [markdown]
# # 07 Small
#
# Who answers? Guess, then run the cell.

# %% language="sh"
# docker run -d --name web labkit/base
# docker ps --size >/dev/null

# %% [markdown]
# ## One

# %%
predict("07.a", "How many?", [1, 2])

# %% language="in" magic_args="web --fails"
# hostname
# for n in 1 2; do
#     ip address
# done

# %%
reveal("07.a", len(lab.containers()))

# %% [markdown]
# ## Two

# %%
labkit.show.explore(look, at=[1, 2])
predict("07.b", "Which?", [1, 2])

# %% language="host"
# lsns --task $web
# echo "and $(hostname)" | wc -c

# %%
reveal("07.b", web.pid)

# %% [markdown]
# ## Three

# %%
predict("07.c", "Which?", [1, 2])

# %%
labkit.show.bars({"a": 1})

# %% [markdown]
# ## Four
#
# As `docker run -d` did, and `hostname` says; `lsns --task NUMBER` is for any.

# %%
reveal("07.c", web.pid)

# %% [markdown]
# ## Break it

# %% language="sh"
# docker restart web

# %% [markdown]
# Your turn: [exercises/07_small.ipynb](../exercises/07_small.ipynb).
#
# ## What to remember
#
# 1. One.
# 2. Two.
# 3. Three.
# 4. Four.
# 5. Five.
#
# | to | type | where |
# |---|---|---|
# | start | `docker run ... labkit/base` | notebook |
# | see | `docker ps --size`, `docker restart web` | notebook |
# | look | `lsns --task $web` | host |
# | look inside | `ip address` | `web` |
# | count | `lab.containers( )` | Python |
#
# Read next: `man 7 namespaces`.
"""
SOLUTIONS = """\
# %% [markdown]
# # 07 Small: exercises
#
# ## 07.1 A value

# %% exercise="07.1"
answer("07.1", pid=1)

# %%
check("07.1")

# %% [markdown]
# ## 07.2 A repair

# %%
scene("07.2")

# %% exercise="07.2"
web.restart()

# %%
check("07.2")
"""


def notebook(text: str, *, executed: bool = True) -> NotebookNode:
    made = new_notebook(jupytext.reads(text, fmt=TEXT).cells, prefix="07-c")
    for count, cell in enumerate(code_cells(made), start=1):
        cell.execution_count = count if executed else None
        if executed and "show.bars" in cell.source:
            data = {"image/png": "", "text/plain": "a chart"}
            cell.outputs = [v4.new_output("display_data", data=data)]
    return made


def findings(chapter: str = CHAPTER, solutions: str = SOLUTIONS) -> list[str]:
    return list(map(str, examine(notebook(chapter), notebook(solutions), name="07_small")))


def without(text: str, part: str, instead: str = "") -> str:
    assert text.count(part) == 1, part
    return text.replace(part, instead)


def test_a_whole_chapter_lacks_nothing() -> None:
    assert findings() == []


@pytest.mark.parametrize(
    ("part", "instead", "told"),
    [
        ("Who answers? Guess", "Nobody answers. Wait", "cell 07-c01: the chapter does not begin"),
        ('language="sh"\n# docker run -d --name web labkit/base\n# docker ps --size >/dev/null\n'
         '\n# %% [markdown]\n# ## One\n', '[markdown]\n# ## One\n\n# %% language="sh"\n'
         "# docker run -d --name web labkit/base\n# docker ps --size\n",
         "cell 07-c01: no live cell poses the puzzle"),
        ("# 1. One.", f"# 1. {'One ' * WORDS}.", "the text: 27"),
        ("# %% [markdown]\n# ## Three\n\n", "", "the sections: 3 beside the two"),
        ('# %% language="sh"\n# docker restart web\n\n', "", "cell 07-c16: no cell shows what 'Br"),
        ("## Break it", "## Mend it", "the sections: no `## Break it`"),
        ("](../exercises/07_small", "](exercises/07_small", "the text: no link to the exercises"),
        ("## What to remember", "## Summary", "the sections: `## What to remember` is not"),
        ("# 5. Five.\n", "", "'What to remember': 4 numbered lines"),
        ("# | to | type | where |", "# | to | type |", "'What to remember': no table of commands"),
        ("# Read next:", "# See", "'What to remember': nothing to read next"),
        ('predict("07.b"', 'predict("7.b"', "cell 07-c08: `predict` of 7.b"),
        ('predict("07.b"', "predict(one", "cell 07-c08: `predict` of what is no plain text"),
        ('predict("07.c"', 'predict("07.b"', "cell 07-c12: 07.b is asked a second time"),
        ('reveal("07.c"', 'reveal("07.b"', "cell 07-c15: 07.b is revealed a second time"),
        ('reveal("07.a", len(lab.containers()))', "lab.containers()",
         "cell 07-c04: 07.a is asked and never revealed"),
        ('"Which?", [1, 2])\n\n# %% language="host"',
         '"Which?", [1, 2])\nreveal("07.b", web.pid)\n\n# %% language="host"',
         "cell 07-c08: 07.b is asked and revealed in one cell"),
        ('reveal("07.c", web.pid)', 'reveal("07.c", 2)', "cell 07-c15: the truth of 07.c is wri"),
        ("explore", "table", "the cells: nothing to manipulate"),
        ("show.bars", "bars", "the cells: no figure"),
        ("--task NUMBER", "--all NUMBER", "cell 07-c14: `lsns --all NUMBER` ran in no cell"),
        ("# ## Four\n#\n", "# ## Four\n#\n# ```sh\n# docker stop web\n# ```\n#\n",
         "cell 07-c14: `docker stop web` stands in a block that nothing runs"),
        ("`ip address` | `web`", "`ip address` | as root",
         "the table of commands, 'look inside': it is typed 'as root'"),
        ("`ip address` | `web`", "`ip address` | host",
         "the table of commands, 'look inside': `ip address` ran in no `%%host` cell"),
        ("`ip address` | `web`", "`ip addr` | `web`",
         "the table of commands, 'look inside': `ip addr` ran in no `%%in web` cell"),
        ("`docker ps --size`, ", "`docker ps`, ",
         "the table of commands, 'see': `docker ps` ran in no `%%sh` cell"),
        ("`lab.containers( )`", "`lab.networks()`",
         "the table of commands, 'count': `lab.networks()` ran in no Python cell"),
        ("`lsns --task $web` | host", "see above | host", "the table of commands, 'look': no comm"),
    ],
    ids=lambda text: text[:24],
)  # fmt: skip
def test_what_a_chapter_lacks_is_named(part: str, instead: str, told: str) -> None:
    found = findings(without(CHAPTER, part, instead))
    assert any(one.startswith(told) for one in found), found
    assert len(found) <= 3, found  # what is gone may be missed in more places than one


def test_two_predictions_are_few_and_an_introduction_may_have_them() -> None:
    text = without(without(CHAPTER, 'predict("07.c", "Which?", [1, 2])', "1"),
                   'reveal("07.c", web.pid)', "1")  # fmt: skip
    told = ("the predictions: 2 of them: seal the three to six that surprise most",)
    assert tuple(findings(text)) == told
    no_repair = without(SOLUTIONS, 'scene("07.2")', "web")
    ours = notebook(text), notebook(no_repair)
    assert examine(*ours, name="07_small", introduction=True) == ()


def test_without_shell_cells() -> None:
    text = "\n".join(
        line for line in CHAPTER.splitlines() if "magic_args" not in line and "| `" not in line
    ).replace(' language="sh"', "").replace(' language="host"', "")  # fmt: skip
    assert "the cells: no shell cell" in "\n".join(findings(text))


def test_a_long_cell_is_advice() -> None:
    text = without(CHAPTER, 'reveal("07.c"', "a = 1\n" * LINES + 'reveal("07.c"')
    (found,) = examine(notebook(text), notebook(SOLUTIONS), name="07_small")
    assert found.advice
    assert str(found).startswith(f"cell 07-c15: {LINES + 1} lines of Python (more than {LINES})")


def test_what_was_not_executed_yet_lacks_no_output() -> None:
    text = without(CHAPTER, "show.bars", "bars").replace('language="sh"', "", 1)
    text = text.replace("# docker run -d --name web labkit/base\n# docker ps --size >", "1  # >")
    found = examine(notebook(text, executed=False), notebook(SOLUTIONS), name="07_small")
    told = "\n".join(map(str, found))
    assert "no figure" not in told
    assert "no live cell" not in told


@pytest.mark.parametrize(
    ("part", "instead", "told"),
    [
        ('exercise="07.2"', 'exercise="07.3"', "the exercises: numbered 07.1, 07.3"),
        ("## 07.1 A value", "## A value", "exercise 07.1: no heading"),
        ('check("07.1")', "1", "exercise 07.1: no cell checks it"),
        ('answer("07.1", pid=1)', "1", "the exercises: none asks for a value"),
        ('scene("07.2")', "1", "the exercises: none is a repair"),
    ],
)
def test_what_the_exercises_lack_is_named(part: str, instead: str, told: str) -> None:
    found = findings(solutions=without(SOLUTIONS, part, instead))
    assert found[0].startswith(told), found


def test_a_finding_says_where_what_and_what_to_do() -> None:
    assert str(Finding("cell 07-c01", "no title", "give it one")) == (
        "cell 07-c01: no title: give it one"
    )


def test_commands_of_a_script() -> None:
    script = """\
# a comment
ask='echo "I am $$"; true'
unshare --pid --fork sh -c "$ask" 2>/dev/null
docker run \\
    --rm labkit/base true && echo "took $(date +%s)" | wc -c
sh -c 'one
two'
if test -e /x; then ls /x >/y; fi
"""
    assert list(simple_commands(script)) == [
        ("unshare", "--pid", "--fork", "sh", "-c", "$ask"),
        ("docker", "run", "--rm", "labkit/base", "true"),
        ("echo", "took $(date +%s)"),
        ("wc", "-c"),
        ("sh", "-c", "one\ntwo"),
        ("test", "-e", "/x"),
        ("ls", "/x"),
        ("fi",),
    ]


def test_a_table_and_the_commands_of_a_text() -> None:
    rows = table("text\n\n| where | to | type |\n|---|---|---|\n| host | a | `x \\| y`, `z` |\n")
    assert rows is not None
    assert [(row.to, row.commands, row.where) for row in rows] == [("a", ("x | y", "z"), "host")]
    assert table("| to | see |\n|---|---|\n| a | `x` |") is None
    text = "`docker run` and `docker run\n-d`; `x`, `x y`, and `` x `z` ``"
    assert list(command_lines(text, {"docker", "x"})) == ["docker run -d", "x y"]
    cells = ran_in(notebook(CHAPTER))
    assert was_run_with_more("docker run --name web", cells)
    assert not was_run_with_more("docker run web --name", cells)


def test_the_command_line_tells_it_and_fails(tmp_path: Path) -> None:
    folder = tmp_path / "course" / "07_small"
    folder.mkdir(parents=True)
    (folder / "chapter.py").write_text(without(CHAPTER, "# Read next:", "# See"))
    (folder / "exercises.py").write_text(
        re.sub(r"^(answer.*|web.*)$", r"### BEGIN SOLUTION\n\1\n### END SOLUTION", SOLUTIONS,
               flags=re.MULTILINE)
    )  # fmt: skip
    done = CliRunner().invoke(
        app, ["course", "check", "--root", str(tmp_path)], env={"LABKIT_COURSE": f"{folder.parent}"}
    )
    assert done.exit_code == 1
    assert "07_small, 'What to remember': nothing to read next: end with" in done.output
