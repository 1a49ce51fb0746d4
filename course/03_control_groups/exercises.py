# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 Control groups: exercises
#
# Run the cells from the top. Replace each line that raises `NotImplementedError` with your own.
# What counts is what the kernel has in the files of the control groups. `hint("03.1")` helps,
# `solution("03.1")` shows one way, `reset("03.1")` lets you begin again.

# %%
import labkit
from labkit import answer, check, hint, progress, reset, scene, solution, variant

lab = labkit.Lab()
