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
# `uptime` prints how long its computer has been running. The second cell makes a container for this
# one command, and then removes it. From beginning to end it lives for a moment. What will `uptime`
# say? Guess, then run both cells. (`%%sh` is a shell where this notebook runs.)

# %%
import labkit
from labkit import predict, reveal
from labkit.inspect import read_capabilities, read_process, read_processes

lab = labkit.Lab()
host = lab.engine.host

# %% tags=["nbval-ignore-output"] language="sh"
# docker run --rm labkit/base uptime

# %% [markdown]
# A container that is a moment old, on a computer that has been up for much longer. It does not look
# as if a computer was switched on for it, not even a small one. What was it, then, that began and
# ended there?
#
# Some words first. A running program is a **process**. The **kernel** is the program that starts
# all others, and gives them their share of memory, files and network. The **engine** is a program
# that makes containers when it is asked to: by `docker`, or by `lab`, which also removes what you
# made when the notebook ends. The **host** is the machine whose kernel runs the engine and its
# containers: the computer before you, or a small Linux machine inside it, or one far away. `host`
# reads from it, and a cell with `%%host` is typed there.
#
# ## One kernel
#
# An **image** is the set of files that a container starts from. `toolbox` holds those of a small
# Debian, a Linux distribution. We start `box` from it, and allow it 64 MiB of memory. A Debian
# computer keeps its kernel in files below `/boot` and `/lib/modules`. **Predict.** How many are
# there in `box`? (`%%in box` is a shell in it, as with `docker exec`.)

# %%
box = lab.run("toolbox", name="box", memory="64m")

# %% language="in" magic_args="box"
# . /etc/os-release; echo $NAME
# find /boot /lib/modules -type f 2>/dev/null | wc -l

# %% [markdown]
# None: a Debian without a kernel. Yet something answers when its programs ask for files and memory.
# To find out what, we put the same questions inside and on the host. Each is a file below `/proc`,
# a folder that is on no disk: the kernel writes the answer at the moment you read.

# %%
files = ["osrelease", "version", "random/boot_id", "hostname"]
predict("01.a", "Which of these four will differ?", ["none", "hostname", "random/boot_id", "all"])

# %% tags=["nbval-ignore-output"] language="in" magic_args="box"
# cd /proc/sys/kernel; grep . osrelease version random/boot_id hostname

# %% tags=["nbval-ignore-output"] language="host"
# cd /proc/sys/kernel; grep . osrelease version random/boot_id hostname

# %%
inside = [box.exec(f"cat /proc/sys/kernel/{file}").stdout for file in files]
outside = [host.read(f"/proc/sys/kernel/{file}") for file in files]
differ = [file for n, file in enumerate(files) if inside[n] != outside[n]]
reveal("01.a", ", ".join(differ) or "none")

# %% [markdown]
# The release is the same, the build is the same, and so is the *boot id*: a random number of 122
# bits that a kernel draws when it is first asked for it, and keeps until it ends. Two kernels of
# one release would not draw the same. (They can share one if both were restored from a snapshot
# of a running machine: chapter 06.) So one kernel answers inside and outside, and the uptime of
# the first cell was that kernel's. Only the host name differs: of that the kernel keeps several.
#
# `box` may use 64 MiB of memory. **Predict.** How much will its programs be told there is?

# %% tags=["nbval-ignore-output"] language="in" magic_args="box"
# grep MemTotal /proc/meminfo

# %% tags=["nbval-ignore-output"] language="host"
# grep MemTotal /proc/meminfo

# %%
print("the limit of its control group:", box.cgroup().memory_limit() // 2**20, "MiB")

# %% [markdown]
# As much as the host has. The limit is real, as chapter 03 shows the hard way, but `meminfo`
# describes the machine. A program that reads it there, and takes a quarter for itself, is in for a
# surprise: for years that was Java's.
#
# ## Its files
#
# We write a file in `box`. **Predict.** Is it on the host? Can the host read it? (In a `%%host`
# cell, `$box` is the number that the host has for the first process of `box`, and `$engine` that of
# a process of the engine, which is in no container.)

# %% language="in" magic_args="box"
# echo "written in box" >/note.txt

# %% language="host"
# test -e /proc/$engine/root/note.txt || echo "There is none in the host's own /."
# cat /proc/$box/root/note.txt

# %% [markdown]
# In the host's own `/` there is no such file. But for every process the kernel keeps what *that
# process* means by `/`, and `/proc/NUMBER/root` leads there. The files of a container are files in
# another place (chapter 04 shows where); what is special is where its processes begin to look.
#
# ## Its processes
#
# `job` is a shell that starts two programs. The host runs all three. They must have been started
# by a process of the host: by the engine's daemon, to which `docker` talks, by this notebook?

# %%
script = "sleep 1001 & sleep 1002 & echo ready; wait; echo done"
job = lab.run("base", ["sh", "-c", script], name="job")
_ = job.wait_log("ready")
parents = ["this notebook", "the engine's daemon", "another process"]
predict("01.b", "Whose child is the first process of job?", parents)

# %% tags=["nbval-ignore-output"] language="host"
# ps -o pid,ppid,args --pid $job --ppid $job
# ps -o pid,ppid,args --pid $(ps -o ppid= $job)

# %% tags=["nbval-ignore-output"]
labkit.show.process_tree(job, box)

# %%
parent = read_process(host, job.pid).ppid
reveal("01.b", "the engine's daemon" if parent == host.anchor else "another process")

# %% [markdown]
# This is the picture to keep. Every line is a process on the host's list; a frame is a container.
# Each container has a small keeper, a process of the host that does nothing else. Docker calls it a
# **shim**. It is not the daemon, and not a child of it. **Predict.** Whom does the first process of
# `job` take for its parent?

# %% tags=["nbval-ignore-output"] language="in" magic_args="job"
# ps -o pid,ppid,args

# %% [markdown]
# Number 0: nobody. (So does this cell's own shell.) `job` has a list of processes of its own; its
# first process is number 1 on it, and the keeper is not on it at all. On the host's list are both.
#
# ## A signal from nobody
#
# A **signal** is the smallest message there is: its name, such as USR1, and a note of who sent it.
# `listener` waits for USR1 and prints the sender's number. **Predict.** A process inside sends one,
# then one on the host. Which numbers are printed?

# %%
program = """
import signal as s
s.pthread_sigmask(s.SIG_BLOCK, {s.SIGUSR1})
print("ready", flush=True)
while True:
    print("USR1, sent by process", s.sigwaitinfo({s.SIGUSR1}).si_pid, flush=True)
"""
listener = lab.run("toolbox", ["python3", "-c", program], name="listener")
_ = listener.wait_log("ready")

# %% language="in" magic_args="listener"
# kill -s USR1 1

# %% language="host"
# kill -s USR1 $listener

# %% tags=["nbval-ignore-output"]
_ = listener.wait_log("process 0")
print(listener.logs())

# %% [markdown]
# Both arrived. The first sender is on the list that `listener` knows. The second is not, and the
# kernel writes 0. Now a less friendly signal: TERM asks a process to end, and one that has made no
# other arrangement is ended by it. `sleep`, the first process of `box`, has made none. (`polite`
# has one: a **handler**, code of its own that runs when the signal comes.)

# %%
script = "trap 'echo good-bye; exit 3' TERM; echo ready; sleep 1000 & wait"
polite = lab.run("base", ["sh", "-c", script], name="polite")
_ = polite.wait_log("ready")
ends = ["neither", "box", "polite", "both"]
predict("01.c", "The host sends TERM to both first processes. Which container ends?", ends)

# %% language="host"
# kill -s TERM $box
# kill -s TERM $polite

# %%
print("polite ended with exit code", polite.wait_exit(), "and said:", polite.logs(tail=1))
ended = [one.name for one in (box, polite) if one.status == "exited"]
reveal("01.c", ended[0] if len(ended) == 1 else "both" if ended else "neither")

# %% [markdown]
# `polite` said good-bye and ended with an **exit code** of its own choice: the number that a
# process leaves behind, 0 if all went well. `box` lives: the kernel protects the first process of a
# container as it protects process 1 of a machine. A signal for which it has no handler is dropped.
# Which ones a process handles is in its status, one bit for each; `labkit` reads the bits, and TERM
# is number 15.

# %% language="host"
# grep SigCgt /proc/$box/status

# %%
print("box handles:", sorted(box.signals().caught) or "none")

# %% [markdown]
# Is such a process immortal? Five signals, sent from the host and from inside, make ten cases.

# %%
predict("01.d", "How many of the ten have an effect on a sleep that is process 1?", [0, 2, 4, 10])

# %%
signals, senders = ["TERM", "INT", "HUP", "STOP", "KILL"], ["inside", "the host"]
targets = {(s, who): lab.run("base", "sleep 1000") for s in signals for who in senders}
for (signal, who), target in targets.items():
    if who == "inside":
        target.exec(f"kill -s {signal} 1")
    else:
        host.kill(target.pid, signal=signal)
_ = targets["KILL", "the host"].wait_exit()

# %%
told = {"S": "goes on (S)", "T": "stands still (T)"}
effect = dict.fromkeys(targets, "ended")
for case, target in targets.items():
    if target.status == "running":
        effect[case] = told[read_process(host, target.pid).state]
for signal in signals:
    print(f"{signal:5}", *(f"{who}: {effect[signal, who]:17}" for who in senders))

# %%
reveal("01.d", sum(one != "goes on (S)" for one in effect.values()))

# %% [markdown]
# Two. The letters are the kernel's: S sleeps until something happens, T was *stopped* and does not
# run at all. No process can handle or refuse STOP and KILL; but a first process gets them only from
# outside. And what does the engine say of the one that stands still?

# %%
print("engine:", targets["STOP", "the host"].status)

# %% [markdown]
# It has not noticed. When a service "runs" and does not answer, ask the kernel too.
#
# ## There is no container in the kernel
#
# So far we have met processes. Where is the container itself? The kernel has a folder for each
# process, `/proc/NUMBER`. **Predict.** How many entries are in that of `box`'s process and not in
# that of an ordinary one of the host?

# %% language="host"
# ls /proc/$box >/tmp/box; ls /proc/$engine >/tmp/ordinary
# diff /tmp/box /tmp/ordinary && echo "the same entries"

# %% [markdown]
# None. Both are the same kind of thing. The difference must be in what the entries say:

# %% tags=["nbval-ignore-output"] language="host"
# for pid in $box $engine; do
#     readlink /proc/$pid/ns/uts /proc/$pid/ns/pid /proc/$pid/ns/mnt
#     grep -E '^(CapEff|Seccomp):' /proc/$pid/status
#     tail -n 1 /proc/$pid/cgroup; echo
# done

# %%
for kind in ("uts", "pid", "mnt"):
    print(f"{kind} namespace:", box.namespaces().relation(kind))

# %% [markdown]
# Namespaces first. A **namespace** is one of several lists that the kernel keeps of a kind of
# thing: of host names (`uts`), of processes (`pid`), of what is mounted where (`mnt`), and five
# more. Every process is on one list of each kind, your shell too; most use the host's. Then it
# must be possible to be *half* in a container. The next cell runs a shell on the host, in none,
# one, two or three of `box`'s namespaces. **Predict** its three answers, then tick one after the
# other.


# %%
def step_in(uts, pid, mnt):
    chosen = [kind for kind, ticked in {"uts": uts, "pid": pid, "mnt": mnt}.items() if ticked]
    ask = "cat /proc/sys/kernel/hostname; echo $PPID; test -e /note.txt && echo there || echo no"
    told = host.run(["sh", "-c", ask], pid=box.pid, namespaces=chosen).stdout
    name, parent, note = told.split()
    print("hostname: ", name if name == box.name else "the host's")
    print("parent:   ", "on the host's list" if parent != "0" else "nobody it can see")
    print("/note.txt:", note)


labkit.show.explore(step_in, uts=False, pid=False, mnt=False)

# %% [markdown]
# Each tick changes one answer and leaves the others. As it is typed:

# %% language="host"
# nsenter --target $box --uts hostname

# %% [markdown]
# ## What else belongs to it
#
# Namespaces are what a process sees. `box` has its own host name, and its user is root.

# %%
predict("01.e", "Can root in box change its own host name?", [True, False])

# %% language="in" magic_args="box --fails"
# id -un
# hostname other

# %%
reveal("01.e", box.exec("hostname other").exit_code == 0)

# %% [markdown]
# *You must be root*, says the program, to root. In Linux the power of root is cut into forty-odd
# **capabilities**. A container gets some of them: `CapEff` above has a bit for each.

# %% tags=["nbval-ignore-output"]
for name, pid in {"box": box.pid, "the engine's process": host.anchor}.items():
    print(name, "has", len(read_capabilities(host, pid).effective))

# %% [markdown]
# The one for host names is `SYS_ADMIN`. It can be given:

# %% language="sh"
# docker run --rm --cap-add SYS_ADMIN labkit/toolbox sh -c 'hostname other; hostname'

# %% [markdown]
# A filter, **seccomp**, goes over every request to the kernel and refuses some, whoever asks. The
# `2` after `Seccomp` above says that one is in force. A new `user` namespace is free to all on most
# machines, and in a container it is refused. The second time we leave the filter out (and with it
# the profile of AppArmor that some machines add):

# %% language="sh"
# ask="unshare --user echo allowed"
# docker run --rm labkit/toolbox $ask
# docker run --rm --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
#     labkit/toolbox $ask

# %% [markdown]
# And a **control group** is where the kernel counts and limits what a group of processes uses. Its
# path is the last line of each block above. The 64 MiB stand there, and so does what `box` uses:

# %% tags=["nbval-ignore-output"]
group = box.cgroup()
print("used:", group.memory().current // 2**10, "KiB of", group.memory_limit() // 2**10)
print("its processes:", group.pids(), "  the first process of box:", box.pid)

# %% [markdown]
# These are the parts, and the chapters that take them apart:
#
# | part | decides | chapter |
# |---|---|---|
# | namespaces | what it sees | 02 |
# | control group | how much it uses | 03 |
# | a `/` of its own | where its files are | 04 |
# | capabilities, seccomp | what it may do | 14 |
#
# Every process has each of these settings, your shell too. **A container is a group of processes
# for which somebody has set them all, and the engine's record of it under one name.** The kernel
# has no object of that name, and each part can be had without the others. Chapter 05 sets them by
# hand until a container comes out.
#
# ## Break it
#
# `job` still runs a shell and the two programs that it started. On a busy host somebody looks for a
# process to get rid of, and does not see that it belongs to a container. **Predict.** First they
# kill one of the two `sleep`s, then the shell. What is left each time?

# %%
first, second = [process.pid for process in job.processes() if process.pid != job.pid]
host.kill(first, signal="KILL")
job.wait_until(lambda: len(job.processes()) == 2, what="the end of one sleep")
print("job is", job.status, "- the other sleep goes on:", second in read_processes(host))

# %% language="host"
# kill -s KILL $job

# %%
print("job ended with exit code", job.wait_exit())
print("the other sleep goes on:", second in read_processes(host))

# %% [markdown]
# Nobody sent the second `sleep` anything. But when the first process of a container ends, the
# kernel kills all the others on its list. One `kill`, and the whole container is lost.
#
# The code is 137, by a convention of shells and engines: 128 + 9, and signal 9 is KILL. Who
# sent it? Two more containers end: `deaf` is a `sleep` that the engine is asked to stop, and given
# two seconds; `odd` ends itself.

# %%
predict("01.f", "How many different exit codes will the three have?", [1, 2, 3])

# %% tags=["nbval-ignore-output"] language="sh"
# docker run -d --name deaf labkit/base sleep 1000
# docker run -d --name odd labkit/base sh -c 'exit 137'
# begin=$(date +%s); docker stop -t 2 deaf; echo "took $(($(date +%s) - begin)) s"

# %% language="sh"
# docker inspect -f 'exit code {{.State.ExitCode}}, OOMKilled {{.State.OOMKilled}}' job deaf odd

# %%
ended = [lab.container(name) for name in ("job", "deaf", "odd")]
reveal("01.f", len({one.wait_exit() for one in ended}), by="the engine")

# %% [markdown]
# One: 137 each time. Only one of the three was killed by a stranger. (`OOMKilled` speaks of a
# fourth case, in which the kernel kills because memory ran out. Chapter 03 brings it about; the
# engine does not always hear of it.) For a while the engine remembers what it did itself:

# %% tags=["nbval-ignore-output"] language="sh"
# docker events --since 5m --until=-1s --filter event=kill \
#     --format '{{.Actor.Attributes.name}}: signal {{.Actor.Attributes.signal}}'

# %% [markdown]
# To `deaf` the engine sent 15, TERM, waited, and then 9. To `job` and `odd` it sent nothing: that
# one was killed by a stranger and the other chose the number itself, it cannot tell. But *after* a
# `docker stop`, 137 means that the program did not end when it was asked to. How to recognise it:
# without `-t` the engine waits ten seconds. A service that takes ten seconds to stop, each time,
# has as a rule a deaf first process, and very often that is a shell in front of the real program.
# It ends without having saved a thing.
#
# Your turn: the exercises are in
# [exercises/01_what_a_container_is.ipynb](../exercises/01_what_a_container_is.ipynb).

# %%
lab.close()

# %% [markdown]
# ## What to remember
#
# 1. A container is a group of ordinary processes, with namespaces, a control group, a `/`,
#    capabilities and a filter set for them. The kernel has no object of that name.
# 2. One kernel answers inside and outside. To many questions (release, uptime, memory of the
#    machine) it has one answer.
# 3. The host sees, enters and signals a container's processes. They do not see the host's.
# 4. A first process gets only the signals that it handles, and KILL and STOP from the host. When it
#    ends, all the others are killed.
# 5. 137 says how a process ended, and not who wanted it.
#
# | to | type | where |
# |---|---|---|
# | see its processes, and whose they are | `ps -o pid,ppid,args --pid $job --ppid $job` | host |
# | signal its first process | `kill -s TERM $polite` | host |
# | see which signals it handles | `grep SigCgt /proc/$box/status` | host |
# | read its files | `cat /proc/$box/root/note.txt` | host |
# | enter one of its namespaces | `nsenter --target $box --uts hostname` | host |
# | see how it ended | `docker inspect -f ... job deaf odd` | notebook |
# | see what the engine did to it | `docker events --since 5m --until=-1s ...` | notebook |
#
# Read next: `man 7 pid_namespaces`, the section on the init process; `man 7 signal`; `man 5 proc`,
# on `/proc/PID/status`; and chapter 02.
