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
from labkit import answer, check, hint, progress, reset, scene, solution, variant

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
# Start a TCP server in a container named `app` (`httpd -f -p 80` will do), and beside it a
# container named `doctor` that sees the processes of `app`, but has a network of its own: it must
# not be able to listen in, nor to walk into the network of `app` with rights that it does not need.
# The processes of the host are none of its business either.

# %% exercise="02.3"
### BEGIN SOLUTION
app = lab.run("base", "httpd -f -p 80", name="app")
doctor = lab.run("base", name="doctor", pid_mode="container:app")
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
# Start a container named `humble` whose *first process* is in a `user` namespace of its own, and
# see to it that root in there, user 0, is the host's user `variant("02.5").uid`. (That number means
# nobody in particular on the host, and that is the point.)

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
line = f"echo 0 {variant('02.5').uid} 1 > /proc/{humble.pid}/uid_map"
lab.engine.host.run(["sh", "-c", line])
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
