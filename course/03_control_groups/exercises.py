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
# What counts is what the kernel has in the files of the control groups, whoever wrote it there.
# `hint("03.1")` helps, `solution("03.1")` shows one way, `reset("03.1")` lets you begin again.

# %%
import labkit
from labkit import answer, check, hint, piece, progress, reset, scene, solution, trial, variant

lab = labkit.Lab()

# %% [markdown]
# ## 03.1 By the stop watch
#
# Start a container named `tight`, from any image, that keeps running. It may use `memory` of
# memory and have `tasks` tasks at most. Of each period of `period` microseconds it may run `quota`
# microseconds: a shorter period than usual, so that nobody waits long. `variant("03.1")` has your
# four values.

# %%
variant("03.1")

# %% exercise="03.1"
### BEGIN SOLUTION
mine = variant("03.1")
period = {"cpu_period": mine.period, "cpu_quota": mine.quota}
tight = lab.run("base", name="tight", memory=mine.memory, pids=mine.tasks, **period)
### END SOLUTION

# %%
check("03.1")

# %% [markdown]
# ## 03.2 Four that are up
#
# `scene("03.2")` starts four containers, `red`, `green`, `blue` and `amber`. `docker ps` says *Up*
# of each, and none has anything in its log. Yet each has a trouble of its own: one is *throttled*,
# one is *frozen*, one is *full*, so that it gets no more tasks, and in one a process is *killed*
# for want of memory again and again. Which is which? `answer("03.2", throttled="...",
# frozen="...", full="...", killed="...")`, with the names. Leave them as they are until you have
# checked.

# %%
scene("03.2")

# %% exercise="03.2"
### BEGIN SOLUTION
found = {}
for name in ("red", "green", "blue", "amber"):
    group = lab.container(name).cgroup()
    if group.freezer().frozen:
        found["frozen"] = name
    elif group.tasks().max_events:
        found["full"] = name
    elif group.memory().oom_kills:
        found["killed"] = name
    else:
        found["throttled"] = name
answer("03.2", **found)
### END SOLUTION

# %%
check("03.2")

# %% [markdown]
# ## 03.3 Divide one processor
#
# Start three containers, `gold`, `silver` and `bronze`, each with a program that computes all the
# time, and all on one and the same processor. See to it that the kernel divides it among them by
# `variant("03.3").per_cent`, and that each may have all of it while the others are idle. How you
# start them, and whether you set the weights then or later, is up to you.

# %%
variant("03.3")

# %% exercise="03.3"
### BEGIN SOLUTION
spin = ["sh", "-c", "while :; do :; done"]
for name, part in variant("03.3").per_cent.items():
    lab.run("base", spin, name=name, cpuset_cpus="0", cpu_shares=100 * part)
### END SOLUTION

# %%
check("03.3")

# %% [markdown]
# ## 03.4 It must not stop
#
# A repair. `scene("03.4")` sets up `miner`. Say that it has been computing for weeks; what it has
# found is in its memory. It wants twelve helpers (threads), tries again and again to start them,
# and tells in its log how many it has. It does not get them, and it is terribly slow.
#
# Mend it **while it runs**: start it again, and all that it knows is lost. In the end it has its
# twelve helpers, and a quota of at least `variant("03.4").least` and at most `variant("03.4").most`
# of a processor (0.5 is half of one). So that a mistake of its own cannot take the machine with it,
# it must not be allowed more than 40 tasks.

# %%
variant("03.4")

# %%
scene("03.4")

# %% exercise="03.4"
### BEGIN SOLUTION
miner, mine = lab.container("miner"), variant("03.4")
cpus = (mine.least + mine.most) / 2
miner.set_limit("cpu.max", f"{int(cpus * 100_000)} 100000")
miner.set_limit("pids.max", 32)
miner.wait_log("12 of 12")
### END SOLUTION

# %%
check("03.4")

# %% [markdown]
# ## 03.5 Your own container: the limits
#
# The second piece of the container that you make by hand (the first is that of 02.10; each can be
# made alone). **A piece is a program in a file that sets one thing up and then becomes the command
# that it was given**; chapter 05 puts the pieces together. This one is the file `limits` in the
# folder `container` of your `work`; `piece("03.5")` says where that is. Write it, with any editor,
# or from here with `piece("03.5").write("...")`; as a shell script, or in Python. It is called with
# a size, a number, and a program and what that is given:
#
#     limits 24m 10 sleep 1000
#
# It makes a control group by hand, **below** that of the container in which it is called, which
# limits memory to the size and tasks to the number, and runs the program in it. Leave the limits of
# that container as they are: only the new group is small. In v1 `mkdir` makes a group, and a
# process moves in when its number is written into `cgroup.procs`. In v2 too; but a group hands a
# controller down only after `+memory +pids` was written into its `cgroup.subtree_control`, and that
# works only while it holds no process itself: move them all into a group below first.
#
# `trial("03.5")` starts a workbench, `bench`, a `toolbox` that may mount, with your piece in it,
# and has it run `sleep 100000` with the limits of `variant("03.5")`. `check` looks at it from
# outside. The control groups of `bench` are in its `/sys/fs/cgroup`; `mount -o remount,bind,rw`
# makes writable what is not. (In v2 that is one mount, in v1 one for each controller.) The
# workbench stays: in a cell with `%%in bench` you can try by hand.

# %%
variant("03.5")

# %% exercise="03.5"
### BEGIN SOLUTION
piece("03.5").write("""
#!/bin/sh -e
# limits MEMORY TASKS PROGRAM [ARGUMENT...]: run a program in a control group of its own.
memory=$1 tasks=$2; shift 2
cd /sys/fs/cgroup
if [ -e cgroup.controllers ]; then    # v2: one tree
    mount -o remount,bind,rw /sys/fs/cgroup
    # A group that hands controllers down has no processes of its own: first they move.
    mkdir -p others piece
    for pid in $(cat cgroup.procs); do echo $pid >others/cgroup.procs || true; done
    echo "+memory +pids" >cgroup.subtree_control
    echo $memory >piece/memory.max
    echo $tasks >piece/pids.max
    echo $$ >piece/cgroup.procs
else                                  # v1: one for each controller
    for each in memory pids; do
        mount -o remount,bind,rw /sys/fs/cgroup/$each
        mkdir -p $each/piece
    done
    echo $memory >memory/piece/memory.limit_in_bytes
    echo $tasks >pids/piece/pids.max
    for each in memory pids; do echo $$ >$each/piece/cgroup.procs; done
fi
exec "$@"
""")
### END SOLUTION
trial("03.5")

# %%
check("03.5")

# %%
progress()
