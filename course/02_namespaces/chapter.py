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
# Two web servers are started on one machine, each in a container. We ask three things of each: the
# name of its machine, its process number, and the port on which it listens. One kernel answers all
# of it, and on one machine no two processes have the same number, and no two servers the same port.
# Guess what they say, then run the cell.

# %%
import labkit
from labkit.inspect import read_process

lab = labkit.Lab()
own = {"cgroupns": "private"}  # this and ipc_mode: see "Place and time", "Sharing a room"
web = lab.run("base", "httpd -f -p 80", name="web", ipc_mode="shareable", **own)
shop = lab.run("base", "httpd -f -p 80", name="shop", **own)
for each in (web, shop):
    (port,) = each.wait_port(80).listening()
    print(f"name {each.exec('hostname')}, process {each.exec('pidof httpd')}, port {port}")

# %% [markdown]
# Both are process 1, and both have port 80. Is the rule about ports not true, then? Start a second
# server in `web`, where one is running already:

# %%
web.exec("httpd -f -p 80", timeout=30)

# %% [markdown]
# The rule holds *within* `web`, and not *between* `web` and `shop`. So the kernel must keep two
# lists of ports. This chapter is about such lists: how many there are, how to see which of them a
# process is on, how to make one, and how to step from one to another.
#
# (The image `base` is BusyBox, one small program that plays the part of `sh`, `ps` and others. The
# image `toolbox`, used below, is a small Debian. The **engine** is the program that starts
# containers from images, such as Docker's, and the **host** is the machine on which they run.)
#
# ## A namespace is a number
#
# For eight kinds of things the kernel keeps not one list for the whole machine, but as many as
# anybody asks for. One such list is a **namespace**. Every process is in exactly one namespace of
# each kind, and what it asks the kernel about these things is answered from there. That goes for
# every process, in a container or not: your own shell is in eight namespaces too.
#
# **Predict.** Where would the kernel show you which namespaces a process is in?

# %%
host = lab.engine.host
host.list(f"/proc/{web.pid}/ns")

# %% [markdown]
# Where it shows nearly everything about a process: below `/proc/PID`. There are ten entries for
# eight kinds. The two that end in `_for_children` say where the children of the process will be
# born; you will see below why that can be somewhere else.
#
# Each entry is a link. Where does it lead?

# %% tags=["nbval-ignore-output"]
for kind in ("net", "uts", "user"):
    print(kind, "->", host.link(f"/proc/{web.pid}/ns/{kind}"))

# %% [markdown]
# To a kind and a number. The number (an inode number, as files have) is all the name that a
# namespace has. The numbers differ from run to run, but comparing them is exact: **two processes
# are in the same namespace if, and only if, the numbers are equal.** So here is everything that
# sets `web` apart from the host, in eight comparisons:

# %%
web.namespaces()

# %% [markdown]
# For six kinds `web` is alone, for two it lives with everybody else on the host. When somebody says
# "isolated", ask for this table. What each kind is about, the rest of the chapter shows:
#
# | kind | is a list of | shown below under |
# |---|---|---|
# | `uts` | host name and domain name | A name, a number, a letterbox |
# | `pid` | process numbers | the same |
# | `ipc` | message queues, shared memory, semaphores | the same |
# | `mnt` | mounts: which file system is where | Files and wires |
# | `net` | interfaces, addresses, routes, ports | the same |
# | `cgroup` | control groups, as seen from one of them | Place and time |
# | `time` | offsets of the clocks that count from boot | the same |
# | `user` | user and group numbers, and who has which power | Who is root |
#
# In a terminal: `ls -l /proc/$$/ns` for your own shell, `lsns` for the whole machine.
#
# ## A name, a number, a letterbox
#
# To make a namespace you need no engine. One request to the kernel does it, the system call
# `unshare`, and a command has the same name: `unshare --uts PROGRAM` leaves the `uts` namespace it
# is in, gets a new one, and runs the program there. Containers are usually not allowed to do that,
# so we start one that is: a workbench.

# %%
workbench = {
    "cap_add": ["SYS_ADMIN"],  # the right to make and enter namespaces, among others
    "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],  # no filters in between
    **own,
}
bench = lab.run("toolbox", name="bench", **workbench)

# %% [markdown]
# **Predict.** We give the machine another name within a new `uts` namespace, and then ask `bench`
# itself for its name. What will it be?

# %%
print("there:", bench.exec(["unshare", "--uts", "sh", "-c", "hostname elsewhere; hostname"]))
print("here: ", bench.exec("hostname"))

# %% [markdown]
# `bench`, as before. The new namespace began as a copy of the old one and was then changed; in the
# old one nobody noticed. (`uts` is named after the record in which Unix keeps the machine's name;
# the letters once meant *Unix time-sharing*.)
#
# Now process numbers. **Predict.** A shell in a new `pid` namespace is asked for its own number,
# which the shell knows as `$$`, and for the name of process 1. We ask twice, the second time with
# `--mount-proc`. Which name will it give, each time?

# %%
ask = "echo I am $$, and process 1 is called $(cat /proc/1/comm)"
print(bench.exec(["unshare", "--pid", "--fork", "sh", "-c", ask]))
print(bench.exec(["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", ask]))

# %% [markdown]
# The first shell hears that it is 1, and that 1 is called `sleep`. Both are true. The number came
# straight from the kernel, which answered from the new namespace. The name came from a file in
# `/proc`, and that `/proc` was set up earlier, for the old namespace: there, 1 is the `sleep` of
# `bench`. The second shell got a `/proc` of its own, and the picture fits. `ps` and `top` read
# `/proc` and nothing else. When they seem to lie, ask **whose `/proc` they read**.
#
# Why `--fork`? A process keeps its number for life, so it cannot move into another `pid`
# namespace. It can only have its children born in one. Hence the entry `pid_for_children` above.
#
# `pid` namespaces lie inside each other. A process has one number in its own, and one more in each
# that lies around it, out to the host's. **Predict.** A `sleep` runs in a namespace that was made
# inside a container. How many numbers does it have?

# %%
inner = ["unshare", "--pid", "--fork", "--mount-proc", "sleep", "infinity"]
nested = lab.run("toolbox", inner, name="nested", **workbench)
nested.wait_until(lambda: "sleep" in [p.comm for p in nested.processes()], what="the inner sleep")
for process in nested.processes():
    print(f"{process.comm}: {len(process.nspid)} numbers, the innermost is {process.inside_pid}")

# %% [markdown]
# Three: one for the host, one for the container, one for itself. Two processes of the container are
# number 1, each where it lives. The kernel lists all of them in the line `NSpid` of
# `/proc/PID/status`.
#
# The third kind, `ipc` (*inter-process communication*), is for programs that pass each other
# messages or share memory. To make a file in `/dev/mqueue` is to make a **message queue**: a
# letterbox that the kernel keeps, on no disk. **Predict.** `web` puts one up. Who can see it?

# %%
web.exec("touch /dev/mqueue/letterbox")
for each in (web, shop):
    print(each.name, "sees", each.exec("ls /dev/mqueue").stdout.split())

# %% [markdown]
# In a terminal: `sudo unshare --uts sh`, `sudo unshare --pid --fork --mount-proc sh`,
# `grep NSpid /proc/PID/status`, and for shared memory and queues of the older sort (System V),
# `sudo unshare --ipc ipcs`.
#
# ## Files and wires
#
# A `mnt` namespace is often said to hold the files of a container. Let us see. In a new one, an
# empty file system (a `tmpfs`, which is kept in memory) is **mounted** on `/mnt`: from then on it
# is what one finds there. One file is made in `/mnt`, a second in `/tmp`. **Predict.** Which of the
# two will `bench` see?

# %%
there = "mount -t tmpfs none /mnt; touch /mnt/first /tmp/second; ls /mnt /tmp"
print(bench.exec(["unshare", "--mount", "sh", "-c", there]), end="\n\n")
print(bench.exec("ls /mnt /tmp"))

# %% [markdown]
# The second. The namespace holds no files. It holds the list of mounts, which says what file system
# is found at what place. Something was mounted on `/mnt` in one list and not in the other;
# `/tmp` leads to the same place from both.
#
# A container has other files than the host because its list begins with another `/`. You can look
# at a container's files from outside, through the link `/proc/PID/root`. **Predict.** We put a page
# into `/` of `web`. Who sees it?

# %%
web.put("/index.html", "Welcome to web.\n")
print("in / of the host:", "index.html" in host.list("/"))
print("in / of web:     ", "index.html" in host.list(f"/proc/{web.pid}/root"))

# %% [markdown]
# Now the ports from the beginning. **Predict.** What network does a process find in a new `net`
# namespace?

# %%
bench.exec("unshare --net ip -brief address")

# %% [markdown]
# Next to nothing: `lo`, the **loopback** interface, by which a machine talks to itself. Even that
# is switched off (`DOWN`) and has no address, and there is no wire to anybody else. What `web` and
# `shop` have beyond that, the engine has put there:

# %%
for each in (web, shop):
    print(each.name, "has", each.exec("ls /sys/class/net").stdout.split())
print("the same address:", web.address() == shop.address())

# %% [markdown]
# That solves the puzzle. A port belongs to a `net` namespace, and here are two of them, each with
# an `eth0` and an address of its own. How the engine plugs in the `eth0` is told in chapter 09.
#
# In a terminal: `sudo unshare --net ip address`, `sudo unshare --mount sh`, and
# `sudo ls /proc/PID/root`.
#
# ## Place and time
#
# The kernel sorts processes into a tree of **control groups**, which decide how much memory and
# processor time they may use (chapter 03). A process can ask where in that tree it is. **Predict.**
# What does it read in the `cgroup` namespace of the host, and what in one of its own?

# %% tags=["nbval-ignore-output"]
places = {
    mode: lab.once("base", "tail -n 1 /proc/self/cgroup", cgroupns=mode).stdout.strip()
    for mode in ("host", "private")
}
places

# %%
for mode, line in places.items():
    print(f"{mode:7} | at the root of the tree:", line.endswith(":/"))

# %% [markdown]
# In the host's namespace a container reads its true place, and its own long id with it. In one of
# its own it reads `/`, the root of the tree. The tree is the same; the place is told from another
# starting point.
#
# Does a container get a `cgroup` namespace if you do not ask? There are two versions of control
# groups, and engines commonly make one with version 2 and none with version 1. This is yours:

# %% tags=["nbval-ignore-output"]
print("control groups: version", lab.engine.facts.cgroup_version)
print("cgroup namespace:", lab.run("base", name="plain").namespaces().relation("cgroup"))

# %% [markdown]
# In this chapter we always ask for one, with `own`, so that all readers see the same.
#
# The youngest kind is `time`. It came with Linux 5.6 in 2020, and many a text still counts seven
# kinds. **Predict.** We make one that is ten days ahead. Which of these two will show it: how long
# the machine has been up (`/proc/uptime`), or the date?

# %%
ahead = "unshare --user --map-root-user --time --boottime 864000 --fork"
for what in ("cut -d. -f1 /proc/uptime", "date +%s"):
    here, there = (int(bench.exec(f"{how} {what}").stdout) for how in ("", ahead))
    print(f"{what}: {round((there - here) / 86400)} days ahead")
bare = ahead.replace("--user --map-root-user", "")
print("allowed without --user:", bench.exec(f"{bare} true").exit_code == 0)

# %% [markdown]
# Only the clocks that count from the start of the machine can be moved. That is for programs that
# are carried, running, from one machine to another. The date is one for the whole kernel: who sets
# it, sets it for every container. In the table above `web` shares its `time` with the host, as
# containers usually do.
#
# And why is it allowed with `--user` only? To move a clock one must be root, in a sense that comes
# next.
#
# In a terminal: `cat /proc/self/cgroup`, `sudo unshare --time --boottime 864000 --fork uptime`.
#
# ## Who is root
#
# **Predict.** The server in `web` runs as root, user number 0. Whom does the host take it for?

# %%
print("inside:      ", web.exec("id -u"))
print("for the host:", read_process(host, web.pid).uid)

# %% [markdown]
# For root. The table said so: `user` is *shared with host*. Root in an ordinary container is root
# of the machine, and it is held by other means, the subject of chapter 13. A `user` namespace
# changes that. The first process of `boxed` gets a new one. **Predict.** We step in (`nsenter`),
# keeping who we are. Who is that, in there?

# %%
boxed = lab.run("toolbox", "unshare --user sleep infinity", name="boxed", **workbench)
boxed.wait_until(lambda: boxed.namespaces().relation("user") == "its own", what="a user namespace")
boxed.exec("nsenter --target 1 --user --preserve-credentials id")

# %% [markdown]
# Nobody. 65534 is the number that the kernel shows for all who have none here: a new `user`
# namespace knows no one. Somebody has to write down who is who, and may do so once. It is the **id
# map**, and has three numbers in a line: *first number inside, first number outside, how many*.

# %%
boxed.exec(["sh", "-c", "cd /proc/1; echo 0 1000 500 > uid_map; echo 0 1000 500 > gid_map"])
for part in boxed.id_maps()[0].ranges:
    print(part.inside, part.outside, part.count)

# %% [markdown]
# So the host reads it: 0 inside is 1000 outside, 1 is 1001, and so on, 500 in all. **Predict.** Now
# we step in as user 0, make a file, and try to read `/etc/shadow`, where the passwords are and
# which only root may read. What works? And whose is the new file?

# %%
go_in = ["nsenter", "--target", "1", "--user"]
print(boxed.exec([*go_in, "sh", "-c", "id -un; touch /tmp/note; stat -c 'owner %u' /tmp/note"]))
print("for the host: owner", host.stat(f"/proc/{boxed.pid}/root/tmp/note")["uid"])
print(boxed.exec([*go_in, "cat", "/etc/shadow"]))

# %% [markdown]
# It is root by name, and inside, the file is root's. Outside, the same file is that of user 1000,
# an ordinary user, to whom `/etc/shadow` stays shut. **Root of a user namespace is root over what
# belongs to that namespace, and over nothing else.** Thus `ahead` could move a clock: it made a
# `user` namespace, in which it was root, and then a `time` namespace that belonged to it.
#
# In a terminal, as an ordinary user: `unshare --user --map-root-user sh`, then
# `cat /proc/self/uid_map`. Docker gives containers a `user` namespace only when the whole engine is
# set up for it (its manual calls that `userns-remap` and *rootless mode*).
#
# ## Walking in
#
# One can make a namespace, and one can enter one that is there. The system call is `setns`, the
# command is `nsenter`: it opens links in `/proc/PID/ns` and steps in. **You choose which kinds.**
# `host.run` does it for a program from outside the container.
#
# **Predict.** A program from outside enters the `net` namespace of `web`, and no other. Is it in
# the network of `web` then? Does it go under the host name of `web`?

# %%
links = ["readlink", "/proc/self/ns/net", "/proc/self/ns/uts"]
net, uts = host.run(links, pid=web.pid, namespaces=["net"]).stdout.split()
print("in the network of web:", net == str(web.namespaces()["net"]))
print("under the name of web:", uts == str(web.namespaces()["uts"]))

# %% [markdown]
# It is half in and half out. That is worth more than it seems. `web` is small: it does not even
# have `bash`. But the `bash` from outside, standing in `web`'s network, calls the server under
# `127.0.0.1`, as a program inside would:

# %%
call = r"exec 3<>/dev/tcp/127.0.0.1/80; printf 'GET / HTTP/1.0\r\n\r\n' >&3; tail -n 1 <&3"
print("web has bash:", web.exec("which bash").exit_code == 0)
print(host.run(["bash", "-c", call], pid=web.pid, namespaces=["net"]).stdout)

# %% [markdown]
# Your own tools, the container's network, and nothing to install. That is how to debug a container
# that holds nothing but its program.
#
# **Predict.** `docker exec`, which is `web.exec` here, enters too. How many of the eight?

# %%
found = web.exec(["sh", "-c", "for link in /proc/self/ns/*; do readlink $link; done"]).stdout
mine = web.namespaces().values()
print(sum(str(namespace) in found for namespace in mine), "of", len(mine))

# %% [markdown]
# All eight. What people call being *in* a container is this.
#
# In a terminal: `sudo nsenter --target PID --net bash`, where PID is what
# `docker inspect -f '{{.State.Pid}}' web` prints. With `--all` instead of `--net` it enters all.
#
# ## Sharing a room
#
# The engine, too, can put a new container into namespaces of another one. Three kinds can be shared
# so, with the options `network`, `pid_mode` and `ipc_mode`, each with the value `"container:web"`.
# For `ipc` the other has to agree: `web` was started with `ipc_mode="shareable"`, `shop` was not.
# **Predict.** What does the engine say to a guest of `shop`?

# %%
try:
    lab.run("base", name="uninvited", ipc_mode="container:shop")
except labkit.LabError as error:
    print(error.what, "It says 'shareable':", "shareable" in error.seen)

# %% [markdown]
# **Predict.** A guest asks three questions: who is here, who answers at `127.0.0.1`, and which
# letterboxes are there? Which of the boxes below changes which answer? Tick them, one by one.

# %%
questions = ("ps -o args", "wget -qO- http://127.0.0.1/", "ls /dev/mqueue")


def guest(network, process_numbers, ipc):
    asked = {"network": network, "pid_mode": process_numbers, "ipc_mode": ipc}
    shared = {option: "container:web" for option, yes in asked.items() if yes}
    visitor = lab.run("base", name="guest", **shared, **own)
    for question in questions:
        print(f"$ {question}\n{visitor.exec(question)}")
    figure = labkit.show.namespace_matrix(web, visitor)
    visitor.remove()
    return figure


labkit.show.explore(guest, network=True, process_numbers=False, ipc=False)

# %% [markdown]
# Below the answers is the **matrix** of namespaces: a row for each kind, a column for each party,
# and where two letters in a row are the same, the two are in the same namespace. Each box changes
# one letter, and with it one answer: `wget` reaches the server, `ps` lists it, `ls` finds the
# letterbox.
#
# Now one lasting guest of each sort. (A container that runs beside another to help it is often
# called a *sidecar*.) One more, `watcher`, shares not with `web` but with the host. `boxed` is the
# one with the id map.

# %%
sidecar = lab.run("base", name="sidecar", network="container:web", **own)
debug = lab.run("base", name="debug", pid_mode="container:web", **own)
post = lab.run("base", name="post", ipc_mode="container:web", **own)
watcher = lab.run("base", name="watcher", pid_mode="host", **own)
labkit.show.namespace_matrix(web, shop, sidecar, debug, post, watcher, boxed)

# %% [markdown]
# This is the figure to keep: everything that holds these containers apart, and everything that
# joins them. **Predict**, from the letters alone: which of `sidecar`, `debug` and `watcher` sees
# the process of `web`? Which sees that of `shop`?

# %%
for each in (sidecar, debug):
    lines = each.exec("ps -o args").stdout.splitlines()
    print(f"{each.name} sees {lines[1:-1]}")  # without the heading and `ps` itself
numbers = watcher.exec("ps -o pid").stdout.split()
print("watcher sees web:", str(web.pid) in numbers, "| and shop:", str(shop.pid) in numbers)

# %% [markdown]
# `sidecar` has the network and sees only itself. `debug` sees who is in its room. `watcher` is in
# the host's namespace, around all the others: it sees `web`, and `shop`, under the numbers that the
# host knows them by, and everything else on the machine.
#
# One more. **Predict.** In the row `uts`, `sidecar` has another letter than `web`. Has it another
# host name?

# %%
print("name of sidecar:", sidecar.exec("hostname"))
print("one uts namespace:", sidecar.namespaces()["uts"] == web.namespaces()["uts"])

# %% [markdown]
# It has the same: the engine copied it. Two lists can say the same and be two. **That things look
# alike proves nothing; the numbers do.**
#
# In a terminal: `docker run --network container:web IMAGE`, and likewise `--pid` and `--ipc`; then
# `sudo lsns`.
#
# ## Break it
#
# Something ordinary happens: somebody restarts the server. Nobody thinks of its three guests.
# **Predict.** What has become of each of them?

# %%
web.restart(timeout=0).wait_port(80)
debug.wait_exit()
for each in (web, sidecar, debug, post):
    print(f"{each.name:8} {each.status:8} {each.exit_code or ''}")

# %% [markdown]
# `debug` was killed: its exit code is 128 + 9, and signal 9 is KILL. Nobody had asked for that. The
# kernel did it: **when process 1 of a `pid` namespace ends, all others in it are killed.** At least
# one can see that. `sidecar` and `post` are *running*, and seem well. Ask them.

# %%
print(sidecar.exec("wget -qO- http://127.0.0.1/"))
print("interfaces of sidecar:", sidecar.exec("ls /sys/class/net").stdout.split())
for each in (post, web):
    print("letterboxes of", each.name, each.exec("ls /dev/mqueue").stdout.split())

# %% [markdown]
# `sidecar` cannot reach a server that runs and listens, and its `eth0` is gone. `post` watches a
# letterbox that `web` does not have. Look at the letters, and compare them with the figure above:

# %%
labkit.show.namespace_matrix(web, sidecar, post)

# %% [markdown]
# **A namespace lives as long as a process is in it.** The old `web` ended, and its `net` and `ipc`
# namespaces did not, because `sidecar` and `post` were still there. The engine took away the wire
# and made new namespaces for the new `web`. The guests were left behind in the old rooms.
#
# How to recognise it: all containers are *running*; what worked a minute ago is refused; there is
# no interface but `lo`; and it began when *another* container was restarted. The proof is two
# numbers in `/proc/PID/ns` that ought to be equal and are not. The cure is to restart the guest:
# the engine then looks for the room anew.
#
# In a terminal: `sudo readlink /proc/PID/ns/net` for both, then `docker restart sidecar`.

# %%
sidecar.restart(timeout=0)
print("net:", sidecar.namespaces().relation("net"))
print(sidecar.exec("wget -qO- http://127.0.0.1/"))

# %% [markdown]
# Your turn: the exercises are in `exercises/02_namespaces.ipynb`.
#
# ## What to remember
#
# 1. A namespace is one of many lists of its kind. A process is in one of each of the eight kinds.
# 2. It has no name but a number: equal numbers in `/proc/PID/ns` are the same namespace.
# 3. Namespaces are made, entered and shared one kind at a time. One can be half inside.
# 4. Root in a container is the host's root, unless a `user` namespace maps it to somebody else.
# 5. A namespace lives while a process is in it; with process 1 of a `pid` namespace all in it die.
#
# | to | in `labkit` | in a terminal |
# |---|---|---|
# | see a process's namespaces | `web.namespaces()` | `lsns -p PID` |
# | compare several | `labkit.show.namespace_matrix(web, shop)` | `ls -l /proc/*/ns/net` |
# | make one | `bench.exec("unshare --uts hostname")` | `unshare --uts hostname` |
# | enter one | `host.run(argv, pid=web.pid, namespaces=["net"])` | `nsenter -t PID -n ip a` |
# | enter all | `web.exec("ps")` | `docker exec web ps` |
# | share a network | `network="container:web"` | `--network container:web` |
# | share process numbers | `pid_mode="container:web"` | `--pid container:web` |
# | share letterboxes and memory | `ipc_mode="container:web"` | `--ipc container:web` |
# | see who is who | `boxed.id_maps()` | `cat /proc/PID/uid_map` |
#
# Read next: `man 7 namespaces`, and one page for each kind, in the same section: `uts_namespaces`,
# `pid_namespaces`, `ipc_namespaces`, `mount_namespaces`, `network_namespaces`,
# `cgroup_namespaces`, `time_namespaces`, `user_namespaces`. Then `man 1 unshare`, `man 1 nsenter`.
