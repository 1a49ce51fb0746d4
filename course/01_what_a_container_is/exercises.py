# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 01 What a container is: exercises
#
# Run the cells from the top. Replace each line that raises `NotImplementedError` with your own.
# `hint("01.1")` helps, `solution("01.1")` shows one way, `reset("01.1")` lets you begin again.
#
# *The host* is the machine on which the engine's processes live; `lab.engine.host` reads it.

# %%
import labkit
from labkit import answer, check, hint, progress, reset, solution, variant
from labkit.inspect import read_process

lab = labkit.Lab()

# %% [markdown]
# ## 01.1 Find it from outside
#
# Start a container named `crowd` with the command in `variant("01.1").command`. It runs several
# programs that look alike. Which number does the *host* have for the one that sleeps for
# `variant("01.1").seconds` seconds? And which process of the host does the container hang on, that
# is, which is the parent of its first process? Find both numbers and give them:
# `answer("01.1", pid=..., parent=...)`.

# %%
variant("01.1")

# %% exercise="01.1"
### BEGIN SOLUTION
mine = variant("01.1")
crowd = lab.run("base", mine.command, name="crowd")
wanted = ("sleep", str(mine.seconds))
crowd.wait_until(lambda: any(p.cmdline == wanted for p in crowd.processes()), what="its programs")

pid = next(p.pid for p in crowd.processes() if p.cmdline == wanted)
answer("01.1", pid=pid, parent=read_process(lab.engine.host, crowd.pid).ppid)
### END SOLUTION

# %%
check("01.1")

# %% [markdown]
# ## 01.2 The program's weight
#
# Start a container named `heavy`, from any image, whose program holds
# `variant("01.2").mebibytes` MiB of memory and keeps it. The kernel is asked twice: what the
# largest process has for itself, and what the programs of its control group have together. Neither
# counts files on a disk. Up to 16 MiB more are forgiven: a language's own machinery has a weight
# too. It is looked at for some seconds.

# %%
variant("01.2")

# %% exercise="01.2"
### BEGIN SOLUTION
size = variant("01.2").mebibytes
hold = f"held = b'x' * ({size} * 2**20)"
program = f"import time; {hold}; print('ready', flush=True); time.sleep(1e6)"
heavy = lab.run("toolbox", ["python3", "-c", program], name="heavy")
heavy.wait_log("ready")
### END SOLUTION

# %%
check("01.2")

# %% [markdown]
# ## 01.3 A first process that hears
#
# Start a container named `hears` whose first process has a handler for two signals: for
# `variant("01.3").signal`, and for TERM, so that it can be asked to end. What the handlers do is
# up to you. You will not be asked to send the signals: the kernel knows which signals a process
# handles, and which never reach it.

# %%
variant("01.3")

# %% exercise="01.3"
### BEGIN SOLUTION
handlers = f"trap 'echo heard' {variant('01.3').signal}; trap 'exit 0' TERM"
script = f"{handlers}; echo ready; while true; do sleep 1000 & wait; done"
hears = lab.run("base", ["sh", "-c", script], name="hears")
hears.wait_log("ready")
### END SOLUTION

# %%
check("01.3")

# %% [markdown]
# ## 01.4 The engine believes, the kernel knows
#
# Bring about a state that fools whoever looks only at the engine. Start a container named
# `asleep` with two programs: a first process, and beside it `sleep` with the number of seconds in
# `variant("01.4").seconds`. Then see to it that
#
# - the engine says that the container is running,
# - the kernel says that its *first* process is stopped,
# - and the other program goes on.

# %%
variant("01.4")

# %% exercise="01.4"
### BEGIN SOLUTION
script = f"sleep {variant('01.4').seconds} & echo ready; wait"
asleep = lab.run("base", ["sh", "-c", script], name="asleep")
asleep.wait_log("ready")
lab.engine.host.kill(asleep.pid, signal="STOP")
### END SOLUTION

# %%
check("01.4")
