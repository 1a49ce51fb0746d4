# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 00 Start here: exercises
#
# Run the cells from the top. Replace each line that raises `NotImplementedError` with your own; or
# do it in a shell cell or a terminal, and run the `check` below it. `hint("00.1")` helps,
# `solution("00.1")` shows one way, `reset("00.1")` lets you begin again.

# %%
import labkit
from labkit import answer, check, hint, progress, reset, solution, variant

lab = labkit.Lab()

# %% [markdown]
# ## 00.1 A container that stays
#
# Start a container named `first` from the image `base`, and make sure that it is still running
# when you check.

# %% exercise="00.1"
### BEGIN SOLUTION
first = lab.run("base", "sleep 1000", name="first")
### END SOLUTION

# %%
check("00.1")

# %% [markdown]
# ## 00.2 One process, two numbers
#
# Start a container named `counted`. What number does its first process have on the *host*, and
# what number has it *inside*? Find both and give them as your answer:
# `answer("00.2", outside=..., inside=...)`.

# %% exercise="00.2"
### BEGIN SOLUTION
counted = lab.run("base", "sleep 1000", name="counted")
inside = int(counted.exec("pidof sleep").stdout)
answer("00.2", outside=counted.pid, inside=inside)
### END SOLUTION

# %%
check("00.2")

# %% [markdown]
# ## 00.3 Not more than this
#
# `variant("00.3")` shows a size of memory that is your own. Start a container named `small` that
# may use that much and no more. You need not know yet how the kernel enforces it; `lab.run` has
# an option for it.

# %%
variant("00.3")

# %% exercise="00.3"
### BEGIN SOLUTION
small = lab.run("base", name="small", memory=variant("00.3").memory)
### END SOLUTION

# %%
check("00.3")
