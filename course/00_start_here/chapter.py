# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   labkit:
#     introduction: true
# ---

# %% [markdown]
# # 00 Start here
#
# The cell below starts a shell in a *container*, whatever that may be, and asks it two questions:
# what its own process number is (a shell knows it as `$$`), and which processes there are on its
# machine. A machine that has been on for an hour runs dozens, and has handed out high numbers by
# then. Guess both answers, then run the cell: click on it and press **Shift+Enter**.

# %%
import labkit
from labkit import answer, check, hint, predict, progress, reset, reveal, solution, variant

lab = labkit.Lab()
lab.once("toolbox", ["sh", "-c", "echo My number is $$.; ps -e -o args; true"])

# %% [markdown]
# It says that it is number 1, and that it and the `ps` it just called are all there is. Neither is
# a trick of the shell's: it asked the kernel, and that is what the kernel said. How a kernel comes
# to say such things is what this course is about.
#
# You need to know a little Linux: what a process is, what `ls` and `ps` print. You need not know
# Docker. Experiment: `lab` keeps track of what you start here, and all of it is removed when you
# are done.
#
# ## What runs under this notebook
#
# A notebook is a web page. Something else must have run that program. What?

# %% tags=["nbval-ignore-output"]
lab.engine

# %% [markdown]
# An **engine** is a program that starts containers, keeps their files, wires their networks.
# `labkit`, the library of this course, looks for one that already runs. If there is none, it starts
# a private one where it may. The table says which one it is and, where others were tried in vain,
# why it is not one of those.
#
# The machine on which the containers run is the **host**. It may be the computer that runs this
# notebook, a small virtual machine within it (as on macOS, Windows and Binder), or one far away.
# The engine starts the containers, the host's **kernel** isolates them, and `labkit` reads that
# kernel: what a cell shows was read when you ran it.
#
# ## The first container
#
# A container starts from an **image**, which is a set of files. Yours is `base`: BusyBox, one small
# program that plays the part of `sh`, `ps`, `ls` and many others. The next cell starts a web server
# from it, the part called `httpd`, and waits until it listens. (The very first container came from
# `toolbox`, a small Debian.)

# %%
web = lab.run("base", "httpd -f -p 80", name="web", ports=[80])
_ = web.wait_port(80)

# %% [markdown]
# Beside Python there are three kinds of cells in which you type commands. `%%in web` is a shell in
# the container `web`:

# %% tags=["nbval-ignore-output"] language="in" magic_args="web"
# hostname
# ps -o pid,comm

# %% [markdown]
# The machine is called `web`, and the server is its number 1. The other two are this cell itself:
# its shell, and `ps`.
#
# `%%sh` is a shell on the machine of this notebook. `docker` is there, the command line that people
# use every day. Here it lists the containers of this notebook, by the names that you gave them, and
# nobody else's. `docker exec` runs a second program in one of them, as `%%in` does:

# %% tags=["nbval-ignore-output"] language="sh"
# docker ps
# docker exec web ps

# %% [markdown]
# Before the third kind, a prediction. Run the next cell, choose, and only then run on: when the
# answer is shown, your choice is sealed. It is remembered, and not graded. (Where only **Predict**
# stands in bold, answer for yourself before you run on.)

# %%
predict(
    "00.a",
    "Is the server also on the host's own list of processes?",
    ["no", "yes, as number 1", "yes, under another number"],
)

# %% [markdown]
# `%%host` is a shell on the host, whatever sort of machine that is. If the host has a number for
# the first process of `web`, that is what `$web` stands for there:

# %% tags=["nbval-ignore-output"] language="host"
# ps -o pid,args -p $web

# %%
listed = str(web.pid) in lab.engine.host.list("/proc")  # which has a folder for each process
number = "as number 1" if web.pid == 1 else "under another number"
reveal("00.a", f"yes, {number}" if listed else "no")

# %% [markdown]
# One process, two numbers: one for those outside, one for those inside. The kernel knows both, and
# shows them in one line of what it tells about a process. (`%%host?` and `%%in?` in a cell are the
# manual of these cells.)

# %% tags=["nbval-ignore-output"] language="host"
# grep NSpid /proc/$web/status

# %% [markdown]
# ## Talking to it
#
# We write the page that the server serves, and fetch it twice: from inside, and from this notebook.

# %% language="in" magic_args="web"
# echo 'Hello from inside.' >/index.html
# wget -qO- http://127.0.0.1/

# %%
from urllib.request import urlopen

urlopen(web.url(80)).read().decode()

# %% [markdown]
# The first request was made in the container. The second came through a **published port**: a door
# that you opened with `ports=[80]`. On the outside it has another number. `docker` knows which:

# %% tags=["nbval-ignore-output"] language="sh"
# docker port web

# %% [markdown]
# ## Look at it from all sides
#
# Choose what to look at. Each choice asks the kernel anew.


# %%
def look(at):
    return {"processes": web.processes, "namespaces": web.namespaces, "mounts": web.mounts}[at]()


labkit.show.explore(look, at=["processes", "namespaces", "mounts"])

# %% [markdown]
# You will learn to read all of these tables. Here is the second one as a picture. Every row is a
# kind of list that the kernel can keep more than once: of process numbers (`pid`), of network
# interfaces (`net`), and so on. Where two letters in a row are the same, the two use the same list.

# %% tags=["nbval-ignore-output"]
labkit.show.namespace_matrix(web)

# %% [markdown]
# ## Break it
#
# The next container is told to print a word, and nothing else.

# %%
predict("00.b", "What will its state be in a second?", ["running", "paused", "exited"])

# %%
short = lab.run("base", "echo done", name="short")
short.wait_exit()
reveal("00.b", short.status, by="the engine")

# %% [markdown]
# A container lives as long as its first process. This one printed its word and had nothing left to
# do. What happens if you ask it for something now?

# %%
try:
    short.exec("ps")
except labkit.LabError as error:
    print(error)

# %% [markdown]
# Errors of `labkit` say three things: what happened, what was seen, what to do. Exit code 0 means
# that the program finished without error. This is a common surprise: nothing failed, and yet the
# container is not running. How to recognise it: `docker ps` leaves it out, `docker ps -a` lists it.

# %% tags=["nbval-ignore-output"] language="sh"
# docker ps -a

# %% [markdown]
# And if you give no command? Then the one that the image names is run. For our `base`
# (`docker` calls it `labkit/base`) that is:

# %% language="sh"
# docker image inspect --format '{{.Config.Cmd}}' labkit/base

# %% [markdown]
# To sleep, forever: such a container stays until somebody stops it.
#
# ## How exercises work
#
# The exercises of this chapter are in
# [exercises/00_start_here.ipynb](../exercises/00_start_here.ipynb). Each asks for an *effect*:
# something that must be so on the engine. You may reach it in any way you like: in Python, in
# shell cells, or in a terminal (*File > New > Terminal*), where `docker` sees the notebook in
# which you ran a cell last. Then `check` looks at the engine and the kernel, never at what you
# typed. The first exercise wants a container named `first`, from `base`, that stays.

# %%
check("00.1")

# %% [markdown]
# *Not attempted*: there is no such container yet. Let us make a wrong one on purpose:

# %% tags=["nbval-ignore-output"] language="sh"
# docker run -d --name first labkit/base echo too short
# docker wait first

# %%
check("00.1")

# %% [markdown]
# *Incorrect*, with what was expected, what was observed, and a hint that fits. (`docker run -d`
# started it and printed its long name, its id; `docker wait` printed its exit code.) If you are
# stuck, there are more hints, from vague to plain; each call shows the next. And there is a
# solution, which costs nothing:

# %%
hint("00.1")

# %%
solution("00.1")

# %% [markdown]
# `reset` removes what you made for an exercise, so that you can begin again:

# %%
reset("00.1")

# %% [markdown]
# Some exercises give you values of your own, so that a number copied from a neighbour is wrong. If
# an exercise asks for a value, you give it with `answer`.

# %%
variant("00.3")

# %% [markdown]
# `progress` shows where you stand in the whole course, predictions too. It is kept when the
# notebook ends.

# %% tags=["nbval-ignore-output"]
progress()

# %% [markdown]
# ## Where things go
#
# Choose *Kernel > Restart Kernel*, shut JupyterLab down, pull the plug: the containers of this
# notebook go, at once or at the next start. A small process beside the notebook sees to that. (The
# *kernel* of that menu is the Python behind this page, and only shares its name with the one that
# isolates.) You can also say it yourself:

# %%
lab.close()
lab.containers()

# %% [markdown]
# ## What to remember
#
# 1. A container is made of processes to which the kernel shows a smaller world.
# 2. The engine starts it; the kernel isolates it.
# 3. Its processes are on the host's list too, under other numbers.
# 4. It lives as long as its first process.
# 5. `check`, `hint`, `solution`, `reset`, `progress`: you cannot get stuck, and nothing is lost.
#
# | to | type | where |
# |---|---|---|
# | start a container | `docker run -d --name first labkit/base echo too short` | notebook |
# | run a second program in one | `docker exec web ps` | notebook |
# | list those that run, and all of them | `docker ps`, `docker ps -a` | notebook |
# | see its published port | `docker port web` | notebook |
# | find its first process | `ps -o pid,args -p $web` | host |
# | start one from Python | `lab.run("base", "httpd -f -p 80", name="web", ports=[80])` | Python |
# | ask for its number, for its address | `web.pid`, `web.url(80)` | Python |
#
# (*Notebook* is a `%%sh` cell or a terminal, *host* a `%%host` cell.)
#
# Read next: `man 7 namespaces`, `man 7 cgroups`, and chapter 01.
