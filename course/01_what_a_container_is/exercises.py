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
from labkit import answer, check, hint, progress, reset, scene, solution, variant
from labkit.inspect import read_process, read_signals

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
# ## 01.2 A first process that hears
#
# Start a container named `hears` whose first process has a handler for two signals: for
# `variant("01.2").signal`, and for TERM, so that it can be asked to end. What the handlers do is
# up to you. You will not be asked to send the signals: the kernel knows which signals a process
# handles, and which never reach it.

# %%
variant("01.2")

# %% exercise="01.2"
### BEGIN SOLUTION
handlers = f"trap 'echo heard' {variant('01.2').signal}; trap 'exit 0' TERM"
script = f"{handlers}; echo ready; while true; do sleep 1000 & wait; done"
hears = lab.run("base", ["sh", "-c", script], name="hears")
hears.wait_log("ready")
### END SOLUTION

# %%
check("01.2")

# %% [markdown]
# ## 01.3 The engine believes, the kernel knows
#
# Bring about a state that fools whoever looks only at the engine. Start a container named
# `asleep` with two programs: a first process, and beside it `sleep` with the number of seconds in
# `variant("01.3").seconds`. Then see to it that
#
# - the engine says that the container is running,
# - the kernel says that its *first* process is stopped,
# - and the other program goes on.

# %%
variant("01.3")

# %% exercise="01.3"
### BEGIN SOLUTION
script = f"sleep {variant('01.3').seconds} & echo ready; wait"
asleep = lab.run("base", ["sh", "-c", script], name="asleep")
asleep.wait_log("ready")
lab.engine.host.kill(asleep.pid, signal="STOP")
### END SOLUTION

# %%
check("01.3")

# %% [markdown]
# ## 01.4 Ten seconds, each time
#
# A repair. `scene("01.4")` starts `slow`, with the program in `variant("01.4").program`. It is made
# to be told when it must end: then it saves its work in `/work`, and ends with an exit code of its
# own. But whenever `slow` is stopped, ten seconds go by, and nothing is saved. Try it:
# `docker stop slow`.
#
# Find out why, and mend it. You may remove `slow` and make another in its place, with the same
# program, given to a shell's `-c` as it is. Then stop it as anybody would, and start it again (a
# plain `docker restart slow` does both). When you check, it must be running, and the last stop must
# have taken less than a second, without a KILL; the program must have saved its work, and ended
# with its own exit code. For a while the engine remembers how it went.

# %%
scene("01.4")

# %%
variant("01.4")

# %% exercise="01.4"
### BEGIN SOLUTION
slow = lab.container("slow").start()  # in case it was stopped
slow.wait_until(lambda: len(slow.processes()) > 2, what="its programs")
front, program = sorted(slow.processes(), key=lambda process: process.inside_pid)[:2]
told, known = (read_signals(lab.engine.host, one.pid).caught for one in (program, front))
(signal,) = told - known

slow.remove()
command = ["sh", "-c", variant("01.4").program]  # no shell in front of it
slow = lab.run("base", command, name="slow", stop_signal=str(signal))
slow.wait_log("ready")
slow.restart()
### END SOLUTION

# %%
check("01.4")

# %% [markdown]
# ## 01.5 A house for orphans
#
# When a process ends, its number and its exit code stay on the list until its parent has asked how
# it ended. Until then it is a **zombie**, a number and nothing more. A process whose parent has
# ended is an **orphan**: the kernel makes it a child of process 1. So process 1 must ask after
# children that it never started. Most programs do not, and where one is made process 1, the dead
# pile up, until no number is left for the living.
#
# `variant("01.5").command` is such a program: it leaves `variant("01.5").orphans` orphans that end
# at once, one that sleeps for `variant("01.5").seconds` seconds, and one more every few seconds.
# Start a container named `house`, from the image `toolbox`, in which a *first process of your own*
# runs this command as it is, and sees to it that no orphan stays a zombie. Nor must whoever stops
# `house` have to wait: restart it (`docker restart house`); it must take less than a second to end,
# without a KILL. The engine can put an `init` in front that does all this (`docker run --init`);
# here you make one.

# %%
variant("01.5")

# %% exercise="01.5"
### BEGIN SOLUTION
script = """trap 'exit 0' TERM; "$@" & wait"""
house = lab.run("toolbox", ["sh", "-c", script, "first", *variant("01.5").command], name="house")
living = ("sleep", str(variant("01.5").seconds))
house.wait_until(lambda: any(p.cmdline == living for p in house.processes()), what="orphans")
house.restart()
_ = house.wait_until(lambda: any(p.cmdline == living for p in house.processes()), what="orphans")
### END SOLUTION

# %%
check("01.5")
