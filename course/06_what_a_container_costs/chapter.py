# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 06 What a container costs
#
# How many containers fit on this machine? Somebody will ask you, and mean: how many servers must we
# pay for? The next cells show what the machine has. Choose what will be used up first if you start
# one `sleep` after the other in containers of one network. (`%%host` is a shell on the **host**,
# the machine whose kernel runs the containers. Every process has a number on it, and there are only
# so many.)

# %%
import labkit
from labkit import predict, reveal
from labkit.inspect import read_process

lab = labkit.Lab()
host = lab.engine.host

# %% tags=["nbval-ignore-output"] language="host"
# grep MemAvailable /proc/meminfo
# sysctl kernel.pid_max
# echo "processors: $(nproc)"

# %%
ends = ["memory", "process numbers", "addresses of one network"]
predict("06.a", "What will be used up first?", ends)

# %% [markdown]
# The answer is a figure near the end, drawn from what this chapter measures: time, memory, disk,
# and what one does not think of.
#
# ## Time
#
# A container is a process for which a few things are set before it starts (chapter 01). That ought
# to be quick. The function takes the middle one of three tries, so that one slow try does not
# decide.

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
# container without a network; one with a network. How many times as long as the first does the last
# take? (The **engine** is the program that makes containers.)

# %% tags=["nbval-ignore-output"]
box = lab.run("base", name="box")
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
# The first two are measured to the program's end, the others until the engine says that the program
# runs. The kernel starts a program in next to no time. Is it the kernel, then, that takes so long
# to make *namespaces*, the lists of its own that a container gets (chapter 02)? We make five of
# them by hand, twenty times. (`bench` is allowed to.)

# %%
rights = {"cap_add": ["SYS_ADMIN"], "security_opt": ["seccomp=unconfined", "apparmor=unconfined"]}
bench = lab.run("toolbox", name="bench", **rights)
kinds = "unshare --fork --mount --uts --ipc --net --pid"
predict("06.b", "Five new namespaces: more or less than half of a start?", ["more", "less"])

# %% tags=["nbval-ignore-output"]
loop = "for i in $(seq 20); do {} /bin/true; done"
alone = milliseconds(lambda: bench.exec(["sh", "-c", loop.format("")]))
apart = milliseconds(lambda: bench.exec(["sh", "-c", loop.format(kinds)]))
print(f"a program: {alone / 20:.1f} ms; in five new namespaces: {apart / 20:.1f} ms")

# %%
reveal("06.b", "more" if (apart - alone) / 20 > contained / 2 else "less")

# %% [markdown]
# Less. So where does the time go? The host's clock can tell: it has written down when the shim (the
# container's keeper, a process of the host) and the container's first process began, in hundredths
# of a second. The last moment is that at which the engine says that it runs.


# %%
def moments(**options):
    clock = [float(host.read("/proc/uptime").split()[0])]
    one = scratch.run("base", start=False, **options)
    clock.append(float(host.read("/proc/uptime").split()[0]))
    one.start()
    end, first = float(host.read("/proc/uptime").split()[0]), read_process(host, one.pid)
    shim = read_process(host, first.ppid)
    return [*clock, shim.start_time / 100, first.start_time / 100, end]


# %% tags=["nbval-ignore-output"]
parts = ["to its record", "to the shim", "to its first process", 'to "it runs"']
with labkit.Lab() as scratch:
    clocks = {"No network": moments(network="none"), "With a network": moments()}
steps = {title: {} for title in clocks}
for title, at in clocks.items():
    for n, part in enumerate(parts):
        steps[title][part] = 1000 * max(0, at[n + 1] - at[n])
labkit.show.bars_beside(steps, units=["ms", "ms"])

# %% [markdown]
# A start is a relay of programs. The engine writes a record and prepares a file tree; it plugs in a
# network, if there is to be one; it starts a shim, which calls a *runtime* (`runc`, or `crun`), and
# that makes the first process. It is not yet yours: it first sets up its own world (chapter 05 does
# by hand what it does), and then becomes your program; and each reports to the one before. How the
# parts compare differs between machines. Chapter 07 follows the relay. For a server that runs for
# weeks all of this is nothing; for a container that is made for one short command it is nearly
# everything.
#
# ## Memory
#
# We start up to a hundred, in four portions, and look after each. What is counted:
#
# - **group**: what the kernel charges to the container's *control group*, the account that it keeps
#   of what a container uses: the memory of its processes, and what it was the first to read of
#   files.
# - **shim**: the keeper is a process outside the group. What shims share is shared out among them
#   (the kernel's *proportional* count, `Pss`).
# - **kernel**: what the kernel keeps for itself, for namespaces, mounts and processes. It tells
#   only a sum for the whole machine, so we take its growth.


# %%
def weigh(containers):
    group = sum(one.cgroup().memory().current for one in containers)
    shims = [read_process(host, one.pid).ppid for one in containers]
    texts = host.read_many([f"/proc/{pid}/smaps_rollup" for pid in shims])
    lines = [line.split() for text in texts.values() for line in text.splitlines()]
    return group / 2**20, sum(int(line[1]) for line in lines if line[0] == "Pss:") / 2**10


def meminfo(*names):
    lines = [line.split() for line in host.read("/proc/meminfo").splitlines()]
    return sum(int(line[1]) for line in lines if line[0].rstrip(":") in names) / 2**10


# %%
fleet, kept = [], ("SUnreclaim", "KernelStack", "PageTables")


def add(count):
    begin = perf_counter()
    fleet.extend(lab.run_many("base", count=count, name=f"fleet{len(fleet)}", network="none"))
    each = 1000 * (perf_counter() - begin) / count
    return len(fleet), each, *weigh(fleet), max(0, meminfo(*kept) - kernel_before)


# %%
predict("06.c", "One container that only sleeps takes, in MiB:", ["below 1", "1 to 10", "above 10"])

# %% [markdown]
# The cell allows 16 MiB for each and half a minute for all. Where either is scarce it starts fewer.

# %% tags=["nbval-ignore-output"]
available, kernel_before = meminfo("MemAvailable"), meminfo(*kept)
portion = int(min(100, available / 16, 30_000 / contained)) // 4
rows = [add(max(1, portion)) for _ in range(4)]
print(len(fleet), "containers are running")
print(f"time for each, first portion: {rows[0][1]:.0f} ms, last: {rows[-1][1]:.0f} ms")

# %% tags=["nbval-ignore-output"]
places = {"group": 2, "shim": 3, "kernel": 4}
memory = {name: [(0, 0), *((row[0], row[at]) for row in rows)] for name, at in places.items()}
title = "Memory taken by containers that sleep"
labkit.show.areas(memory, x="containers running", y="MiB", title=title)

# %%
counted = sum(rows[-1][2:]) / len(fleet)
reveal("06.c", "below 1" if counted < 1 else "1 to 10" if counted <= 10 else "above 10")

# %% tags=["nbval-ignore-output"]
lost = (available - meminfo("MemAvailable")) / len(fleet)
print(f"counted: {counted:.1f} MiB each; MemAvailable fell, for each, by {lost:.1f} MiB")

# %% [markdown]
# A few MiB. The program itself is a fraction of one; its keeper takes several times as much, and
# the kernel's records come on top. The last line is a check by another ruler, what the kernel says
# could still be had. On a machine that rests it shows a little more than we counted, such as the
# engine's notes; where others work meanwhile it says little.
#
# The edge is about straight, and the last portion took about as long for each as the first did: up
# to here it makes little difference how many there are already. But nobody runs a hundred `sleep`s.
# `real` runs a small web server.

# %%
real = lab.run("toolbox", "python3 -m http.server 80", name="real")
_ = real.wait_port(80)


def holds():
    group = real.cgroup()
    return group.memory().current / 2**20, group.program_memory() / 2**20


# %% tags=["nbval-ignore-output"]
before = holds()
print(f"charged to its group: {before[0]:.1f} MiB, its program's own: {before[1]:.1f} MiB")
print(f"one of the fleet: {fleet[0].cgroup().memory().current / 2**20:.1f} MiB")

# %% [markdown]
# The container adds its few MiB, whatever runs in it; the program brings its own weight, which it
# would have anywhere. How many containers fit? Ask back: of what?
#
# Now somebody puts a file of 30 MB into `real`, and fetches it from the server.

# %%
grows = ["neither", "the group's", "the program's", "both"]
predict("06.d", "Which of the two numbers grows by 25 MiB or more?", grows)

# %% language="in" magic_args="real"
# head -c 30000000 /dev/urandom >/file
# curl --silent http://127.0.0.1/file | wc -c

# %% tags=["nbval-ignore-output"]
after = holds()
print(f"charged to its group: {after[0]:.1f} MiB, its program's own: {after[1]:.1f} MiB")

# %%
grew = [grows[1 + n] for n in (0, 1) if after[n] - before[n] >= 25]
reveal("06.d", grew[0] if len(grew) == 1 else "both" if grew else "neither")

# %% [markdown]
# The group's. The kernel keeps in memory what was read or written of files, in pieces that are
# called **pages**, and charges them to the group of whoever did it. In a monitor this looks like a
# leak, and many have gone looking for one. How to recognise it: the program's own share (`anon` in
# `memory.stat`) stays the same. And where memory is short, the kernel drops such pages. We allow
# `real` no more than 32 MiB:

# %% tags=["nbval-ignore-output"] language="sh"
# docker update --memory 32m --memory-swap 32m real
# docker stats --no-stream --format '{{.Name}}: {{.MemUsage}}' real

# %%
print("the server still answers:", "200" in real.exec("curl -sI http://127.0.0.1/file").stdout)
print("charged to its group: no more than 32 MiB:", holds()[0] <= 32)

# %% [markdown]
# ## Disk
#
# **Predict.** The image `base`, the set of files from which the fleet was started, has a size. How
# much disk do they take beyond it?

# %% tags=["nbval-ignore-output"]
mine = {"label": f"labkit.lab={lab.id}", "name": "fleet"}
listed = lab.engine.client.api.containers(size=True, filters=mine)
added = sum(one.get("SizeRw") or 0 for one in listed)
print(f"the image: {lab.image('base').size / 2**20:.1f} MiB")
print(f"{len(listed)} containers of it: {added / 2**20:.1f} MiB more")

# %% [markdown]
# Next to nothing: all of them read the same files, and none has written any (chapter 04). `real`
# has written one. As it is typed:

# %% tags=["nbval-ignore-output"] language="sh"
# docker ps --size --filter name=real --format '{{.Names}}: {{.Size}}'

# %% [markdown]
# ## What runs out first
#
# Memory is not the only thing of which a machine has so much and no more. Every process and every
# thread takes a number, and `pid_max` says how many there are. A shim is one process, of many
# threads.


# %% tags=["nbval-ignore-output"]
def threads(pid):
    status = host.read(f"/proc/{pid}/status")
    return next(int(line.split()[1]) for line in status.splitlines() if "Threads:" in line)


shims = [read_process(host, one.pid).ppid for one in fleet]
each = 1 + sum(threads(pid) for pid in shims) / len(shims)
numbers = int(host.read("/proc/sys/kernel/pid_max"))
used = int(host.read("/proc/loadavg").split()[3].partition("/")[2]) - each * len(fleet)
print(f"one container takes {each:.0f} of {numbers}; others than the fleet have {used:.0f}")

# %% [markdown]
# A network is a range of addresses. The first one means the network itself, the last one everybody
# in it, and the engine takes one for itself. And the ranges are cut from a pool, unless one is
# named.

# %% tags=["nbval-ignore-output"] language="sh"
# docker network create example >/dev/null
# docker network inspect --format '{{range .IPAM.Config}}{{.Subnet}}{{end}}' example
# docker info --format '{{json .DefaultAddressPools}}'

# %%
from ipaddress import ip_network

example = lab.networks("example")[0].docker.attrs["IPAM"]["Config"][0]["Subnet"]
pools = lab.engine.client.info().get("DefaultAddressPools") or []
cut = sum(2 ** (one["Size"] - ip_network(one["Base"]).prefixlen) for one in pools)

# %% tags=["nbval-ignore-output"]
fit = {
    "memory": available / counted,
    "process numbers": (numbers - used) / each,
    "addresses of one network": ip_network(example).num_addresses - 3,
} | ({"networks": cut} if cut else {})  # an engine may keep its pools to itself
title = "How many until it is used up"
fitting = {end: int(count) for end, count in fit.items()}
labkit.show.bars(fitting, unit="containers", title=title, log=True)

# %% tags=["nbval-ignore-output"]
reveal("06.a", min(ends, key=fit.get), by="the figure")

# %% [markdown]
# Each step of the axis is ten times the one before. The bar `networks` answers another question:
# how many, if each has a network to itself? These containers only sleep, and all but memory is a
# matter of settings. Plan for others: choose what a program holds, and how many bits of an address
# are fixed (with 24, eight are left).


# %% tags=["nbval-ignore-output"]
def plan(program_mib, fixed_bits):
    limits = {
        "memory": available / (counted + program_mib),
        "process numbers": fit["process numbers"],
        "addresses": 2 ** (32 - fixed_bits) - 3,
    }
    first = min(limits, key=limits.get)
    print(f"{limits[first]:,.0f} containers; what runs out first: {first}")


labkit.show.explore(plan, program_mib=[0, 10, 40, 400], fixed_bits=[16, 24, 26])

# %% [markdown]
# Try a few: with a large program it is memory after all, with small ones it need not be. We need
# the fleet no more.

# %% tags=["nbval-ignore-output"] language="sh"
# docker rm -f $(docker ps -q --filter name=fleet) | wc -l

# %% [markdown]
# ## A machine of its own
#
# In a **virtual machine**, a VM, a program plays a whole computer, with processor, memory, disk and
# network card, and a second kernel boots on it. Many an article has a table: a container starts in
# a moment, a VM boots in minutes. Let us fill in that table ourselves.
#
# `labkit` has a small VM: Debian's kernel, an engine, and little else. The program that plays the
# computer is QEMU. If the VM was never made here, the next cell makes it, which takes a minute or
# two, once. If there can be none, it says why, and what follows shows the container alone.

# %% tags=["nbval-ignore-output"]
from labkit.inspect import vm_cost

why_not = vm_cost.prepare()
print(why_not or "A VM can be started here.")

# %% [markdown]
# A **cold boot** is what happens when a computer is switched on. A **restore** leaves that out: a
# VM was booted once, stopped in the middle, and its memory was written to a file, the **snapshot**.
# From it any number of machines can go on.
#
# With **KVM** the real processor executes the guest's instructions. Where it cannot, or nobody may
# ask it to, QEMU **emulates** the guest's processor: it translates the instructions into its own.
# That works everywhere, at the price of that translation. The figure says which it was.
#
# **Predict.** We start the VM cold, then twice from its snapshot, and wait each time until the
# engine in it answers. Minutes, seconds, less? And how much memory is it?

# %% tags=["nbval-ignore-output"]
ways = ["cold boot", "restore", "restore"]
starts = [] if why_not else [vm_cost.start(how) for how in ways]
for one in starts:
    print(f"{one.how}, {one.accelerator}: {one.seconds:.1f} s, {one.cpu_seconds:.1f} s of CPU time")

# %% tags=["nbval-ignore-output"]
named = {f"VM, {one.how} ({one.accelerator})": one for one in starts}
wait = {name: one.seconds for name, one in named.items()} | {"container": contained / 1000}
labkit.show.bars(wait, unit="s", title="Time to start")

# %% tags=["nbval-ignore-output"]
weight = {name: one.memory / 2**20 for name, one in named.items()} | {"container": counted}
labkit.show.squares(weight, unit="MiB", title="Memory: each area is what one takes")

# %% [markdown]
# So much for the minutes: they may be true of a large system with all its services. Compare like
# with like, though. An emulated VM carries a handicap that a container on the bare machine does
# not; and if your own engine runs in a VM (chapter 00), its containers carry that too.
#
# The areas are the real difference. A container holds what its program needs. A VM holds a kernel
# and services too, and the files that it has read; the restored one has only begun to, as it takes
# in of its snapshot what it touches. (An engine is among the services; the host has one too, once.)
# In time each may grow to the size that it was given:

# %% tags=["nbval-ignore-output"]
room = vm_cost.memory_available()  # MiB, where this notebook runs
for name, one in named.items():
    print(f"{name}: as it is, memory for {room / weight[name]:.0f}")
    print(f"   grown to its size, for {room / (one.size >> 20):.0f}")
    print(f"   on disk {one.image >> 20} MiB once, and {one.disk / 2**20:.1f} MiB for each")

# %% [markdown]
# On the disk the two are alike: what many start from is there once, and each adds what it writes.
#
# What is all that memory for? Ask who answers there. Every kernel draws a random number when it is
# first asked for it, the *boot id*, and keeps it. A container has the host's. Here are all of them:

# %%
boot = "/proc/sys/kernel/random/boot_id"
ids = {"the host": host.read(boot).strip(), "box": box.exec(f"cat {boot}").stdout.strip()}
for number, one in enumerate(starts, 1):
    ids[f"VM {number}, {one.how}"] = one.boot_id

# %%
predict("06.e", "How many boot ids do the host, box and the three VMs have?", [1, 2, 3, 4])

# %% tags=["nbval-ignore-output"]
for name, drawn in ids.items():
    print(f"{name:16} {drawn}")
reveal("06.e", len(set(ids.values())))

# %%
print("box has the host's:", ids["box"] == ids["the host"])
print("a VM has the host's:", any(one.boot_id == ids["the host"] for one in starts))

# %% [markdown]
# Host and `box` have one, each VM has its own: a kernel of its own. (Even the two that were
# restored from one snapshot. It was taken before anybody had asked for the number. Had somebody
# asked, both would have woken up with the same: equal ids prove one kernel only where no snapshot
# is about.)
#
# That is what the memory buys. All containers of a host ask one kernel for everything, so one
# mistake in it may be the way out for any of them. A program in a VM asks a kernel that serves this
# VM alone. Where strangers' programs run side by side, people pay that price. So does this course,
# where it has no other right than to start a program.
#
# Here is the table of those articles, as this machine fills it in:

# %% tags=["nbval-ignore-output"]
from labkit.table import Table

released = host.read("/proc/sys/kernel/osrelease").strip()
disk, fits = added / len(listed) / 2**20, available / counted
rows = [["container", released, wait["container"], counted, disk, fits]]
for name, one in named.items():
    own = [one.seconds, weight[name], one.disk / 2**20, room / weight[name]]
    rows.append([name, one.kernel, *own])
told = [[*row[:2], *(f"{number:,.1f}" for number in row[2:-1]), int(row[-1])] for row in rows]
Table(["", "kernel", "s to start", "MiB of memory", "MiB of disk", "fit into memory"], told)

# %% [markdown]
# Each VM has brought its kernel, and the container has the host's: whoever needs another one, or
# another system altogether, takes a VM. Everything else in the table is a price.
#
# ## Break it
#
# There is memory enough, and no more containers start. In a small network it can be seen:

# %%
predict("06.f", "A network of eight addresses: how many containers fit?", [5, 6, 7, 8])

# %% tags=["nbval-ignore-output"] language="sh"
# docker network create --subnet 10.77.6.0/29 tiny
# for n in 1 2 3 4 5 6 7 8; do
#     docker run -d --name tiny$n --network tiny labkit/base || break
# done

# %%
inside = [one for one in lab.containers() if one.name.startswith("tiny")]
running = [one.name for one in inside if one.status == "running"]
reveal("06.f", len(running), by="the engine")

# %% [markdown]
# *No available IPv4 addresses on this network's address pools.* Eight, less those three. The
# container that was refused has been made all the same, and waits. How to recognise it: it is
# *created* and not *running*, and a start says why. What helps at once is that another goes:

# %% tags=["nbval-ignore-output"] language="sh"
# docker ps -a --filter network=tiny --format '{{.Names}}: {{.State}}'
# docker rm -f tiny1
# docker start tiny6

# %% [markdown]
# The cure for good is a larger range, and the time for it is before. In Kubernetes each node has a
# range for its pods, in a cloud each network has one for its machines; *not enough addresses* is
# met there by people who had computed only the memory.
#
# Your turn: the exercises are in
# [exercises/06_what_a_container_costs.ipynb](../exercises/06_what_a_container_costs.ipynb).

# %%
lab.close()

# %% [markdown]
# ## What to remember
#
# 1. A start takes a moment, and most of it is the engine's programs, not the kernel.
# 2. A container that sleeps takes a few MiB, mostly for its keeper, and next to no disk until it
#    writes. The weight is the program's.
# 3. Pages of files are charged to the group too, and given back: that is no leak.
# 4. Addresses and process numbers may run out before memory does.
# 5. A VM boots in seconds and wakes in less; it takes many times the memory, and has a kernel of
#    its own.
#
# | to | type | where |
# |---|---|---|
# | see what a container uses | `docker stats --no-stream ... real` | notebook |
# | see what it has written | `docker ps --size ...` | notebook |
# | see what could still be had | `grep MemAvailable /proc/meminfo` | host |
# | see how many process numbers there are | `sysctl kernel.pid_max` | host |
# | see a network's addresses | `docker network inspect ... example` | notebook |
# | see the engine's pools | `docker info --format '{{json .DefaultAddressPools}}'` | notebook |
#
# Read next: `man 5 proc_pid_smaps`, on `Pss`; `man 5 proc_meminfo`; the kernel's
# *admin-guide/cgroup-v2*, on `memory.stat`; and chapter 07.
