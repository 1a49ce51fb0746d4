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
# machine no two processes have the same number, and no two servers the same port. Guess what they
# say, then run the cells. (One that begins with `%%in web` is typed in the container `web`, as with
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

# %% language="in" magic_args="web"
# hostname
# pidof httpd
# netstat -ltn

# %% language="in" magic_args="shop"
# hostname
# pidof httpd
# netstat -ltn

# %% [markdown]
# Two names, but both servers are process 1, and both listen on port 80. Does the rule about ports
# not hold, then? Start a second server in `web`, where one is running already:

# %% language="in" magic_args="web --fails"
# httpd -f -p 80

# %% [markdown]
# `bind: Address already in use`. The rule holds *within* `web`, and not *between* `web` and `shop`.
# So the kernel must keep two lists of ports. This chapter is about such lists: how many there are,
# which of them a process is on, how to make one, and how to step from one to another.
#
# (The **image** `base`, the set of files from which both were started, is BusyBox: one small program
# that plays the part of `sh`, `ps` and many others. The image `toolbox`, used below, is a small
# Debian. Where no command is given, both run `sleep infinity`.)
#
# ## A namespace is a number
#
# For eight kinds of things the kernel keeps not one list for the whole machine, but as many as
# anybody asks for. One such list is a **namespace**. A process is in one namespace of each kind,
# and what it asks the kernel about these things is answered from there.

# %%
predict("02.a", "A program of the host's, in no container: in how many namespaces is it?", [0, 1, 8])

# %% [markdown]
# The **host** is the machine whose kernel runs the containers, and a cell with `%%host` is typed
# there. In it `$engine` is the number of a process of the **engine**, the program that starts
# containers, and `$web` that of `web`'s first process. Below `/proc/NUMBER` the kernel shows nearly
# everything about a process, and in the folder `ns` its namespaces. (`$$` is a shell's own number.)

# %% tags=["nbval-ignore-output"] language="host"
# ls -la /proc/$engine/ns/

# %% tags=["nbval-ignore-output"] language="in" magic_args="web"
# ls -la /proc/$$/ns/

# %%
reveal("02.a", len(web.namespaces().host))

# %% [markdown]
# There are ten entries for eight kinds. (The two that end in `_for_children` say where the children
# of a process will be born; you will see below why that can be elsewhere.) The program of the
# host's has as many as the shell in `web`. To be in namespaces is nothing special: what matters is
# **which**.
#
# Each entry is a link to a kind and a number, an inode number, as files have. That is all the name
# that a namespace has, and comparing is exact: **two processes are in the same namespace if their
# numbers are equal at one time, and otherwise not.** So here is everything of this sort that sets
# `web` apart from the host, in eight comparisons:

# %%
web.namespaces()

# %% [markdown]
# Six are its own; two it shares with the host. When somebody says "isolated", ask for this table.
# What each kind is about, the rest of the chapter shows:
#
# | kind | is a list of | shown below under |
# |---|---|---|
# | `uts` | host name and domain name | A name, a number, a letterbox |
# | `pid` | process numbers | the same |
# | `ipc` | message queues, semaphores, shared memory | the same |
# | `mnt` | mounts: which file system is where | Files and wires |
# | `net` | interfaces, addresses, routes, ports | the same |
# | `cgroup` | control groups, as seen from one of them | Place and time |
# | `time` | offsets of the clocks that count from boot | the same |
# | `user` | user and group numbers, and who has which power | Who is root |
#
# The command `lsns` lists them, of the whole machine or of one process:

# %% tags=["nbval-ignore-output"] language="host"
# lsns --task $web

# %% [markdown]
# ## A name, a number, a letterbox
#
# To make a namespace you need no engine. One request to the kernel does it, the system call
# `unshare`, and a command has the same name: `unshare --uts PROGRAM` leaves the `uts` namespace it
# is in, gets a new one, and runs the program there. `web` may not:

# %% language="in" magic_args="web --fails"
# unshare --uts hostname

# %% [markdown]
# Two things hold it back. It lacks a **capability**, one of the forty-odd pieces into which the
# power of root is cut, here `SYS_ADMIN`; and a filter, **seccomp** (on some machines AppArmor too),
# refuses certain requests. `bench`, our workbench, is started with the one and without the others.

# %%
rights = {"cap_add": ["SYS_ADMIN"], "security_opt": ["seccomp=unconfined", "apparmor=unconfined"]}
bench = lab.run("toolbox", name="bench", **rights, **options)

# %% [markdown]
# **Predict.** We give the machine another name within a new `uts` namespace, and then ask for the
# name outside it again. What will it be?

# %% language="in" magic_args="bench"
# unshare --uts sh -c 'hostname elsewhere; hostname'
# hostname

# %% [markdown]
# `elsewhere`, then `bench` as before. The new namespace began as a copy of the old one and was then
# changed; in the old one nobody noticed. (`uts` is named after the record in which Unix keeps the
# machine's name; the letters once meant *Unix time-sharing*.)
#
# **Predict.** Now a shell in a new `pid` namespace is asked for its own number and for the name of
# process 1, the second time with `--mount-proc`. What will each say?

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
# Why `--fork`? A process keeps its number for life, so it cannot move into another `pid` namespace.
# It can only have its children born in one. Hence the entry `pid_for_children` above.
#
# `pid` namespaces lie inside each other. A `sleep` runs in one that was made inside a container.

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
# where it lives. The kernel lists all the numbers of a process in the line `NSpid` of its status:

# %% tags=["nbval-ignore-output"] language="host"
# for pid in $nested $(pgrep -P $nested); do grep NSpid /proc/$pid/status; done

# %% [markdown]
# The third kind, `ipc` (*inter-process communication*), is for programs that pass each other
# messages. `ipcmk -Q` has the kernel make a **message queue**, a letterbox that is on no disk. Beside
# it we put a file into `/dev/shm`, a folder in memory by which programs share it. **Predict.** Which
# of the two does a program see in a new `ipc` namespace?

# %% language="in" magic_args="bench"
# ipcmk -Q >/dev/null; touch /dev/shm/note
# count='echo "queues: $(ipcs -q | grep -c 0x), files: $(ls /dev/shm)"'
# sh -c "$count"
# unshare --ipc sh -c "$count"

# %% [markdown]
# The file, and no queue. Queues are on the list that `ipc` is. `/dev/shm` is a file system like
# another, and which of those a process sees is the business of the next kind.
#
# ## Files and wires
#
# A `mnt` namespace is often said to hold the files of a container. In a new one, an empty file
# system (a `tmpfs`, which is kept in memory) is **mounted** on `/mnt`: from then on it is what one
# finds there. One file is made in `/mnt`, a second in `/tmp`.

# %%
both = ["neither", "the one in /mnt", "the one in /tmp", "both"]
predict("02.c", "Afterwards, which of the two files does bench itself see?", both)

# %% language="in" magic_args="bench"
# unshare --mount sh -c 'mount -t tmpfs none /mnt; touch /mnt/first /tmp/second; ls /mnt /tmp'
# echo; echo "in bench itself:"
# ls /mnt /tmp

# %%
there = [f"the one in {place}" for place in ("/mnt", "/tmp") if bench.exec(["ls", place]).stdout]
reveal("02.c", there[0] if len(there) == 1 else "both" if there else "neither")

# %% [markdown]
# Inside both were there; in `bench` itself there is only the one in `/tmp`. The namespace holds no
# files. It holds the list of mounts, which says what file system is found at what place. Something
# was mounted on `/mnt` in one list and not in the other; `/tmp` leads to the same place from both.
#
# A container has other files than the host because its list begins with another `/`, to which
# `/proc/NUMBER/root` leads from outside. We put a page into `/` of `web`, and look for it on the
# host:

# %% language="in" magic_args="web"
# echo Welcome to web. >/index.html

# %% language="host"
# test -e /proc/$engine/root/index.html || echo "There is none in the host's own /."
# cat /proc/$web/root/index.html

# %% [markdown]
# Now the ports from the beginning. **Predict.** What network does a process find in a new `net`
# namespace? And what has the engine put into those of `web` and `shop`? (`%%sh` is typed on the
# machine of this notebook, where `docker` is.)

# %% language="in" magic_args="bench"
# unshare --net ip -brief address

# %% tags=["nbval-ignore-output"] language="sh"
# for each in web shop; do docker exec $each ip -o -4 address; done

# %% [markdown]
# A new one has `lo`, the **loopback** interface, by which a machine talks to itself. Even that is
# switched off (`DOWN`) and has no address, and there is no wire to anybody else. `web` and `shop`
# have an `eth0` besides, each with an address of its own. That solves the puzzle: a port belongs to
# a `net` namespace, and here are two of them. How the engine plugs in an `eth0` is told in
# chapter 10.
#
# ## Place and time
#
# The kernel sorts processes into a tree of **control groups**, which count and limit the memory and
# processor time they use (chapter 03). A process can ask where in that tree it is. **Predict.** What
# does it read in the host's `cgroup` namespace, and what in one of its own?

# %% tags=["nbval-ignore-output"] language="sh"
# for mode in host private; do
#     echo "$mode: $(docker run --rm --cgroupns $mode labkit/base tail -n 1 /proc/self/cgroup)"
# done

# %% [markdown]
# In the host's namespace a container reads its true place, and its own long id with it. In one of
# its own it reads `/`, the root of the tree. The tree is the same; the place is told from another
# starting point. A container for which nobody chose gets what its engine prefers: as a rule one of
# its own with version 2 of control groups, and none with version 1. This is yours:

# %% tags=["nbval-ignore-output"]
print("control groups: version", lab.engine.facts.cgroup_version)
print("cgroup namespace:", lab.run("base", name="plain").namespaces().relation("cgroup"))

# %% [markdown]
# The youngest kind is `time`. It came with Linux 5.6 in 2020, and many a text still counts seven
# kinds. We make one that is ten days ahead.

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
    moved += [what] * (there - here > 800_000)  # seconds; ten days are 864 000
reveal("02.d", moved[0] if len(moved) == 1 else "both" if moved else "neither")

# %% [markdown]
# The uptime moved and the date did not. Of the clocks only those that count from the start of the
# machine have an offset in a `time` namespace. That is for programs that are carried, running, from
# one machine to another. The date is one for the whole kernel: who sets it, sets it for every
# container. In the table above `web` shares its `time` with the host.
#
# And why `--user`? Without it, `bench` may not:

# %% language="in" magic_args="bench --fails"
# unshare --time --boottime 864000 --fork true

# %% [markdown]
# To move a clock takes the capability `SYS_TIME`, and `bench` was not given it. Whoever makes a
# `user` namespace has all capabilities, but only over what belongs to that namespace. The new `time`
# namespace does.
#
# ## Who is root
#
# **Predict.** The server in `web` runs as root, user number 0. Whom does the host take it for?

# %% language="host"
# ps -o uid,args -p $web

# %% [markdown]
# For root. The table said so: `user` is *shared with host*. (Where the whole engine runs in a user
# namespace, *rootless*, or gives one to its containers, `userns-remap`, you see another number.) Root
# in an ordinary container is root of the machine, held by other means: the subject of chapter 14.
#
# A `user` namespace changes that. The first process of `boxed` gets a new one. **Predict.** We step
# in with the command `nsenter`, keeping who we are. Who is that, in there?

# %%
boxed = lab.run("toolbox", "unshare --user sleep infinity", name="boxed", **rights, **options)
_ = boxed.wait_until(
    lambda: boxed.namespaces().relation("user") == "its own", what="a user namespace"
)

# %% language="in" magic_args="boxed"
# nsenter --target 1 --user --preserve-credentials id

# %% [markdown]
# Nobody. 65534 is the number that the kernel shows for all who have none here: a new `user`
# namespace knows no one. Somebody has to write down who is who, and may do so once. It is the **id
# map**: *first number inside, first number outside, how many*. We write one, step in as user 0,
# make a file, and try to read `/etc/shadow`, which only root may read.

# %% language="in" magic_args="boxed --fails"
# echo 0 1000 500 >/proc/1/uid_map; echo 0 1000 500 >/proc/1/gid_map
# cat /proc/1/uid_map
# nsenter --target 1 --user sh -c 'id -un; touch /tmp/note; stat -c "owner %u" /tmp/note'
# nsenter --target 1 --user cat /etc/shadow

# %% language="host"
# stat -c "for the host: owner %u" /proc/$boxed/root/tmp/note

# %% [markdown]
# It is root by name, and inside, the file is root's. Outside, the same file is that of user 1000, an
# ordinary user, to whom `/etc/shadow` stays shut. **Root of a user namespace is root over what
# belongs to that namespace, and over nothing else.**
#
# ## Walking in
#
# One can make a namespace, and one can enter one that is there: the system call is `setns`, the
# command `nsenter`. **You choose which kinds.** `web` is small: it has no `curl`. But `%%host` has.
# **Predict.** It enters the `net` namespace of `web`, and no other. Whom does it reach at
# `127.0.0.1`? Under which host name?

# %% language="host"
# nsenter --target $web --net curl --silent http://127.0.0.1/
# nsenter --target $web --net hostname | grep -qx web && echo "as web" || echo "as the host"

# %% [markdown]
# It reached the server of `web`, under the host's name: half in and half out. Your own tools, the
# container's network, and nothing to install. That is how to debug a container that holds nothing
# but its program, and what `kubectl debug` does for you in Kubernetes.
#
# `docker exec` enters too. So does `nsenter --all`. **Predict.** Do they come to the same? A program
# looks at itself both ways: at its capabilities, whether a filter holds it, its control group.

# %% tags=["nbval-ignore-output"] language="host"
# look='grep -E "^(CapEff|Seccomp):" /proc/self/status; tail -n 1 /proc/self/cgroup'
# nsenter --target $web --all sh -c "$look"

# %% tags=["nbval-ignore-output"] language="in" magic_args="web"
# grep -E "^(CapEff|Seccomp):" /proc/self/status; tail -n 1 /proc/self/cgroup

# %% [markdown]
# Not the same. Both are in `web`'s eight namespaces. But the program that `nsenter` brought kept the
# rights that it had outside, has no filter over it (0, where 2 means that there is one), and its
# control group is not `web`'s: what it uses is not counted there. `docker exec` does these things
# too. **The namespaces are what a process in a container sees; what it may do and how much it may
# use are set elsewhere.**
#
# ## Sharing a namespace
#
# The engine, too, can put a new container into namespaces of another one: `--network`, `--pid` and
# `--ipc`, each with the value `container:web`. Does `web` have a say in it?

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
# anew, and put up a letterbox: in `/dev/mqueue` the queues of a newer sort look like files. Then
# each of three guests gets one kind. (A container that helps another from beside it is often called
# a *sidecar*.)

# %% tags=["nbval-ignore-output"] language="sh"
# docker rm --force web
# docker run -d --name web --hostname web --cgroupns private --ipc shareable labkit/base httpd -f -p 80
# docker exec web sh -c 'echo Welcome to the new web. >/index.html; touch /dev/mqueue/letterbox'
# docker run -d --name sidecar --cgroupns private --network container:web labkit/base
# docker run -d --name debug --cgroupns private --pid container:web labkit/base
# docker run -d --name post --cgroupns private --ipc container:web labkit/base

# %%
web, sidecar, debug, post = [lab.container(n) for n in ("web", "sidecar", "debug", "post")]
web.wait_port(80)
labkit.show.namespace_matrix(web, shop, sidecar, debug, post, boxed)

# %% [markdown]
# This is the figure to keep: a row for each kind, a column for each party. Where two letters in a
# row are the same, the two are in the same namespace: all that joins them in what they see, and all
# that holds them apart. **Predict**, from the letters: which guest can fetch the page of `web` at
# `127.0.0.1`? Which sees its process, which its letterbox? Choose one after the other.


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
# Something ordinary happens: somebody restarts the server. Nobody thinks of its three guests.

# %%
guests = {"sidecar, in its net": sidecar, "debug, in its pid": debug, "post, in its ipc": post}
predict("02.f", "Which guest of web will not be running afterwards?", ["none", *guests])

# %% language="sh"
# docker restart -t 0 web

# %%
web.wait_port(80)
debug.wait_exit()
for each in (web, sidecar, debug, post):
    print(f"{each.name:8} {each.status:8} {each.exit_code or ''}")
ended = [which for which, guest in guests.items() if guest.status != "running"]
reveal("02.f", "; ".join(ended) or "none")

# %% [markdown]
# `debug` has exit code 137, that is 128 + 9, and signal 9 is KILL. Nobody had asked for that. The
# kernel did it: **when process 1 of a `pid` namespace ends, the kernel kills all others in it.** At
# least one can see that. `sidecar` and `post` are *running*, and seem well. Ask them.

# %% language="sh" magic_args="--no-raise-error"
# docker exec sidecar wget -qO- http://127.0.0.1/
# docker exec sidecar ls /sys/class/net
# echo "letterboxes of post: $(docker exec post ls /dev/mqueue), of web: $(docker exec web ls /dev/mqueue)"

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
# looks for the namespace anew.

# %% tags=["nbval-ignore-output"] language="host"
# readlink /proc/$web/ns/net /proc/$sidecar/ns/net

# %% language="sh"
# docker restart -t 0 sidecar
# docker exec sidecar wget -qO- http://127.0.0.1/

# %% [markdown]
# Kubernetes takes care that it does not come to this. Each of its *pods* has a container, `pause`,
# that does nothing but hold the namespaces; the others are its guests. Here is such a pod, in which
# we restart the server. How many networks do its three containers have?

# %% language="sh"
# docker run -d --name pause labkit/base >/dev/null
# docker run -d --name server --network container:pause labkit/base httpd -f -p 80 >/dev/null
# docker run -d --name helper --network container:pause labkit/base >/dev/null
# docker restart -t 0 server

# %% language="host"
# readlink /proc/$pause/ns/net /proc/$server/ns/net /proc/$helper/ns/net | sort -u | wc -l

# %% [markdown]
# Still one. And *at least*, above, because a namespace can live without any process. Here one is
# mounted on a file, and kept by that; then the mount is taken away, and an open descriptor keeps it:

# %% language="in" magic_args="bench"
# touch /tmp/kept
# unshare --uts=/tmp/kept hostname kept
# nsenter --uts=/tmp/kept hostname
# exec 3</tmp/kept; umount --lazy /tmp/kept
# nsenter --uts=/proc/self/fd/3 hostname

# %% [markdown]
# Your turn: the exercises are in `exercises/02_namespaces.ipynb`.
#
# ## What to remember
#
# 1. A namespace is one of many lists of its kind. A process is in one of each of the eight kinds.
# 2. It has no name but a number: equal numbers in `/proc/NUMBER/ns` are the same namespace.
# 3. Namespaces are made, entered and shared one kind at a time. One can be half inside.
# 4. Root in a container is the host's root, unless a `user` namespace maps it to somebody else.
# 5. A namespace lives at least while a process is in it; with process 1 of a `pid` namespace all in
#    it are killed.
#
# | to | type | where |
# |---|---|---|
# | see a process's namespaces | `ls -la /proc/$web/ns/`, `lsns --task $web` | host |
# | make one | `unshare --uts hostname elsewhere` | as root |
# | make one that lasts | `unshare --uts=FILE hostname kept` | as root |
# | enter one | `nsenter --target $web --net curl http://127.0.0.1/` | host |
# | share one | `docker run --network container:web`, `--pid`, `--ipc` | notebook |
# | compare several | `labkit.show.namespace_matrix(web, shop)` | Python |
# | see a process's numbers | `grep NSpid /proc/$web/status` | host |
# | see who is who | `cat /proc/1/uid_map` | container |
#
# Read next: `man 7 namespaces`, and one page for each kind, in the same section: `uts_namespaces`,
# `pid_namespaces`, `ipc_namespaces`, `mount_namespaces`, `network_namespaces`,
# `cgroup_namespaces`, `time_namespaces`, `user_namespaces`. Then `man 1 unshare`, `man 1 nsenter`.
