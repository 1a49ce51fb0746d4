# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 01 What a container is
#
# The next cell makes a container for one command, `uptime`, which prints how long its computer has
# been running. Then the container is removed. From beginning to end it lives for a moment.
#
# **Predict.** What will `uptime` say: no time at all, or something else? Then run the cell.

# %% tags=["nbval-ignore-output"]
import labkit
from labkit.inspect import read_process, read_processes

lab = labkit.Lab()
host = lab.engine.host
lab.once("base", "uptime")

# %% [markdown]
# A container that is a moment old, and a computer that has been up for much longer. So the
# container is not a computer, not even a small one: nothing was switched on for it. What was it,
# then, that began and ended there? By the end of this chapter you will have held every part of the
# answer in your hands.
#
# Some words first. A running program is a **process**. The **kernel** is the one program that runs
# on the machine itself: it starts all others, and hands them their share of memory, files and
# network. The **engine** is a program that makes containers when it is asked to; here `lab` asks it
# for you, and removes what you made when the notebook ends. The **host** is the machine whose
# kernel runs the engine and its containers. It may be the computer before you or, on macOS and
# Windows, a small Linux machine within it; `host` in the cells below reads from wherever it is.
#
# ## One kernel
#
# An **image** is the set of files that a container starts from. Let us start one that looks as much
# like a computer as possible: from `toolbox`, which holds the files of a whole Linux distribution.
# `exec` then runs a second program in it.

# %%
box = lab.run("toolbox", name="box", memory="64m")
box.exec(["sh", "-c", ". /etc/os-release; echo $NAME"])

# %% [markdown]
# It says that it is Debian, on whatever host you are. A kernel, too, is kept in files; on a Debian
# computer they lie in `/boot` and `/lib/modules`.
#
# **Predict.** How many such files has this Debian?

# %%
box.exec(["sh", "-c", "find /boot /lib/modules -type f 2>/dev/null | wc -l"])

# %% [markdown]
# None. It is a distribution without a kernel. Yet something answers when its programs ask for files
# and memory. To find out what, we ask one set of questions twice, in `box` and on the host. Each
# question is a file below `/proc`: a folder that is on no disk, where the kernel writes the answer
# at the moment you read.
#
# **Predict.** Four questions: the kernel's release, the exact build, the *boot id*, which is a
# random number that a kernel draws when it starts, and the hostname. Which answers are the same?

# %%
questions = ["sys/kernel/osrelease", "version", "sys/kernel/random/boot_id", "sys/kernel/hostname"]
for question in questions:
    inside = box.exec(f"cat /proc/{question}").stdout
    outside = host.read(f"/proc/{question}")
    print(f"{question:27}", "the same" if inside == outside else "different")

# %% [markdown]
# The boot id settles it. Two kernels may be of one release, but they would not draw the same random
# number of 122 bits. Inside and outside, **the same kernel** answers. The uptime of our first cell
# was the kernel's, and that is why it was so long. Only the hostname differs: the one kernel has
# two answers to that question, and gives each process its own.
#
# In a terminal: `cat /proc/sys/kernel/random/boot_id`, then `docker exec NAME cat` the same.
#
# **Predict.** `box` was started with `memory="64m"`: it may use 64 MiB and no more. How much memory
# will a program in it believe the machine has?

# %%
inside = box.exec("grep MemTotal /proc/meminfo").stdout
outside = host.read("/proc/meminfo").splitlines()[0]
print("told inside:", "all of the host's memory" if inside.strip() == outside else "something else")
print("the limit:  ", box.cgroup().memory().max // 2**20, "MiB")

# %% [markdown]
# The limit is real, as chapter 03 will show the hard way. But the question "how much memory has
# this machine?" is one to which the kernel has a single answer. A program that reads it and takes a
# quarter for itself is in for a surprise.
#
# ## What differs: the files
#
# `box` has a file tree of its own. We write a file into it, and look for it on the host.
#
# **Predict.** Is `/note.txt` on the host? If not, is it hidden from the host?

# %%
box.put("/note.txt", "written for box\n")
print("in the host's own /:   ", "note.txt" in host.list("/"))
print("in the / of box.pid:   ", host.read(f"/proc/{box.pid}/root/note.txt"))

# %% [markdown]
# In the host's own `/` there is no such file. But the host is not locked out. For every process the
# kernel remembers what *that process* means by `/`, and `/proc/PID/root` leads there. The files of
# a container are ordinary files in another place; all that is special is where its processes begin
# to look.
#
# In a terminal, as root: `ls /proc/PID/root/`. (Chapter 04 shows where that place is.)
#
# ## The process, seen from both sides
#
# The engine may hold many containers. We start one more, whose shell starts two programs, so that
# there is something to look at.

# %% tags=["nbval-ignore-output"]
script = "sleep 1001 & sleep 1002 & echo ready; wait; echo done"
job = lab.run("base", ["sh", "-c", script], name="job", network="none")
job.wait_log("ready")
job.processes()

# %% [markdown]
# **Predict.** The host runs all of these too. Below which process of the host do you expect them:
# the engine's daemon, this notebook, or something else?

# %% tags=["nbval-ignore-output"]
labkit.show.process_tree(job, box)

# %% [markdown]
# This picture is worth printing. Every line is a process on the host's list, with the number that
# the host has for it, its **pid**. A frame is a container. The processes in it have a second pid,
# and there the counting begins at 1.
#
# The containers do not hang on the daemon, which took your order, nor on this notebook. Each has a
# small keeper, a process of the host whose only work is this one container. Docker calls it a
# **shim**.
#
# **Predict.** Ask from both sides who the parent of `box`'s first process is.

# %%
parent = read_process(host, box.pid).ppid
print("on the host: a process with a number:", parent > 0)
print("inside:     ", box.exec("grep PPid /proc/1/status"))
print("the parent is one of box's own processes:", parent in [p.pid for p in box.processes()])

# %% [markdown]
# On the host it has a parent, the shim. Inside it has none: parent 0 is the kernel's way to say
# "nobody you can see". The frame in the picture is a one-way mirror. From outside you see in, from
# inside you do not see out.
#
# In a terminal: `ps -e --forest -o pid,ppid,args` on the host, and `docker top NAME`.
#
# ## A word through the mirror
#
# A **signal** is the smallest message there is: one process asks the kernel to nudge another, with
# a name such as USR1 and nothing else. If a container's process is on the host's list, the host
# should be able to signal it, with no engine involved. The next container waits for signals, and
# says of each who sent it.

# %%
program = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("ready", flush=True)
while True:
    sender = signal.sigwaitinfo({signal.SIGUSR1}).si_pid
    print("USR1 from", "one of us" if sender else "nobody I can see", flush=True)
"""
listener = lab.run("toolbox", ["python3", "-c", program], name="listener", network="none")

# %% [markdown]
# **Predict.** First a process inside sends USR1, then the host does. The kernel tells the receiver
# the sender's pid. What can it tell about a sender on the host?

# %%
listener.wait_log("ready")
listener.exec("kill -s USR1 1")
listener.wait_log("one of us")
host.kill(listener.pid, signal="USR1")
listener.wait_log("nobody")
print(listener.logs())

# %% [markdown]
# Both arrive. The first one bears a pid; the second one comes from a process that has no number
# inside, so the kernel writes 0. From where it sits, the program was nudged by nobody.
#
# In a terminal: `kill -s USR1 PID` on the host, with the pid from `docker inspect`.
#
# Now a less friendly one. TERM asks a process to end, and a program that has made no other
# arrangement is ended by it. `sleep` has made none.
#
# **Predict.** `box`'s first process is a `sleep`. The host sends it TERM. Is it gone?

# %%
host.kill(box.pid, signal="TERM")
print(box.exec("echo still here"))
print("box is", box.status)

# %% [markdown]
# It lives, and serves. The kernel protects the first process of a container, as it protects process
# 1 of a whole machine: a signal reaches it only if it waits for it, as `listener` did, or has a
# **handler** for it, code of its own that runs when the signal comes. Any other is dropped. Which
# signals a process handles is in its status, one bit for each; TERM is number 15.


# %%
def handles(pid, number):
    status = dict(line.split(":", 1) for line in host.read(f"/proc/{pid}/status").splitlines())
    return bool(int(status["SigCgt"], 16) >> (number - 1) & 1)


script = "trap 'echo good-bye; exit 0' TERM; echo ready; sleep 1000 & wait"
polite = lab.run("base", ["sh", "-c", script], name="polite", network="none")
polite.wait_log("ready")
print("box handles TERM:", handles(box.pid, 15), "  polite does:", handles(polite.pid, 15))

# %% [markdown]
# **Predict.** What becomes of `polite` when the host sends it TERM?

# %%
host.kill(polite.pid, signal="TERM")
print("exit code", polite.wait_exit())
print(polite.logs())

# %% [markdown]
# It noticed, it said good-bye, and it ended by its own decision, with an exit code of its own
# choice. Whoever writes a program for a container gives it a handler for TERM.
#
# In a terminal: `grep SigCgt /proc/PID/status`.
#
# ## Choose the signal, and where it comes from
#
# Each choice below starts a fresh `sleep` as the first process of a container, sends it one signal,
# and watches for two seconds.
#
# **Predict** before you choose: there are ten combinations, and only two of them do anything.
# Which?


# %%
def follows(target):
    try:
        print("It ended, with exit code", target.wait_exit(timeout=2))
    except labkit.LabError:
        print("engine:", target.status, "  kernel: state", read_process(host, target.pid).state)


# %%
def send(signal, sender):
    target = lab.run("base", "sleep 1000", network="none")
    if sender == "the host":
        host.kill(target.pid, signal=signal)
    else:
        target.exec(f"kill -s {signal} 1")
    follows(target)


signals = ["TERM", "INT", "HUP", "STOP", "KILL"]
labkit.show.explore(send, signal=signals, sender=["the host", "inside"])

# %% [markdown]
# The kernel's letters: S is a process that sleeps until something happens, T is one that was
# *stopped* and does not run at all. Only STOP and KILL from the host have an effect. No process can
# handle or refuse these two; but to a first process the kernel delivers them only when they come
# from outside. Try STOP from the host once more, and look at both answers: the process stands
# still, and the engine has not noticed.
#
# ## There is no container in the kernel
#
# So far we have met processes, and what the kernel answers to each of them. Where is the container
# itself? Let us compare a process in `box` with an ordinary one of the host.
#
# **Predict.** The kernel keeps a folder for each process, `/proc/PID`, with dozens of entries. How
# many entries has the one in `box` that the ordinary one lacks?

# %%
ordinary = host.anchor  # a process of the engine itself
entries = [set(host.list(f"/proc/{pid}")) for pid in (box.pid, ordinary)]
print("only in box's:         ", len(entries[0] - entries[1]))
print("only in the ordinary's:", len(entries[1] - entries[0]))

# %% [markdown]
# None. Both are the same kind of thing, described by the same entries. So the difference must be in
# what the entries say.

# %%
for kind in ["mnt", "pid", "uts", "ipc", "net"]:
    print(f"{kind} namespace:  ", box.namespaces().relation(kind))
groups = [host.read(f"/proc/{pid}/cgroup") for pid in (box.pid, ordinary)]
print("control group:  ", "its own" if groups[0] != groups[1] else "shared with host")

# %% [markdown]
# There it is. A **namespace** is one kind of view of the machine: which files (`mnt`), which
# processes (`pid`), which hostname (`uts`), and so on. A **control group** is a place where the
# kernel counts and limits what a group of processes uses. Every process has all of these, your
# shell too; most processes share them with each other. A process in a container has some of its
# own. That is what we call a container. The kernel has no object of that name.
#
# In a terminal: `ls -l /proc/PID/ns` and `cat /proc/PID/cgroup`, for two processes.
#
# If this is so, then it must be possible to be *half* in a container. It is. The next cell runs a
# shell on the host and puts it into none, one, two or three of `box`'s namespaces. It asks for its
# hostname, for its parent, and for the file `/note.txt`.
#
# **Predict** the three answers, then tick the boxes one by one.


# %%
def step_in(uts, pid, mnt):
    chosen = [kind for kind, ticked in {"uts": uts, "pid": pid, "mnt": mnt}.items() if ticked]
    ask = "cat /proc/sys/kernel/hostname; echo $PPID; test -e /note.txt; echo $?"
    told = host.run(["sh", "-c", ask], pid=box.pid, namespaces=chosen).stdout
    name, parent, missing = told.split()
    print("hostname: ", name if name == box.name else "the host's")
    print("parent:   ", "on the host's list" if parent != "0" else "nobody it can see")
    print("/note.txt:", "not there" if missing == "1" else "there")


labkit.show.explore(step_in, uts=False, pid=False, mnt=False)

# %% [markdown]
# Eight combinations, and each of them is a possible process. There is no wall with a door in it;
# there are separate switches. An engine turns all the usual ones at once, and hands you the result
# as "a container".
#
# In a terminal, as root: `nsenter --target PID --uts --pid --mount sh`. Chapter 02 goes through the
# switches one by one; chapter 05 turns them by hand until a container comes out.
#
# ## What a container costs: time
#
# A process with a few attributes set: that ought to be cheap. We measure. The function takes the
# middle one of three tries, so that one slow try does not decide.

# %%
from statistics import median
from time import perf_counter


def milliseconds(action):
    tries = []
    for _ in range(3):
        begin = perf_counter()
        action()
        tries.append(1000 * (perf_counter() - begin))
    return median(tries)


# %% [markdown]
# **Predict.** Four starts: a program on the host; a program in `box`, which runs already; a new
# container without a network; one with a network. Order them. How many times the first is the last?

# %% tags=["nbval-ignore-output"]
with labkit.Lab() as scratch:  # what is made in it is gone at the end of the block
    took = {
        "a program on the host": milliseconds(lambda: host.run(["true"])),
        "a program in box": milliseconds(lambda: box.exec("true")),
        "a container, no network": milliseconds(lambda: scratch.run("base", network="none")),
        "a container, with network": milliseconds(lambda: scratch.run("base")),
    }
labkit.show.bars(took, unit="ms", title="Time to start")

# %%
plain, contained = took["a program on the host"], took["a container, no network"]
print("a container takes more than ten times as long:", contained > 10 * plain)

# %% [markdown]
# The first two are measured to the program's end, the others until the engine reports that the
# program runs. So the kernel starts a program in next to no time; what takes time is all that the
# engine arranges before and around it: a file tree, namespaces, a control group, a shim. What the
# network adds is the difference of the last two bars; on a busy machine it may drown in the noise.
# For a server that runs for weeks all of this is nothing. For a container that is made for one
# short command, it is nearly everything.
#
# ## What a container costs: memory
#
# How many fit? We start up to a hundred, in four portions, and look after each. First we must say
# exactly what we count, since memory is easily forgotten, and as easily counted twice.
#
# - **group**: what the kernel charges to the container's control group, that is, the memory of its
#   processes and some of what the kernel keeps for them. A page of a file that many read is charged
#   to the first reader alone.
# - **shim**: the keeper is a process of the host, outside the group. All shims run one program,
#   whose pages are in memory once. We take the kernel's *proportional* count (Pss), in which a page
#   that ten processes share counts for a tenth in each.
# - **kernel**: what the kernel keeps for itself and cannot give back (`SUnreclaim`, `KernelStack`,
#   `PageTables`): namespaces, mounts, and the bookkeeping of processes. It tells only the sum for
#   the whole machine, so we take its growth. A small part of it is in the groups already.
#
# One more ruler checks the sum of the three. **MemAvailable** is the memory that the kernel says
# could still be had. What the containers take from that is what they cost, with nothing forgotten;
# but what everybody else on the machine does meanwhile is in it too.


# %%
def group_and_shim(containers):
    group = sum(one.cgroup().memory().current for one in containers)
    shims = [read_process(host, one.pid).ppid for one in containers]
    texts = host.read_many([f"/proc/{pid}/smaps_rollup" for pid in shims])
    lines = [line.split() for text in texts.values() for line in text.splitlines()]
    return group / 2**20, sum(int(line[1]) for line in lines if line[0] == "Pss:") / 2**10


def meminfo(*names):
    lines = [line.split() for line in host.read("/proc/meminfo").splitlines()]
    return sum(int(line[1]) for line in lines if line[0].rstrip(":") in names) / 2**10


# %% [markdown]
# Both functions return MiB. The next one adds a portion of containers, and measures.

# %%
yard, fleet, kept = labkit.Lab(), [], ("SUnreclaim", "KernelStack", "PageTables")


def add(count):
    begin = perf_counter()
    fleet.extend(yard.run_many("base", count=count, name=f"f{len(fleet)}", network="none"))
    each = 1000 * (perf_counter() - begin) / count
    group, shim = group_and_shim(fleet)
    kernel = meminfo(*kept) - kernel_before
    lost = available_before - meminfo("MemAvailable")
    return len(fleet), each, group, group + shim, group + shim + kernel, lost


# %% [markdown]
# **Predict.** Each container runs `sleep`, about the smallest program there is. How much memory
# does one take: 1 MiB, 10, 100? And does the last take longer to start than the first?
#
# The cell allows 16 MiB for each and a minute for all. Where either is scarce it starts fewer, and
# says what set the number.

# %% tags=["nbval-ignore-output"]
available_before, kernel_before = meminfo("MemAvailable"), meminfo(*kept)
in_a_minute = int(60_000 / took["a container, no network"])
limits = {"plan": 100, "memory": int(available_before / 16), "time": in_a_minute}
tightest = min(limits, key=limits.get)
rows = [add(max(1, limits[tightest] // 4)) for _ in range(4)]
print(len(fleet), "containers are running; their number was set by the", tightest)

# %% tags=["nbval-ignore-output"]
places = {"group": 2, "+ shim": 3, "+ kernel": 4}
memory = {name: [(0, 0)] + [(row[0], row[at]) for row in rows] for name, at in places.items()}
title = "Memory taken by containers"
labkit.show.lines(memory, x="containers running", y="MiB", title=title)

# %% tags=["nbval-ignore-output"]
_, _, group, with_shim, counted, lost = [number / len(fleet) for number in rows[-1]]
print(f"one container, by what we counted: {counted:.1f} MiB")
print(f"its shim alone:                    {with_shim - group:.1f} MiB")
print(f"MemAvailable fell, for each, by:   {lost:.1f} MiB")
print(f"time for each, first portion:      {rows[0][1]:.0f} ms, last: {rows[-1][1]:.0f} ms")

# %% [markdown]
# Read the picture from below; each line includes the one beneath it. The program itself, with
# what is charged to its group, is a fraction of a MiB. Its keeper takes several times as much, and
# the kernel's records come on top. On a machine that rests, MemAvailable fell by a little more than
# we counted: the daemon's own notes on each container, for one. If it is far off, or even rose,
# somebody else took memory or gave some back while we measured, and the check says nothing.
#
# The lines are about straight, and the last portion started about as fast as the first: neither
# the engine nor the kernel minds how many there are already. How many fit is then a matter of
# division. Only, nobody runs a thousand `sleep`s. So here is a program that has something in its
# memory.
#
# **Predict.** It holds 40 MB. What does its container hold?

# %%
program = "held = b'x' * 40_000_000; print('ready', flush=True); __import__('time').sleep(1000)"
real = lab.run("toolbox", ["python3", "-c", program], name="real", network="none")
real.wait_log("ready")
held = real.cgroup().memory().current
print("at least 40 MB:", held >= 40_000_000, "  more than 80 MB:", held > 80_000_000)
print("more than one of the fleet:", held > fleet[0].cgroup().memory().current)

# %% [markdown]
# The container adds a few MiB, whatever runs in it; the program brings its own weight, which it
# would have anywhere. When somebody asks how many containers fit on a machine, ask back: of what?
#
# In a terminal: `docker stats --no-stream` shows the group's part, less some file pages that the
# kernel could drop. `grep Pss: /proc/PID/smaps_rollup`, as root, shows a shim's. (`ps -o rss`
# counts shared pages in full for each process: do not add it up.)
#
# ## What a container costs: disk
#
# **Predict.** The image `base` has a size. The fleet was started from it. How much disk does the
# fleet take beyond the image?

# %% tags=["nbval-ignore-output"]
of_yard = {"label": f"labkit.lab={yard.id}"}
listed = lab.engine.client.api.containers(size=True, filters=of_yard)
added = sum(one.get("SizeRw") or 0 for one in listed)
print(f"the image: {lab.image('base').size / 2**20:.1f} MiB")
print(f"{len(listed)} containers of it: {added / 2**20:.1f} MiB more")

# %% [markdown]
# Next to nothing: all of them read the same files, and none has written any. Chapter 04 shows how
# that is done. In a terminal: `docker ps --size`.
#
# Time, memory, disk: this is the price of a container. We need the fleet no more.

# %%
yard.close()
print(len(yard.containers()), "containers left in the yard")

# %% [markdown]
# ## A machine of its own
#
# There is another way to give programs a world of their own. In a **virtual machine**, a VM, a
# program plays a whole computer, with processor, memory, disk and network card, and a second kernel
# boots on it. Here the program is QEMU. Many an article has a table that says: a container starts
# in a moment, a VM boots in minutes. Let us fill in that table ourselves.
#
# `labkit` has a small VM: Debian's kernel, an engine, and little else. It runs on the machine of
# this notebook, if QEMU is there. If it was never made here, the next cell makes it from Debian's
# packages, and tells how far it is: that takes a minute or two, once. If there can be no VM, the
# cell says why, and the measurements below have only the container to show.

# %% tags=["nbval-ignore-output"]
from labkit.inspect import vm_cost

why_not = vm_cost.prepare()
print(why_not or "A VM can be started here.")

# %% [markdown]
# There are two ways to start one. A **cold boot** is what happens when a computer is switched on.
# A **restore** leaves that out: a VM was booted once and then stopped in the middle, and its memory
# was written to a file, the **snapshot**. From it any number of machines can go on at that point.
#
# And there are two ways to run one. With **KVM**, a part of Linux, the real processor executes the
# guest's instructions itself. Where a processor cannot do that, or nobody may ask it to, QEMU
# **emulates** the guest's: it translates its instructions, bit by bit, into some of its own. That
# works everywhere, without any privilege, at the price of that translation.
#
# **Predict.** We start the VM cold, then from its snapshot, and wait each time until the engine in
# it answers. How long does each take: minutes, seconds, less? And how much memory is it?

# %% tags=["nbval-ignore-output"]
starts = [] if why_not else [vm_cost.start(how) for how in ("cold boot", "restore")]
for one in starts:
    print(f"{one.how}, by {one.accelerator}, of kernel {one.kernel}:")
    print(f"   {one.seconds:.1f} s, and {one.cpu_seconds:.1f} s of CPU time")

# %% tags=["nbval-ignore-output"]
wait = {f"VM, {one.how}": one.seconds for one in starts}
wait["container"] = took["a container, no network"] / 1000
weight = {f"VM, {one.how}": one.memory / 2**20 for one in starts} | {"container": counted}
labkit.show.bars_beside({"Time to start": wait, "Memory": weight}, units=["s", "MiB"])

# %% [markdown]
# So much for the minutes. They may be true of a large system with all its services; a small VM
# boots in seconds, and a snapshot spares it most of these. Do compare like with like, though: an
# emulated VM carries a handicap that a container on the bare machine does not. If your own engine
# runs in an emulated VM (the first table of chapter 00 says so), its containers carry it as well,
# and a restored machine may even be there before a new container.
#
# The memory is the real difference. A container holds what its program needs. A VM holds a kernel
# and services too, and the files that it has read. It was given a size, and in time it will make
# use of it. The restored one has only just begun to: of its snapshot, it takes in what it touches.
#
# **Predict.** How many fit into what this notebook's machine has free?

# %% tags=["nbval-ignore-output"]
room = vm_cost.memory_available()
for name, each in weight.items():
    print(f"{name:13} {room / each:7,.0f} fit")
for one in starts:
    print(f"VM, {one.how}: {room / (one.size >> 20):.0f} fit when each has grown to its size")
    print(f"   on disk {one.image >> 20} MiB once, and {one.disk / 2**20:.1f} MiB for each")

# %% [markdown]
# On the disk the two are alike: what many start from is there once, and each adds what it writes.
#
# What is all that memory for? Ask the VM who answers there.
#
# **Predict.** `box` had the boot id of the host. And the VM?

# %%
ours = host.read("/proc/sys/kernel/random/boot_id").strip()
for one in starts:
    print(f"{one.how}: a kernel of its own:", one.boot_id != ours)
    print("   up within a minute of CPU time:", one.cpu_seconds < 60)
    print("   heavier than a container:", one.memory / 2**20 > counted)

# %% [markdown]
# That is what it buys: a second kernel. All containers of a host ask one kernel for everything, so
# one mistake in it may be the way out for any of them. A program in a VM asks a kernel that serves
# this VM alone. If it takes that over, it is still inside QEMU, which is an ordinary process of the
# host, with the rights of whoever started it. Where strangers' programs run side by side, people
# pay that price. This course does too, where it has no other right than to start a program.
#
# In a terminal: `labkit engine start --engine vm`, then
# `ps -o pid,etime,time,rss -C qemu-system-x86_64`.

# %% [markdown]
# ## Break it
#
# `job` is still at work: a shell, and two programs that it started. On a busy host, somebody looks
# for a process to get rid of, and does not see that it belongs to a container.
#
# **Predict.** First they kill one of the two `sleep`s, then the shell. What is left each time?

# %%
shell = job.pid
first, second = [process.pid for process in job.processes() if process.pid != shell]
host.kill(first, signal="KILL")
job.wait_until(lambda: len(job.processes()) == 2, what="the end of one sleep")
print("job is", job.status)
print("the other sleep goes on:", second in read_processes(host))

# %%
host.kill(shell, signal="KILL")
job.wait_exit()
print("job is", job.status)
print("the other sleep goes on:", second in read_processes(host))

# %% [markdown]
# The second `sleep` had done nothing, and nobody sent it anything. But when the first process of a
# container ends, the kernel kills all the others in it. One `kill`, and the whole container is
# lost.
#
# How do you recognise it afterwards? The log is no help: a process that is killed cannot write a
# last line, so the log just stops. Ask the engine how it ended.

# %%
state = job.inspect()["State"]
print("exit code:             ", state["ExitCode"], "=", "128 +", state["ExitCode"] - 128)
print("killed for its memory: ", state["OOMKilled"])
print("the log ends:          ", job.logs().splitlines()[-1])

# %% [markdown]
# An exit code above 128 says that a signal ended it: 137 is 128 + 9, and 9 is KILL. If the kernel
# had killed it because memory ran out (chapter 03), the engine would as a rule have heard of it,
# and the second line would say `True`. It says `False`: somebody who had the right to sent the
# signal. And the word `done`, which `job` prints at its proper end, is missing.
#
# In a terminal: `docker inspect -f '{{.State.ExitCode}} {{.State.OOMKilled}}' NAME`.
#
# ## Exercises
#
# They are in [exercises/01_what_a_container_is.ipynb](../exercises/01_what_a_container_is.ipynb):
#
# | exercise | what it asks for |
# |---|---|
# | 01.1 Find it from outside | the host's numbers for one of several twins, and for its keeper |
# | 01.2 The program's weight | a container that holds as much memory as you are told |
# | 01.3 A first process that hears | handlers for two signals, which the kernel confirms |
# | 01.4 The engine believes, the kernel knows | a container that runs and does not |
#
# We leave nothing behind:

# %%
lab.close()
lab.containers()

# %% [markdown]
# ## What to remember
#
# 1. A container is a group of ordinary processes. The kernel has no such object; it has namespaces
#    and control groups, and each can be its own or shared.
# 2. One kernel answers inside and outside. What it has one answer to (release, uptime, the
#    machine's memory) is the same in both.
# 3. The host sees, enters and signals a container's processes. They do not see the host, unless you
#    let them.
# 4. The first process is special. Signals that it does not handle do not reach it, but for KILL and
#    STOP from the host; and when it ends, all the others are killed.
# 5. A container costs a moment and a few MiB, and no disk until it writes. The weight is the
#    program's. A VM has a kernel of its own: it boots in seconds, and takes many times the memory.
#
# | to | in `labkit` | in a terminal |
# |---|---|---|
# | find the first process | `box.pid` | `docker inspect -f '{{.State.Pid}}' box` |
# | see whose child it is | `labkit.show.process_tree(box)` | `ps -e --forest -o pid,ppid,args` |
# | signal it | `host.kill(pid, signal="TERM")` | `kill -s TERM PID` |
# | see what it handles | `host.read(f"/proc/{pid}/status")` | `grep SigCgt /proc/PID/status` |
# | read its files | `host.read(f"/proc/{pid}/root/FILE")` | `cat /proc/PID/root/FILE` |
# | step in | `host.run([...], pid=pid, namespaces=["uts"])` | `nsenter -t PID --uts CMD` |
# | weigh it | `box.cgroup().memory()` | `docker stats --no-stream box` |
# | weigh a VM | `vm_cost.start("restore")` | `ps -o time,rss -C qemu-system-x86_64` |
# | ask how it ended | `job.inspect()["State"]` | `docker inspect -f '{{json .State}}' job` |
#
# Read next: `man 7 pid_namespaces`, the section on the init process; `man 7 signal`; `man 5 proc`,
# on `/proc/PID/status` and `/proc/PID/smaps`; and chapter 02.
