# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 Namespaces: exercises
#
# Run the cells from the top. Replace each line that raises `NotImplementedError` with your own.
# What counts is what the kernel says afterwards: `check` compares the numbers of namespaces. When
# you want to begin again, run `reset("02.1")` (or the exercise's own number) in a cell of its own.

# %%
import labkit
from labkit import answer, check, hint, piece, progress, reset, scene, solution, trial, variant

lab = labkit.Lab()

# %% [markdown]
# ## 02.1 A window in the wall
#
# Start a container named `watcher`, from the image `base`, that sees every process of the host.
# Its network, its host name and its files must be its own. It may look, and no more: give it no
# right, no device and no folder that any other container would not have.

# %% exercise="02.1"
### BEGIN SOLUTION
watcher = lab.run("base", name="watcher", pid_mode="host")
### END SOLUTION

# %%
check("02.1")

# %% [markdown]
# ## 02.2 How many lists?
#
# `variant("02.2")` says which options the second and the third of three containers are to be
# started with, named `one`, `two` and `three`. Before you start them, write down your prediction:
# among the three **and the host**, how many *different* namespaces are there of the kinds `net`,
# `pid` and `uts`? Then start them, as in `lab.run("base", name="two", **variant("02.2").two)`,
# count, and give the numbers: `answer("02.2", net=..., pid=..., uts=...)`.

# %%
variant("02.2")

# %% exercise="02.2"
### BEGIN SOLUTION
one = lab.run("base", name="one")
two = lab.run("base", name="two", **variant("02.2").two)
three = lab.run("base", name="three", **variant("02.2").three)

seen = [one.namespaces().host, *(each.namespaces() for each in (one, two, three))]
count = {kind: len({each[kind] for each in seen}) for kind in ("net", "pid", "uts")}
answer("02.2", **count)
### END SOLUTION

# %%
check("02.2")

# %% [markdown]
# ## 02.3 A doctor who may look and not listen
#
# Start two TCP servers, in containers named `app` and `desk` (`httpd -f -p 80` will do for both),
# and beside them a container named `doctor` that sees the processes of both. But each of the three
# has a network of its own: `doctor` must not be able to listen in, nor to walk into another's
# network with rights that it does not need. The processes of the host are none of its business
# either.

# %% exercise="02.3"
### BEGIN SOLUTION
app = lab.run("base", "httpd -f -p 80", name="app")
desk = lab.run("base", "httpd -f -p 80", name="desk", pid_mode="container:app")
doctor = lab.run("base", name="doctor", pid_mode="container:app")
for each in (app, desk):
    each.wait_port(80)
### END SOLUTION

# %%
check("02.3")

# %% [markdown]
# ## 02.4 By the side door
#
# Start a container named `box`, with nothing special about it: it may not change its own network
# (try `box.exec("ip address add 10.1.2.3/32 dev lo")`). All the same, give its loopback interface
# `lo` one more address, the one in `variant("02.4").address`, while it runs. `box` itself must not
# be given any more rights for it. There is more than one way in.

# %%
variant("02.4")

# %% exercise="02.4"
### BEGIN SOLUTION
box = lab.run("base", name="box")
door = lab.run("toolbox", name="door", network="container:box", cap_add=["NET_ADMIN"])
door.exec(f"ip address add {variant('02.4').address}/32 dev lo")
### END SOLUTION

# %%
check("02.4")

# %% [markdown]
# ## 02.5 A humble root
#
# Start a container named `humble` whose *first process* is in a `user` namespace of its own. In
# there, two users have a number outside, and nobody else has: root, user 0, is the host's user
# `variant("02.5").uid`, and user `variant("02.5").clerk` is the host's `variant("02.5").clerk_uid`.
# (Those numbers mean nobody in particular on the host, and that is the point.)

# %%
variant("02.5")

# %% exercise="02.5"
### BEGIN SOLUTION
humble = lab.run(
    "toolbox",
    "unshare --user sleep infinity",
    name="humble",
    cap_add=["SYS_ADMIN"],
    security_opt=["seccomp=unconfined", "apparmor=unconfined"],
)
humble.wait_until(lambda: humble.namespaces().relation("user") == "its own", what="a new user ns")
own = variant("02.5")
lines = f"0 {own.uid} 1\\n{own.clerk} {own.clerk_uid} 1\\n"
lab.engine.host.run(["sh", "-c", f"printf '{lines}' >/proc/{humble.pid}/uid_map"])
### END SOLUTION

# %%
check("02.5")

# %% [markdown]
# ## 02.6 Nobody answers
#
# A repair. `scene("02.6")` sets up a pod: `hold` does nothing but hold a network, `web` serves in
# it, and `watch` asks `web` for its page every second, at `127.0.0.1`, and writes *up* or *down* to
# its log. Then something happened to it, on a bad night. Look at `docker ps` and at
# `docker logs --tail 3 watch`: everything is running, and nobody answers.
#
# Find out who is in the wrong place, and mend it. In the end all three must be in one network,
# which is not the host's, with `web` serving in it where `watch` asks. How you get there is up to
# you; a cell with `%%sh` or `%%host`, and a terminal, will do.

# %%
scene("02.6")

# %% exercise="02.6"
### BEGIN SOLUTION
home = lab.container("hold").namespaces()["net"]
lost = [name for name in ("web", "watch") if lab.container(name).namespaces()["net"] != home]
for name in lost:
    lab.container(name).restart(timeout=0)
lost
### END SOLUTION

# %%
check("02.6")

# %% [markdown]
# ## 02.7 A pod
#
# Make what Kubernetes calls a pod, of three containers. `pod` is the holder and does nothing else.
# `shop` serves, on port `variant("02.7").port`, and `post` keeps it company. The three are in one
# network, and have one set of letterboxes (`ipc`), in which there is a queue named
# `variant("02.7").queue`. Both namespaces are nobody else's, and it is `pod` that holds them:
# whichever of the two members is restarted, nothing comes apart. No port is published.

# %%
variant("02.7")

# %% exercise="02.7"
### BEGIN SOLUTION
own = variant("02.7")
pod = lab.run("base", name="pod", ipc_mode="shareable")
member = {"network": "container:pod", "ipc_mode": "container:pod"}
shop = lab.run("base", f"httpd -f -p {own.port}", name="shop", **member)
post = lab.run("base", f"sh -c 'touch /dev/mqueue/{own.queue}; sleep 1000'", name="post", **member)
shop.wait_port(own.port)
_ = post.wait_until(lambda: own.queue in post.exec("ls /dev/mqueue").stdout, what="the queue")
### END SOLUTION

# %%
check("02.7")

# %% [markdown]
# ## 02.8 Underneath
#
# `scene("02.8")` starts `vault`. At `variant("02.8").place` there was a file system with a file
# `word` in it. Then another one was mounted at the same place, and whoever looks there finds a file
# `note` and nothing else. What is the word? Give it: `answer("02.8", word="...")`.
#
# `vault` may not mount and unmount, and must not notice: whoever looks from within it must find
# there what was found before. So it will not do to take the upper one away, nor to restart `vault`
# (what is mounted by hand goes with its namespace, and the file with it).

# %%
scene("02.8")

# %%
variant("02.8")

# %% exercise="02.8"
### BEGIN SOLUTION
place, vault = variant("02.8").place, lab.container("vault")
look = ["unshare", "--mount", "sh", "-c", f"umount {place}; cat {place}/word"]
found = lab.engine.host.run(look, pid=vault.pid, namespaces=["mnt"])
answer("02.8", word=found.stdout.strip())
### END SOLUTION

# %%
check("02.8")

# %% [markdown]
# ## 02.9 Carried here
#
# A program is carried, running, from another machine to this one. That one had been up for
# `variant("02.9").days` days longer, and there the program was in no control group but the root of
# all. It must not notice the difference. Start a container named `moved`, and in it, not as its
# first process, `sleep` for `variant("02.9").seconds` seconds. This program
#
# - is in a `time` namespace of its own, by which the machine has been up for exactly so many days
#   longer;
# - is in a `cgroup` namespace of its own, not in that of the first process, and nobody else's;
# - is counted in the control group of `moved` like any process of it;
# - and is in the same `user` namespace as the first process of `moved`.
#
# (The kernel may be older than 5.6 and have no `time` namespaces. Then `check` says so, and nothing
# is lost.)

# %%
variant("02.9")

# %% exercise="02.9"
### BEGIN SOLUTION
own = variant("02.9")
ahead = f"--time --boottime {own.days * 24 * 60 * 60}"
line = f"unshare --cgroup {ahead} --fork sleep {own.seconds} & wait"
rights = {"cap_add": ["SYS_ADMIN", "SYS_TIME"]}
filters = {"security_opt": ["seccomp=unconfined", "apparmor=unconfined"]}
moved = lab.run("toolbox", ["sh", "-c", line], name="moved", **rights, **filters)
there = ("sleep", str(own.seconds))
_ = moved.wait_until(lambda: there in [p.cmdline for p in moved.processes()], what="the program")
### END SOLUTION

# %%
check("02.9")

# %% [markdown]
# ## 02.10 Your own container: the namespaces
#
# From here on you make a container yourself, by hand, one piece in each of three chapters; chapter
# 05 puts them together. **A piece is a program in a file that sets one thing up and then becomes
# the command that it was given**, so that pieces can stand in front of each other. The first one is
# the file `namespaces` in the folder `container` of your `work`; `piece("02.10")` says where that
# is. Write it, with any editor, or from here with `piece("02.10").write("...")`; as a shell script,
# or in Python. It is called with a name, and with a program and what that is given:
#
#     namespaces oak sleep 1000
#
# It runs the program as process 1 of a new `pid` namespace, with new `uts`, `ipc`, `mnt`, `net` and
# `cgroup` namespaces too. The program's host name is the name that was given, its `/proc` shows its
# own list of processes, and it reaches itself at `127.0.0.1`. The workbench around it stays as it
# was.
#
# `trial("02.10")` starts a workbench, `bench` (a `toolbox` that may make namespaces, as in the
# chapter), with your piece in it, and has it make two boxes, those of `variant("02.10")`. `check`
# looks at them from outside. The workbench stays: in a cell with `%%in bench` you can try by hand.

# %% exercise="02.10"
### BEGIN SOLUTION
piece("02.10").write("""
#!/bin/sh
# namespaces NAME PROGRAM [ARGUMENT...]: run a program in namespaces of its own.
exec unshare --uts --ipc --net --cgroup --mount --pid --fork --mount-proc \\
    sh -ec 'hostname "$0"; ip link set lo up; exec "$@"' "$@"
""")
### END SOLUTION
trial("02.10")

# %%
check("02.10")
