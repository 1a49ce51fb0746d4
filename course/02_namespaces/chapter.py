# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 Namespaces
#
# Two web servers are started on one machine, each in a container. We ask both for the name of their
# machine, their process number, and the port on which they listen. One kernel answers, and on one
# machine no two processes have the same number, no two servers the same port. Guess what they say,
# then run the cells. (One that begins with `%%in web` is typed in the container `web`, as with
# `docker exec`.)

# %%
import labkit
from labkit import predict, reveal

lab = labkit.Lab()
options = {"cgroupns": "private"}  # some engines do this unasked, some not: see "Place and time"
web = lab.run("base", "httpd -f -p 80", name="web", **options)
shop = lab.run("base", "httpd -f -p 80", name="shop", **options)
for each in (web, shop):
    each.wait_port(80)

# %% tags=["nbval-ignore-output"] language="in" magic_args="web"
# hostname
# pidof httpd
# netstat -ltn

# %% tags=["nbval-ignore-output"] language="in" magic_args="shop"
# hostname
# pidof httpd
# netstat -ltn

# %% [markdown]
# Two names, but both are process 1, and both listen on port 80. Does the rule about ports not hold?
# Start a second server in `web` (`--fails` says that we expect an error):

# %% language="in" magic_args="web --fails"
# httpd -f -p 80

# %% [markdown]
# `bind: Address already in use`. The rule holds *within* `web`, and not *between* `web` and `shop`.
# So the kernel must keep two lists of ports. This chapter is about such lists: how many there are,
# which of them a process is on, how to make one, and how to step from one to another.
#
# (The **image** `base`, the set of files from which both were started, is BusyBox: one small
# program that plays the part of `sh`, `ps` and many others. The image `toolbox` is a small Debian.
# Where no command is given, both run `sleep infinity`.)
#
# ## A namespace is a number
#
# For eight kinds of things the kernel keeps not one list for the whole machine, but as many as
# anybody asks for. One such list is a **namespace**. What a process asks about these things is
# answered from the lists that it is on.

# %%
predict("02.a", "A program in no container: in how many namespaces is it?", [0, 1, 8])

# %% [markdown]
# The **host** is the machine whose kernel runs the containers; a cell with `%%host` is typed there.
# In it `$web` is the number of `web`'s first process, and `$engine` that of a process of the
# **engine**, the program that starts containers. Below `/proc/NUMBER` the kernel shows nearly
# everything about a process; its namespaces are in the folder `ns`.

# %% tags=["nbval-ignore-output"] language="host"
# ls -la /proc/$engine/ns/

# %%
reveal("02.a", len(web.namespaces().host))

# %% [markdown]
# There are ten entries for eight kinds. (Two say where the children of a process will be born; you
# will see why that can be elsewhere.) Is a shell in `web` in more of them? Its own number is `$$`.

# %% tags=["nbval-ignore-output"] language="in" magic_args="web"
# ls -la /proc/$$/ns/

# %% [markdown]
# In just as many. To be in namespaces is nothing special: what matters is **which**. Each entry is
# a link to a kind and a number (an inode number, as files have). That is all the name that a
# namespace has, and comparing is exact: **two processes are in the same namespace if their numbers
# are equal at one time, and otherwise not.** So eight comparisons tell what `web` shares with the
# host:

# %%
web.namespaces()

# %% [markdown]
# Six are its own; two it shares with the host. When somebody says "isolated", ask for this table.
# The rest of the chapter shows each kind, in this order:
#
# | kind | is a list of |
# |---|---|
# | `uts` | host name and domain name |
# | `pid` | process numbers |
# | `ipc` | message queues, semaphores, shared memory |
# | `mnt` | mounts: which file system is where |
# | `net` | interfaces, addresses, routes, ports |
# | `cgroup` | control groups, as seen from one of them |
# | `time` | what some clocks are ahead or behind |
# | `user` | user and group numbers, and who has which power |
#
# The command `lsns` lists them, of the whole machine or of one process:

# %% tags=["nbval-ignore-output"] language="host"
# lsns --task $web

# %% [markdown]
# ## A name, a number, a letterbox
#
# To make a namespace you need no engine. One request to the kernel does it, the system call
# `unshare`; the command `unshare --uts PROGRAM` runs a program in a new `uts` namespace. `web` may
# not:

# %% language="in" magic_args="web --fails"
# unshare --uts hostname

# %% [markdown]
# Two things hold it back. It lacks a **capability**, one of the forty-odd pieces into which the
# power of root is cut, here `SYS_ADMIN`; and a filter, **seccomp** (on some machines AppArmor too),
# refuses certain requests. `bench`, our workbench, gets the one and is spared the others.

# %%
rights = {"cap_add": ["SYS_ADMIN"], "security_opt": ["seccomp=unconfined", "apparmor=unconfined"]}
bench = lab.run("toolbox", name="bench", **rights, **options)

# %% [markdown]
# **Predict.** The machine gets another name within a new `uts` namespace. What is its name outside,
# afterwards?

# %% language="in" magic_args="bench"
# unshare --uts sh -c 'hostname elsewhere; hostname'
# hostname

# %% [markdown]
# `bench`, as before. The new namespace began as a copy of the old one and was then changed; in the
# old one nobody noticed.
#
# **Predict.** A shell in a new `pid` namespace is asked for its own number and for the name of
# process 1, the second time with `--mount-proc`. What does it say?

# %% language="in" magic_args="bench"
# ask='echo "I am $$, and process 1 is called $(cat /proc/1/comm)"'
# unshare --pid --fork sh -c "$ask"
# unshare --pid --fork --mount-proc sh -c "$ask"

# %% [markdown]
# Both shells are number 1. The first hears that 1 is called `sleep`, the second that it is called
# `sh`. The number came straight from the kernel, which answered from the new namespace. The name
# came from a file in `/proc`, and the first shell's `/proc` was set up for the old namespace, where
# 1 is the `sleep` of `bench`. `ps` and `top` read `/proc`. When they seem to lie, ask **whose
# `/proc` they read**.
#
# Why `--fork`? A process keeps its number for life. It cannot move into another `pid` namespace,
# only have its children born there. Hence `pid_for_children` above.
#
# `pid` namespaces lie inside each other. Here a `sleep` runs in one that was made in a container.

# %%
inner = ["unshare", "--pid", "--fork", "--mount-proc", "sleep", "1000"]
nested = lab.run("toolbox", inner, name="nested", **rights, **options)
nested.wait_until(lambda: "sleep" in [p.comm for p in nested.processes()], what="the inner sleep")
predict("02.b", "How many numbers does the inner sleep have?", [1, 2, 3])

# %%
first, sleep = nested.processes()
for process in (first, sleep):
    print(f"{process.comm}: {len(process.nspid)} numbers, the innermost is {process.inside_pid}")
reveal("02.b", len(sleep.nspid))

# %% [markdown]
# Three: one for the host, one for the container, one for itself. Two processes are number 1, each
# where it lives. The kernel lists all the numbers of a process in its `NSpid`:

# %% tags=["nbval-ignore-output"] language="host"
# grep NSpid /proc/$nested/status
# grep NSpid /proc/$(pgrep -P $nested)/status

# %% [markdown]
# The kind `ipc` (*inter-process communication*) is for programs that pass each other messages.
# `ipcmk -Q` makes a **message queue**, a letterbox that is on no disk. Beside it we put a file into
# `/dev/shm`, a folder in memory that programs share. **Predict.** Which of the two does a program
# see in a new `ipc` namespace?

# %% language="in" magic_args="bench"
# ipcmk -Q >/dev/null; touch /dev/shm/note
# count='echo "queues: $(ipcs -q | grep -c 0x), files: $(ls /dev/shm)"'
# sh -c "$count"
# unshare --ipc sh -c "$count"

# %% [markdown]
# The file, and no queue. Queues are on the list that `ipc` is. `/dev/shm` is a file system, and
# which of those a process sees is the business of the next kind.
#
# ## Files and wires
#
# A `mnt` namespace is often said to hold the files of a container. In a new one, an empty file
# system (a `tmpfs`, kept in memory) is **mounted** on `/mnt`: it is then what one finds there. A
# file is made in `/mnt`, another in `/tmp`.

# %%
choices = ["neither", "the one in /mnt", "the one in /tmp", "both"]
predict("02.c", "Afterwards, which of the two files does bench itself see?", choices)

# %% language="in" magic_args="bench"
# unshare --mount sh -c 'mount -t tmpfs none /mnt; touch /mnt/first /tmp/second; ls /mnt /tmp'
# echo; echo "in bench itself:"
# ls /mnt /tmp

# %%
there = [f"the one in {place}" for place in ("/mnt", "/tmp") if bench.exec(["ls", place]).stdout]
reveal("02.c", there[0] if len(there) == 1 else "both" if there else "neither")

# %% [markdown]
# Inside, both were there; in `bench` itself, only the one in `/tmp`. The namespace holds no files.
# It holds the list of mounts, which says what file system is found at what place. Something was
# mounted on `/mnt` in one list and not in the other; `/tmp` leads to the same place from both.
#
# A container has other files than the host because its list begins with another `/`, to which
# `/proc/NUMBER/root` leads from outside. We put a page into that of `web`:

# %% language="in" magic_args="web"
# echo Welcome to web. >/index.html

# %% language="host"
# test -e /proc/$engine/root/index.html || echo "There is none in the host's own /."
# cat /proc/$web/root/index.html

# %% [markdown]
# Now the ports from the beginning. **Predict.** What network does a process find in a new `net`
# namespace?

# %% language="in" magic_args="bench"
# unshare --net ip -brief address

# %% [markdown]
# Only `lo`, the **loopback** interface, by which a machine talks to itself. Even that is off
# (`DOWN`) and has no address. What has the engine put into the namespaces of `web` and `shop`?
# (`%%sh` is typed where this notebook runs, and `docker` is.)

# %% tags=["nbval-ignore-output"] language="sh"
# for each in web shop; do docker exec $each ip -o -4 address; done

# %% [markdown]
# An `eth0`, each with an address of its own. That solves the puzzle: a port belongs to a `net`
# namespace, and here are two of them. Chapter 10 tells how an `eth0` is plugged in.
#
# ## Place and time
#
# The kernel sorts processes into a tree of **control groups**, which count and limit the memory and
# processor time they use (chapter 03). A process can ask for its place in it. **Predict.** What
# does it read in the host's `cgroup` namespace, and what in one of its own?

# %% tags=["nbval-ignore-output"] language="sh"
# for mode in host private; do
#     place="tail -n 1 /proc/self/cgroup | cut -d: -f3"
#     echo "$mode: $(docker run --rm --cgroupns $mode labkit/base sh -c "$place")"
# done

# %% [markdown]
# In the host's namespace a container reads its true place, with its long id. In one of its own
# it reads `/`, the root of the tree. The tree is the same; the place is told from another starting
# point. Where nobody chooses, the engine does: as a rule a container gets one of its own with
# version 2 of control groups, and none with version 1. This is yours:

# %% tags=["nbval-ignore-output"]
print("control groups: version", lab.engine.facts.cgroup_version)
print("cgroup namespace:", lab.run("base", name="plain").namespaces().relation("cgroup"))

# %% [markdown]
# The youngest kind, `time`, came with Linux 5.6 in 2020; many a text still counts seven. We make
# one that is ten days ahead.

# %%
clocks = ["neither", "the uptime", "the date", "both"]
predict("02.d", "Which will be ahead: how long the machine has been up, or the date?", clocks)

# %% tags=["nbval-ignore-output"] language="in" magic_args="bench"
# ask='echo "up $(($(cut -d. -f1 /proc/uptime) / 86400)) days, on $(date +%F)"'
# sh -c "$ask"
# unshare --user --map-root-user --time --boottime 864000 --fork sh -c "$ask"

# %%
ahead = "unshare --user --map-root-user --time --boottime 864000 --fork"
moved = []
for what, asked in {"the uptime": "cut -d. -f1 /proc/uptime", "the date": "date +%s"}.items():
    here, there = [int(bench.exec(f"{how} {asked}").stdout) for how in ("", ahead)]
    moved += [what] * (there - here > 800_000)  # seconds: ten days are 864 000
reveal("02.d", moved[0] if len(moved) == 1 else "both" if moved else "neither")

# %% [markdown]
# The uptime moved and the date did not. In a `time` namespace only the clocks that count from the
# start of the machine have an offset. That is for programs that are carried, running, from one
# machine to another. The date is one for the whole kernel.
#
# And why `--user`? Without it, `bench` may not:

# %% language="in" magic_args="bench --fails"
# unshare --time --boottime 864000 --fork true

# %% [markdown]
# To move a clock takes the capability `SYS_TIME`, which `bench` lacks. Whoever makes a `user`
# namespace has all capabilities, but only over what belongs to it. The new `time` namespace does.
#
# ## Who is root
#
# **Predict.** The server in `web` runs as root, user number 0. Whom does the host take it for?

# %% language="host"
# ps -o uid,args -p $web

# %% [markdown]
# For root. The table said so: `user` is *shared with host*. (Engines that are *rootless*, or set to
# `userns-remap`, keep their containers in another user namespace: there you see another number.)
# Root in an ordinary container is root of the machine, held by other means: see chapter 14.
#
# A `user` namespace changes that. The first process of `boxed` gets a new one. **Predict.** We step
# in from the host with the command `nsenter`, keeping who we are. Which user is that, in there?

# %%
boxed = lab.run("toolbox", "unshare --user sleep infinity", name="boxed", **rights, **options)
_ = boxed.wait_until(
    lambda: boxed.namespaces().relation("user") == "its own", what="a user namespace"
)

# %% language="host"
# nsenter --target $boxed --user --preserve-credentials id -u

# %% [markdown]
# Nobody. 65534 is the number that the kernel shows for all who have none here. The **id map**,
# which can be written once, says who is who: *first number inside, first number outside, how many*.
# We write one, step in as user 0, make a file, and try to read `/etc/shadow`, which only root may
# read. **Predict.** What works, and whose is the file outside?

# %% language="host" magic_args="--fails"
# echo 0 1000 500 >/proc/$boxed/uid_map; echo 0 1000 500 >/proc/$boxed/gid_map
# cat /proc/$boxed/uid_map
# inside="nsenter --target $boxed --user --mount"
# $inside sh -c 'id -un; touch /tmp/note; stat -c "owner %u" /tmp/note'
# $inside cat /etc/shadow

# %% language="host"
# stat -c "for the host: owner %u" /proc/$boxed/root/tmp/note

# %% [markdown]
# It is root by name, and inside, the file is root's. Outside, it is that of user 1000, an ordinary
# one, to whom `/etc/shadow` stays shut. **Root of a user namespace is root over what belongs to
# that namespace, and over nothing else.**
#
# ## Walking in
#
# One can also enter a namespace that is there: the system call is `setns`, the command `nsenter`.
# **You choose which kinds.** **Predict.** The host's `curl` enters the `net` namespace of `web`,
# and no other. Whom does it reach at `127.0.0.1`? Under which host name?

# %% language="host"
# test -e /proc/$web/root/usr/bin/curl || echo "web itself has no curl"
# nsenter --target $web --net curl --silent http://127.0.0.1/
# nsenter --target $web --net hostname | grep -qx web && echo "as web" || echo "as the host"

# %% [markdown]
# The server of `web`, under the host's name: it is half in and half out. Your own tools, the
# container's network, and nothing to install: that is how to debug a container that holds nothing
# but its program, as Kubernetes does with `kubectl debug`.
#
# `docker exec` enters too. So does `nsenter --all`. **Predict.** Is that the same? A program looks
# at itself both ways. It sums up the numbers of its namespaces, and prints its capabilities (a bit
# for each), whether a filter holds it (2) or none (0), and its control group.

# %% tags=["nbval-ignore-output"] language="in" magic_args="web"
# echo 'stat -Lc %i /proc/self/ns/* | md5sum' >/look
# echo 'grep -E "^(CapEff|Seccomp):" /proc/self/status' >>/look
# echo 'tail -n 1 /proc/self/cgroup | cut -d: -f3' >>/look
# sh /look

# %% tags=["nbval-ignore-output"] language="host"
# nsenter --target $web --all sh /look

# %% [markdown]
# Both are in the same eight namespaces. But the program that `nsenter` brought kept the rights that
# it had outside, no filter holds it, and its control group lies beside that of `web` (`/..`): what
# it uses is not counted there. `docker exec` sees to these things too. **The namespaces are what a
# process in a container sees; what it may do and how much it may use are set elsewhere.**
#
# ## Sharing a namespace
#
# The engine can put a new container into namespaces of another: `--network`, `--pid` and `--ipc`,
# each with the value `container:web`. Does `web` have a say in it?

# %%
kinds = {"network": "network_mode", "pid": "pid_mode", "ipc": "ipc_mode"}
predict("02.e", "Which of the three must web have agreed to beforehand?", ["none", *kinds])

# %% tags=["nbval-ignore-output"] language="sh"
# for kind in network pid ipc; do
#     docker run --rm --$kind container:web labkit/base echo "$kind: shared" 2>&1 | head -n 1
# done

# %%
refused = []
for kind, option in kinds.items():
    try:
        lab.once("base", "true", **{option: "container:web"})
    except labkit.LabError:
        refused.append(kind)
reveal("02.e", ", ".join(refused) or "none", by="the engine")

# %% [markdown]
# A container whose letterboxes others may use is started with `--ipc shareable`. So we start `web`
# anew, and put up a letterbox: queues of a newer sort look like files in `/dev/mqueue`. Then each
# of three guests gets one kind. (A container that helps another is often called a *sidecar*.)

# %% tags=["nbval-ignore-output"] language="sh"
# exec >/dev/null
# docker rm --force web sidecar debug post 2>&1 || true
# start="docker run -d --cgroupns private"
# $start --name web --hostname web --ipc shareable labkit/base httpd -f -p 80
# docker exec web sh -c 'echo Welcome to the new web. >/index.html; touch /dev/mqueue/letterbox'
# $start --name sidecar --network container:web labkit/base
# $start --name debug --pid container:web labkit/base
# $start --name post --ipc container:web labkit/base

# %%
web, sidecar, debug, post = [lab.container(n) for n in ("web", "sidecar", "debug", "post")]
web.wait_port(80)
labkit.show.namespace_matrix(web, shop, sidecar, debug, post, boxed)

# %% [markdown]
# This is the figure to keep: a row for each kind, and in a row the same letter for the same
# namespace. **Predict**, from the letters: which guest can fetch the page of `web` at `127.0.0.1`?
# Which sees its process, which its letterbox? Choose one after the other.


# %%
def ask(guest):
    for question in ("wget -qO- http://127.0.0.1/", "ps -o args", "ls /dev/mqueue"):
        print(f"$ {question}\n{lab.container(guest).exec(question)}\n")


labkit.show.explore(ask, guest=["sidecar", "debug", "post"])

# %% [markdown]
# One more. In the row `uts`, `sidecar` has another letter than `web`. Does it have another host
# name?

# %% language="sh"
# docker exec web hostname
# docker exec sidecar hostname

# %% [markdown]
# The same name: the engine copied it. Two lists can say the same and be two. **That things look
# alike proves nothing; the numbers do.**
#
# ## Break it
#
# Something ordinary happens: somebody restarts the server. Nobody thinks of its guests: `sidecar`
# in its network, `debug` among its processes, `post` at its letterbox.

# %%
guests = {"sidecar": sidecar, "debug": debug, "post": post}
predict("02.f", "Which of them will not be running afterwards?", ["none", *guests])

# %% language="sh"
# docker restart -t 0 web

# %%
web.wait_port(80)
debug.wait_exit()
for each in (web, *guests.values()):
    print(f"{each.name:8} {each.status:8} {each.exit_code or ''}")
ended = [name for name, guest in guests.items() if guest.status != "running"]
reveal("02.f", ", ".join(ended) or "none")

# %% [markdown]
# `debug` has exit code 137, that is 128 + 9, and signal 9 is KILL. The kernel did it: **when
# process 1 of a `pid` namespace ends, the kernel kills all others in it.** `sidecar` and `post` are
# *running*, and seem well. Ask them. (`--no-raise-error` is IPython's word for `--fails`.)

# %% language="sh" magic_args="--no-raise-error"
# docker exec sidecar wget -qO- http://127.0.0.1/
# docker exec sidecar ls /sys/class/net
# for each in post web; do echo "letterboxes of $each: $(docker exec $each ls /dev/mqueue)"; done

# %%
labkit.show.namespace_matrix(web, sidecar, post)

# %% [markdown]
# `sidecar` cannot reach a server that runs and listens, and its `eth0` is gone. `post` watches a
# letterbox that `web` does not have. The letters say why: **a namespace lives at least as long as a
# process is in it.** The old `web` ended, and its `net` and `ipc` namespaces did not, because
# `sidecar` and `post` were still there. The engine took away the wire, and made new namespaces for
# the new `web`. The guests were left behind in the old ones.
#
# How to recognise it: all containers are *running*; what worked a minute ago is refused; there is
# no interface but `lo`; and it began when *another* container was restarted. The proof is two
# numbers that ought to be equal and are not. The cure is to restart the guest: the engine then
# looks for the namespace anew. We mend `sidecar` so; `post` would take the same.

# %% tags=["nbval-ignore-output"] language="host"
# readlink /proc/$web/ns/net /proc/$sidecar/ns/net

# %% language="sh"
# docker restart -t 0 sidecar
# docker exec sidecar wget -qO- http://127.0.0.1/

# %% [markdown]
# In Kubernetes each *pod* has a container, `pause`, that does nothing but hold the namespaces; the
# others are its guests. Here we restart the server of such a pod. How many networks do the three
# then have?

# %% language="sh"
# docker run -d --name pause labkit/base >/dev/null
# docker run -d --name server --network container:pause labkit/base httpd -f -p 80 >/dev/null
# docker run -d --name helper --network container:pause labkit/base >/dev/null
# docker restart -t 0 server

# %% language="host"
# readlink /proc/$pause/ns/net /proc/$server/ns/net /proc/$helper/ns/net | sort -u | wc -l

# %% [markdown]
# One. And why *at least*? A namespace can live without any process. Here one is kept by a file that
# it is mounted on, and when that mount is taken away, by the file's being open, as number 3:

# %% language="in" magic_args="bench"
# touch /tmp/kept
# unshare --uts=/tmp/kept hostname kept
# nsenter --uts=/tmp/kept hostname
# exec 3</tmp/kept; umount --lazy /tmp/kept
# nsenter --uts=/proc/self/fd/3 hostname

# %% [markdown]
# Your turn: the exercises are in [exercises/02_namespaces.ipynb](../exercises/02_namespaces.ipynb).
#
# ## What to remember
#
# 1. A namespace is one of many lists of its kind. A process is in one of each of the eight kinds.
# 2. It has no name but a number: equal numbers in `/proc/NUMBER/ns` are the same namespace.
# 3. Namespaces are made, entered and shared one kind at a time. One can be half inside.
# 4. Root in a container is the host's root, unless a `user` namespace maps it to somebody else.
# 5. A namespace lives at least while a process is in it; the end of process 1 is the end of all in
#    its `pid` namespace.
#
# | to | type | where |
# |---|---|---|
# | see a process's namespaces | `lsns --task $web`, `ls -la /proc/$engine/ns/` | host |
# | make one | `unshare --net ip -brief address` | `bench` |
# | enter one | `nsenter --target $web --net curl --silent http://127.0.0.1/` | host |
# | share one | `docker run ... --network container:pause ...` | notebook |
# | see a process's numbers | `grep NSpid /proc/$nested/status` | host |
# | see who is who | `cat /proc/$boxed/uid_map` | host |
#
# Read next: `man 7 namespaces`, and in the same section one page for each kind, such as
# `pid_namespaces`. Then `man 1 unshare`, `man 1 nsenter`.
