# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 Control groups
#
# `web` may use 64 MiB of memory and half a processor: that is what we ask for. Then we ask `web`
# what it has. Guess, and run the cells. (`%%in web` is a shell in the container `web`; the second
# one is typed on the **host**, the machine whose kernel runs the containers.)

# %%
from time import sleep

import labkit
from labkit import predict, reveal

lab = labkit.Lab()
limits = {"memory": "64m", "memswap_limit": "64m", "cpus": 0.5, "pids": 30}
web = lab.run("toolbox", "python3 -m http.server 80", name="web", **limits)
_ = web.wait_port(80)

# %% tags=["nbval-ignore-output"] language="in" magic_args="web"
# grep MemTotal /proc/meminfo
# echo "processors: $(nproc)"

# %% tags=["nbval-ignore-output"] language="host"
# grep MemTotal /proc/meminfo
# echo "processors: $(nproc)"

# %% [markdown]
# The same, to the last kibibyte: the host's. `web` sees the whole machine, as if nobody had limited
# anything. So where is the limit, and who holds `web` to it? And what becomes of a program that
# believes what it was just told? That one dies at the end of this chapter.
#
# ## A group is a folder
#
# A **control group** (cgroup) is a set of processes for which the kernel keeps accounts and limits
# together. A namespace (chapter 02) decides what a process sees; a control group decides how much
# it gets. The kernel shows a group as a folder, and each limit and each account as a file in it.
# **Predict.** In how many groups is the first process of `web` at once: in one, or in several?

# %% tags=["nbval-ignore-output"] language="host"
# cat /proc/$web/cgroup

# %% [markdown]
# It depends on the **version**, and a machine has one of three arrangements. In **v2** there is one
# tree of groups: a single line, which begins with `0::`. In **v1** each kind of limit, each
# **controller**, has a tree of its own, with a line and a group for each. Where v1's trees are
# mounted with a v2 tree beside them, people say *hybrid*. Which is it here?

# %% tags=["nbval-ignore-output"]
group = web.cgroup()
print("mounted here:", group.version)
print("memory is limited in:", "v2" if group.is_v2("memory") else "v1")

# %% [markdown]
# The next cell goes to the folder, as you would by hand on a server. (The host's own files are
# below `/proc/$engine/root`, where `$engine` is a process of the engine's; the group's path is at
# the end of a line in `/proc/NUMBER/cgroup`.) It prints the limit, and who is in the group.

# %% tags=["nbval-ignore-output"] language="host"
# top=/proc/$engine/root/sys/fs/cgroup path=$(tail -n 1 /proc/$web/cgroup | cut -d: -f3)
# cd $top/memory$path 2>/dev/null || cd $top$path
# grep . memory.max memory.limit_in_bytes 2>/dev/null
# ls | wc -l
# ps -o args --pid $(paste -sd, cgroup.procs)

# %% [markdown]
# 67108864 is 64 MiB in bytes. That text in that file is the limit, as the kernel has it. The most
# important files, in one table: the second and third column were read from `web`'s group just now,
# the fourth has the names in the other version. Where a name is missing, that version has no such
# file; where a file says nothing, nothing was set. (9223372036854771712 is v1's word for no limit.)

# %% tags=["nbval-ignore-output"]
group.files(counters=False)

# %% [markdown]
# Most things have two names and one meaning. Three have not: v1 limits memory *and* swap (disk to
# which memory can be moved) together, v2 limits swap alone; `memory.high`, a limit that slows down
# and does not kill, is v2's; and of the soft one there is more below. What the table lacks is the
# network: there is a controller for memory, for CPU time, for disks, for the number of tasks, and
# none for bandwidth. (For that Linux has `tc`, in another place.)

# %% tags=["nbval-ignore-output"] language="host"
# tail -n +2 /proc/cgroups | cut -f1 | tr '\n' ' '

# %% [markdown]
# May `web` raise its own limit? Inside, the files are there, and mounted read-only:

# %% tags=["nbval-ignore-output"] language="in" magic_args="web --fails"
# cd /sys/fs/cgroup/memory 2>/dev/null || cd /sys/fs/cgroup
# cat memory.max memory.limit_in_bytes 2>/dev/null
# echo 100000000 >memory.max || echo 100000000 >memory.limit_in_bytes

# %% [markdown]
# So a program *can* read its limit, if it knows where to look. Keep that for the end.
#
# ## Memory: who was killed, and who says so
#
# In `child` a shell starts a program that wants more and more memory. It may have 32 MiB.

# %%
hog = "python3 -c 'kept = [b\"x\" * 2**20 for n in range(999)]'"
line = f'exec 2>&1; {hog}; echo "exit code $?"; sleep infinity'
small = {"memory": "32m", "memswap_limit": "32m"}  # together: no swap
child = lab.run("toolbox", ["sh", "-c", line], name="child", **small)
_ = child.wait_log("exit code")
print(child.logs())

# %% [markdown]
# *Killed*. When a group is at its limit and the kernel finds nothing that it could take back, its
# **OOM killer** (out of memory) picks a process of that group and sends it SIGKILL. 137 is 128 + 9,
# and 9 is KILL: the shell's way to say so. The host had memory enough; the group had none.
#
# The group counts such kills. The engine has its own word, a flag `OOMKilled`. The shell lives, and
# with it the container. What does the flag say now?

# %%
predict("03.a", "A child was killed, the container runs. OOMKilled?", [True, False])

# %% tags=["nbval-ignore-output"]
print("the group's counter:", child.cgroup().memory().oom_kills)
reveal("03.a", child.inspect()["State"]["OOMKilled"], by="the engine")

# %% [markdown]
# The counter says 1. The flag depends on the engine: some set it at once, some not before the
# container ends. Now two more ends. `own` is the hog itself, as the first process. `alone` sleeps,
# and has no limit; we kill it, and `child` too, by hand.

# %% tags=["nbval-ignore-output"] language="sh"
# docker run -d --name own --memory 32m --memory-swap 32m labkit/toolbox \
#     python3 -c 'kept = [b"x" * 2**20 for n in range(999)]'
# docker run -d --name alone labkit/base
# docker kill alone child
# docker wait own alone child
# docker inspect -f '{{.Name}}: exit code {{.State.ExitCode}}, OOMKilled {{.State.OOMKilled}}' \
#     own alone child

# %% [markdown]
# Three times 137, and two killers: the kernel killed `own`; we killed `alone` and `child`. An exit
# code tells *how* a process ended, never *why*; anybody who may send KILL makes a 137. And of
# `child` the flag now says that it was killed for want of memory, although you have just done it by
# hand. Remember the three by their worth: the exit code says "KILL", the flag says "somebody in
# there, some time". The group's counter says how many, and is right, but not which of its
# processes, as long as there is a group. It goes with the container.
#
# ## Softer, harder, and later
#
# Two options sound reassuring. **Predict.** `soft` may have 64 MiB, has a *reservation* of 24, and
# takes 40. `stuck` must not be killed at all, by `--oom-kill-disable`, and wants more than it may
# have. What becomes of them?

# %% language="sh"
# docker run -d --name soft --memory 64m --memory-reservation 24m labkit/toolbox python3 -c '
# import time
# kept = b"x" * (40 * 2**20)
# print("ready", flush=True)
# time.sleep(1e6)' >/dev/null

# %%
soft = lab.container("soft")
_ = soft.wait_log("ready")
print("more than its reservation:", soft.cgroup().memory().current > 24 * 2**20)
print("killed:", soft.cgroup().memory().oom_kills)

# %% tags=["nbval-ignore-output"] language="sh"
# docker run -d --name stuck --oom-kill-disable --memory 32m --memory-swap 32m labkit/toolbox \
#     python3 -c 'kept = [b"x" * 2**20 for n in range(999)]'
# timeout 4 docker wait stuck || docker top stuck -o pid,stat,args
# docker rm -f stuck

# %% [markdown]
# Nothing happens to `soft`. In v1 the reservation is a *soft limit*, which by the kernel's manual
# matters when the whole machine runs short. v2 has none; there it becomes `memory.low`, a part that
# is taken back last. `stuck` depends on the version. In v1 it hangs in state D, waiting for memory
# that never comes, and no exit code is printed. v2 has no such switch: the engine warns
# (*discarded*), and 137 comes all the same.
#
# Limits can be changed while a container runs. `docker update` does it, and so does writing into
# the file. First more, then a little less by hand, then less than `soft` has.

# %%
less = ["it is refused", "soft is killed", "soft gives memory back"]
predict("03.b", "The limit of soft is set to 24 MiB; it holds 40. What happens?", less)

# %% tags=["nbval-ignore-output"] language="sh"
# docker update --memory 96m --memory-swap 96m soft

# %% tags=["nbval-ignore-output"] language="host"
# top=/proc/$engine/root/sys/fs/cgroup path=$(tail -n 1 /proc/$soft/cgroup | cut -d: -f3)
# cd $top/memory$path 2>/dev/null || cd $top$path
# file=$(ls memory.max memory.limit_in_bytes 2>/dev/null)
# cat $file; echo 80M >$file; cat $file

# %% tags=["nbval-ignore-output"] language="sh"
# docker inspect -f 'the engine believes in {{.HostConfig.Memory}}' soft
# docker update --memory 24m --memory-swap 24m soft || echo "refused"
# sleep 1; docker ps -a --filter name=soft --format '{{.Names}}: {{.Status}}'

# %% tags=["nbval-ignore-output"]
reveal("03.b", less[0] if soft.status == "running" else less[1])

# %% [markdown]
# What a program has written for itself cannot be given back without swap. v1 refuses a limit below
# it; v2 takes the limit at its word, and the killer comes. Lower a limit on v2, and you may end a
# server that was well. (And of what you wrote by hand, the engine did not know.)
#
# ## CPU time: a quota
#
# `busy` computes. Ten times a second it writes down what it has done. After a while comes a
# **quota**: of every 100 ms it may run 20; later 50.

# %%
program = """
import time
rounds, pause, told, last = 0, 0, 0, time.monotonic()
while True:
    sum(range(2000))
    rounds, now = rounds + 1, time.monotonic()
    pause, last = max(pause, now - last), now
    if now > told + 0.1:
        print(now, rounds, 1000 * pause, flush=True)
        told, pause = now, 0
"""
busy = lab.run("toolbox", ["python3", "-c", program], name="busy")
_ = busy.wait_log(".")

# %%
how = ["five times slower, evenly", "at full speed, then not at all, by turns"]
predict("03.c", "How will busy run?", how)

# %%
samples = []
with busy.cgroup().samples(interval=0.2) as stream:
    for count, sample in enumerate(stream):
        samples.append(sample)
        if count == 6:
            busy.update(cpu_period=100_000, cpu_quota=20_000)  # as docker update
        if count == 17:
            busy.set_limit("cpu.max", "50000 100000")  # as echo >cpu.max
        if count == 26:
            break

# %% tags=["nbval-ignore-output"]
told = [[float(word) for word in line.split()] for line in busy.logs().splitlines()]
work = [(at, rounds) for at, rounds, _ in told]
labkit.show.timeline(samples, work=work, title="A quota comes, and is raised")

# %% tags=["nbval-ignore-output"]
begin, end = samples[9][0], samples[16][0]  # while it was 20 of 100
pauses = [pause for at, _, pause in told if begin < at < end]
print(f"longest pauses between two rounds, in ms: {[round(pause) for pause in pauses]}")
reveal("03.c", how[1] if max(pauses) > 30 else how[0])

# %% [markdown]
# By turns. The upper picture has CPU time: blue is what ran, hatched what was **throttled**, in
# which `busy` would have run and was not let, because the quota of the period was used up. The
# dashed line is the quota. The lower picture has the work; it follows the blue. In a monitor such a
# program looks idle, with 20 % of a CPU, and yet an answer may come 80 ms late. The counters that
# tell are in `cpu.stat`. (In the next cell, `--cpus 0.3` would say what the first line says.)

# %% tags=["nbval-ignore-output"] language="sh"
# docker update --cpu-period 100000 --cpu-quota 30000 busy
# docker exec busy sh -c 'cd /sys/fs/cgroup/cpu 2>/dev/null || cd /sys/fs/cgroup
#     grep . cpu.max cpu.cfs_* 2>/dev/null; grep -E "nr_|throttled" cpu.stat'

# %% [markdown]
# `nr_periods` and `nr_throttled`: in how many periods it ran, and in how many of them it was
# stopped.
#
# ## CPU time: a weight
#
# A quota holds even when the machine is idle. A **weight** is for when there is a queue. `weak` has
# a quarter of `strong`'s, and both may run on processor 0 only (a *cpuset*; `nproc` respects that).
# At first it shares it with nobody but perhaps `busy`, which may still take its part.

# %%
spin = ["sh", "-c", "while :; do :; done"]
weak = lab.run("base", spin, name="weak", cpu_shares=256, cpuset_cpus="0")
much = ["as much as beside strong", "more than beside strong"]
predict("03.d", "Its weight is small. How much does weak get, alone?", much)


# %%
def ran(*containers, seconds=1):
    """CPU seconds that each ran meanwhile."""
    groups = [one.cgroup() for one in containers]
    before = [group.cpu().usage_ns for group in groups]
    sleep(seconds)
    return [(group.cpu().usage_ns - was) / 1e9 for group, was in zip(groups, before, strict=True)]


# %% tags=["nbval-ignore-output"]
(alone,) = ran(weak)
print(f"weak ran {alone:.2f} s of one second")

# %% language="sh"
# docker run -d --name strong --cpu-shares 1024 --cpuset-cpus 0 labkit/base \
#     sh -c 'while :; do :; done' >/dev/null
# docker exec strong nproc

# %% tags=["nbval-ignore-output"] language="in" magic_args="strong"
# cat /sys/fs/cgroup/cpu/cpu.shares 2>/dev/null || cat /sys/fs/cgroup/cpu.weight

# %% tags=["nbval-ignore-output"]
both = [weak, lab.container("strong")]
weights = [int(one.cgroup().files()["cpu.weight"]) for one in both]
got = ran(*both)
print("weights:", weights, "seconds:", [round(each, 2) for each in got])
reveal("03.d", much[1] if alone > 1.3 * got[0] else much[0])

# %% tags=["nbval-ignore-output"]
names = [one.name for one in both]
charts = {"promised": weights, "got": got}
shares = {
    title: {name: 100 * each / sum(values) for name, each in zip(names, values, strict=True)}
    for title, values in charts.items()
}
labkit.show.bars_beside(shares, units=["%", "%"])

# %% [markdown]
# Without `strong` it took what there was; beside it, one part in five, as its weight says.
# (`--cpu-shares` speaks v1's language, where 1024 is normal; for v2's `cpu.weight` the runtime
# converts. Only the ratio counts, and only among those who want to run at the same time.) Waiting
# in the queue has a file of its own: **pressure**, the share of time in which somebody in the group
# had to wait. It is v2's; a hybrid machine has it in its v2 tree. Where no file tells of a group,
# nothing is printed, and the host's is the nearest.

# %% tags=["nbval-ignore-output"]
for one in both:
    for kind, pressure in one.cgroup().pressure().items():
        print(f"{one.name}, {kind}: waited {pressure.some.avg10:.0f} % of the last 10 s")

# %% tags=["nbval-ignore-output"] language="host"
# cat /proc/pressure/cpu

# %% tags=["nbval-ignore-output"] language="sh"
# docker rm -f weak strong

# %% [markdown]
# ## Tasks, and a standstill
#
# A **fork bomb** is a program that starts two of itself, each of which does the same. On a machine
# without limits it takes every process number there is. `bomb` may have 40 tasks (processes and
# threads together). `web` serves meanwhile.

# %%
predict("03.e", "What becomes of bomb?", ["it is killed", "it is refused new processes"])

# %% tags=["nbval-ignore-output"] language="sh"
# docker run -d --name bomb --pids-limit 40 --cpus 0.3 labkit/base
# docker exec -d bomb sh -c 'b() { b | b & }; b'
# sleep 1
# docker exec web curl -s -o /dev/null -w 'web answers: %{http_code}\n' http://127.0.0.1/

# %% tags=["nbval-ignore-output"]
bomb = lab.container("bomb")
tasks = bomb.cgroup().tasks()
print(f"{tasks.current} tasks now, at most {tasks.max}; refused: {tasks.max_events}")
reveal("03.e", "it is refused new processes" if tasks.max_events else "it is killed")

# %% [markdown]
# The call `fork` fails with *Resource temporarily unavailable*, and the neighbour does not notice.
# How to recognise it in real life: *can't fork* or *cannot create thread* in a log, and a counter
# in `pids.events` that grows. End the container, and all of it goes; or stop it first, if you want
# to look at it. The **freezer** stops a whole group at once; it is what `docker pause` uses. Is
# that the same as the signal STOP? A process that was stopped by it goes on when somebody sends it
# CONT.

# %%
tick = ["sh", "-c", "while :; do echo tick; sleep 0.1; done"]
paused, stopped = (lab.run("base", tick, name=name) for name in ("paused", "stopped"))
_ = [one.wait_log("tick") for one in (paused, stopped)]
predict("03.f", "Both get CONT from the host. Who ticks again?", ["paused", "stopped", "both"])

# %% tags=["nbval-ignore-output"] language="sh"
# docker pause paused bomb
# docker kill -s STOP stopped
# docker ps --format '{{.Names}}: {{.Status}}' --filter name=paused --filter name=stopped

# %% tags=["nbval-ignore-output"] language="host"
# grep State /proc/$paused/status /proc/$stopped/status
# kill -s CONT $paused $stopped
# sleep 0.5
# grep State /proc/$paused/status /proc/$stopped/status

# %%
for one in (paused, stopped):
    print(f"{one.name}: frozen: {one.cgroup().freezer().frozen}")


def ticks_again(one):
    before = len(one.logs())
    sleep(0.5)
    return len(one.logs()) > before


again = [one.name for one in (paused, stopped) if ticks_again(one)]
reveal("03.f", again[0] if len(again) == 1 else "both")

# %% [markdown]
# State T is "stopped by a signal", and `paused` was never in it. STOP cannot be refused either, but
# it is a signal, and any CONT undoes it. The freezer sends none; only its own file thaws the group.
# (v1 shows what is frozen as D, *disk sleep*, though no disk is involved. Ask the group's file, and
# not `ps`.) Note the engine's words, too: it says *Paused* of one, and plain *Up* of the other,
# which stood just as still.
#
# ## What `docker stats` reads
#
# Now you can build it yourself. Its columns, and where they come from:

# %% tags=["nbval-ignore-output"] language="sh"
# docker unpause paused
# docker rm -f bomb paused stopped >/dev/null
# docker stats --no-stream --format \
#     'table {{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.NetIO}}\t{{.PIDs}}' web busy

# %% tags=["nbval-ignore-output"]
group, (cpu,) = busy.cgroup(), ran(busy)
stat = group.memory_stat()  # docker leaves out files that were not used of late
unused = stat["inactive_file" if group.is_v2("memory") else "total_inactive_file"]
memory = group.memory()
print(f"CPU %: {100 * cpu:.1f}, from the CPU time of two looks, one second apart")
print(f"MEM USAGE: {(memory.current - unused) / 2**20:.2f} MiB, LIMIT: {memory.max}")
print(f"PIDS: {group.tasks().current}")

# %% [markdown]
# Counters and subtraction, nothing else. Where there is no limit, `docker stats` shows the host's
# memory. `NET I/O` is no group's: it is in the network namespace. Then all files that count `web`:

# %% tags=["nbval-ignore-output"] language="host"
# cut -c1-40 /proc/$web/net/dev

# %% tags=["nbval-ignore-output"]
web.cgroup().files()

# %% [markdown]
# And the same, live: move the sliders, which write into the files, and press the buttons.

# %% tags=["nbval-ignore-output"]
labkit.show.limits(web)

# %% [markdown]
# ## Break it
#
# Many a program asks how much memory the machine has, and helps itself to a share: a database, a
# language with a heap. (Others count processors, and start a thread for each.) Here is one that
# takes a quarter, in a container with 64 MiB.

# %%
believer = """
import os
total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
print("a quarter of the machine, please", flush=True)
heap = [b"x" * 2**20 for _ in range(total // 4 // 2**20)]
print("all is well", flush=True)
"""
limits = {"memory": "64m", "memswap_limit": "64m"}
died = lab.run("toolbox", ["python3", "-c", believer], name="died", **limits)
print("exit code", died.wait_exit(timeout=60), "after its last words:", died.logs())

# %% tags=["nbval-ignore-output"] language="sh"
# docker inspect -f 'OOMKilled {{.State.OOMKilled}}' died

# %% [markdown]
# It starts, says something, and is gone; started again, it does the same, for ever. In Kubernetes
# this is a pod with *OOMKilled* that restarts all the time; there a *limit* is what you have seen
# as quota and `memory.max`, and a *request* of CPU is a weight. How to recognise it: 137, the flag
# *OOMKilled*, and a program that you never told how much it may take. The cure is to tell it, or to
# have it look where the limit is, as this one does:

# %%
reader = """
from pathlib import Path
files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
total = next(int(Path(f).read_text()) for f in files if Path(f).exists())
heap = [b"x" * 2**20 for _ in range(total // 4 // 2**20)]
print("all is well with", len(heap), "MiB", flush=True)
"""
lived = lab.run("toolbox", ["python3", "-c", reader], name="lived", **limits)
print("exit code", lived.wait_exit(timeout=60), "after its last words:", lived.logs())

# %% [markdown]
# Your turn: the exercises are in
# [exercises/03_control_groups.ipynb](../exercises/03_control_groups.ipynb).

# %%
lab.close()

# %% [markdown]
# ## What to remember
#
# 1. A control group is a folder of files; v1 has a tree for each controller, v2 one for all.
# 2. 137 says KILL, not who sent it. While the container runs, `oom_kill` of the group counts the
#    kernel's kills; the engine's flag remembers that there was one.
# 3. A quota stops a program in each period, even on an idle machine; a weight counts only in a
#    queue.
# 4. Refused forks, throttled periods and pressure are counted too. Look there before you guess.
# 5. In a container `/proc/meminfo` and `nproc` tell of the machine. The limits are in
#    `/sys/fs/cgroup`: whoever looks there finds them.
#
# | to | type | where |
# |---|---|---|
# | see the groups of a process | `cat /proc/$web/cgroup` | host |
# | see a limit, whatever the version | `cat memory.max memory.limit_in_bytes 2>/dev/null` | web |
# | see all files of a group | `web.cgroup().files()` | Python |
# | see what was killed | `child.cgroup().memory().oom_kills` | Python |
# | see what was refused | `bomb.cgroup().tasks()` | Python |
# | change a limit | `docker update --memory 96m --memory-swap 96m soft` | notebook |
# | set a weight, a processor | `docker run ... --cpu-shares 1024 --cpuset-cpus 0 ...` | notebook |
# | stop a whole group | `docker pause paused bomb` | notebook |
# | watch | `docker stats --no-stream ... web busy` | notebook |
#
# Read next: `man 7 cgroups`; the kernel's *admin-guide/cgroup-v2*, and *accounting/psi* on
# pressure; *scheduler/sched-bwc* on quotas; and chapter 04.
