"""A course of two chapters that needs no container."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from labkit.authoring.execute import Step

CHAPTER_1 = """\
# %% [markdown]
# # First
#
# ![a grey square](square.png)

# %%
import sys

print("one")
print("two")
print("three", file=sys.stderr)

# %% [markdown]
# ## A value

# %%
import os

os.path.basename(os.getcwd())

# %% [markdown]
# ## Something to move

# %%
import ipywidgets

ipywidgets.IntSlider(value=3)
"""

EXERCISES_1 = """\
# %% [markdown]
# # Exercises

# %%
def check(id):
    print(f"{id}: not attempted" if globals().get("done") is None else f"{id}: passed, 1 of 1")

# %% [markdown]
# ## 01.1 A number

# %% exercise="01.1"
base = 20
### BEGIN SOLUTION
done = base + 1

done = done * 2
### END SOLUTION

# %%
check("01.1")

# %% [markdown]
# ## 01.2 A function

# %% exercise="01.2"
def double(number):
    ### BEGIN SOLUTION
    return 2 * number
    ### END SOLUTION

# %%
double(21)

# %%
check("01.2")
"""

CHAPTER_2 = """\
# %% [markdown]
# # Second

# %% tags=["nbval-ignore-output"]
import time

time.monotonic_ns()

# %%
print("the same in every run")
"""

EXERCISES_2 = """\
# %% [markdown]
# # Exercises

# %% exercise="02.1"
### BEGIN SOLUTION
print("solved")
### END SOLUTION
"""


@dataclass(frozen=True)
class Built:
    """A course's text, two builds of it, and the steps that the first one told."""

    course: Path
    first: Path
    second: Path
    steps: list[Step]


def write_course(course: Path) -> Path:
    for name, chapter, exercises in (
        ("01_first", CHAPTER_1, EXERCISES_1),
        ("02_second", CHAPTER_2, EXERCISES_2),
    ):
        (course / name).mkdir(parents=True)
        (course / name / "chapter.py").write_text(chapter)
        (course / name / "exercises.py").write_text(exercises)
    return course
