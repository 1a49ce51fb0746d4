# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 06 What a container costs: exercises
#
# Run the cells from the top. Replace each line that raises `NotImplementedError` with your own.
# `hint("06.1")` helps, `solution("06.1")` shows one way, `reset("06.1")` lets you begin again.

# %%
import labkit
from labkit import answer, check, hint, progress, reset, scene, solution, variant

lab = labkit.Lab()

# %% [markdown]
# ## 06.1 The program's weight
#
# Start a container named `heavy`, from any image, whose program holds
# `variant("06.1").mebibytes` MiB of memory and keeps it. The kernel is asked twice: what the
# largest process has for itself, and what the programs of its control group have together. Neither
# counts files on a disk. Up to 16 MiB more are forgiven: a language's own machinery has a weight
# too. It is looked at for some seconds.

# %%
variant("06.1")

# %% exercise="06.1"
### BEGIN SOLUTION
size = variant("06.1").mebibytes
hold = f"held = b'x' * ({size} * 2**20)"
program = f"import time; {hold}; print('ready', flush=True); time.sleep(1e6)"
heavy = lab.run("toolbox", ["python3", "-c", program], name="heavy")
heavy.wait_log("ready")
### END SOLUTION

# %%
check("06.1")

# %% [markdown]
# ## 06.2 Three of one weight
#
# `scene("06.2")` starts three containers, `red`, `green` and `blue`. Each is charged about the same
# memory. But one of them holds it in its *program*; in one it is a file in a folder that is memory
# (the engine gives every container one, `/dev/shm`), *shared* by all its programs; and in one it is
# kept of *files* on the disk, and would be given back at once if somebody needed it. Which is
# which? Give the names: `answer("06.2", program=..., shared=..., files=...)`.

# %%
scene("06.2")

# %% exercise="06.2"
### BEGIN SOLUTION
found = {}
for name in ("red", "green", "blue"):
    one = lab.container(name)
    group = one.cgroup()
    largest = max(process.own_bytes for process in one.processes())
    if group.program_memory() < group.memory().current / 2:
        found["files"] = name  # what programs wrote for themselves is the smaller part
    else:
        found["program" if largest > group.program_memory() / 2 else "shared"] = name
answer("06.2", **found)
### END SOLUTION

# %%
check("06.2")

# %% [markdown]
# ## 06.3 A quarter of the machine
#
# A repair. `scene("06.3")` starts `greedy` with the program in `variant("06.3").program`, and with
# as much memory as `variant("06.3").memory` says. It does not live for a second. Find out why:
# look at how it ended, and at the last thing that it said.
#
# Then make it run, with the same program (given to `python3 -c` as it is) and under the same limit:
# nobody has more memory to give.
# It is content with less than it asks for, but below 20 MiB it is of no use. You may remove it and
# make another `greedy` in its place.

# %%
scene("06.3")

# %%
variant("06.3")

# %% exercise="06.3"
### BEGIN SOLUTION
mine = variant("06.3")
lab.container("greedy").remove()
command, settings = ["python3", "-c", mine.program], {mine.setting: "24"}
greedy = lab.run("toolbox", command, name="greedy", memory=mine.memory, environment=settings)
greedy.wait_log("ready")
### END SOLUTION

# %%
check("06.3")
