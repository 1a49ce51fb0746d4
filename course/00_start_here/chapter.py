# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 00 Start here
#
# The cell below starts a shell in a container and asks it two questions: what its own process
# number is, and which processes there are on its machine. Your computer runs many, and has handed
# out high numbers by now. Guess both answers, then run the cell: click on it and press
# **Shift+Enter**.

# %%
import labkit
from labkit import answer, check, hint, progress, reset, solution, variant

lab = labkit.Lab()
lab.once("toolbox", ["sh", "-c", "echo My number is $$.; ps -e -o args; true"])

# %% [markdown]
# The shell thinks that it is process number 1, and that it and the `ps` it just called are all
# there is. Neither is a trick of the shell's: it asked the kernel, and that is what the kernel
# said. How a kernel comes to say such things is what this course is about.
#
# You need to know a little Linux: what a process is, what `ls` and `ps` print. You need not know
# Docker. Experiment: whatever you start here is removed when you close the notebook.
#
# ## What runs under this notebook
#
# **Predict.** A notebook is a web page. Something else must have run that program. What?

# %% tags=["nbval-ignore-output"]
lab.engine

# %% [markdown]
# An **engine** is a program that starts containers, keeps their files, wires their networks.
# `labkit` looks for one that already runs on your computer. If there is none, and it may, it
# starts a private one, which it can always stop again. The table says which it was, and what was
# tried before.
#
# The engine runs containers, the **kernel** isolates them, and `labkit` reads the kernel. What
# you see in these notebooks is never a drawing of how it should be: it was read from the kernel
# a moment ago.
#
# The command that asks the same in a terminal: `docker info`.
#
# ## The first container
#
# A container starts from an **image**, which is a set of files. Yours is `base`. It holds little
# but BusyBox, one program that plays the part of `sh`, `ps`, `ls` and many others:

# %%
parts = lab.once("base", "busybox --list").stdout.split()
print("more than 200 parts:", len(parts) > 200, "| sh among them:", "sh" in parts)

# %% [markdown]
# The next cell starts a small web server from it, the part called `httpd`, and gives the container
# a name.

# %%
web = lab.run("base", "httpd -f -p 80", name="web", ports=[80])
web.processes()

# %% [markdown]
# **Predict.** The container is running. Its process has the number 1 inside. Is the process also
# in the list of processes of your computer, and if so, under what number?

# %% tags=["nbval-ignore-output"]
web.pid

# %% [markdown]
# It is there, under another number. One process, two numbers: one for those inside, one for those
# outside. Run the next cell to read that process's entry the way `ps` does, straight from the
# kernel.

# %%
from labkit.inspect import read_process

process = read_process(lab.engine.host, web.pid)
print("command:       ", *process.cmdline)
print("number inside: ", process.inside_pid)
print("same outside?  ", process.pid == process.inside_pid)

# %% [markdown]
# In a terminal: `docker inspect --format '{{.State.Pid}}' NAME`, then `ps -fp` that number.
#
# ## Talking to it
#
# You can run a second program in a running container. Here we write the page that the server
# serves, and then fetch it from outside.

# %%
web.put("/index.html", "Hello from inside.\n")
web.wait_port(80)
web.exec("wget -qO- http://127.0.0.1/index.html")

# %%
from urllib.request import urlopen

urlopen(web.url(80) + "/index.html").read().decode()

# %% [markdown]
# The first request was made inside, by `wget` in the container. The second came from this
# notebook, through a **published port**: a door that you opened with `ports=[80]`.
#
# In a terminal: `docker exec NAME wget -qO- ...` and `docker port NAME`.
#
# ## Look at it from all sides
#
# Choose what to look at. Each choice asks the kernel anew.


# %%
def look(at):
    return {"processes": web.processes, "namespaces": web.namespaces, "mounts": web.mounts}[at]()


labkit.show.explore(look, at=["processes", "namespaces", "mounts"])

# %% [markdown]
# You will learn to read all of these tables; the second one in chapter 02.
#
# ## The same in a picture
#
# Every row is one kind of view that a process has of the machine. Where two letters in a row are
# the same, the two see the same thing.

# %% tags=["nbval-ignore-output"]
labkit.show.namespace_matrix(web)

# %% [markdown]
# ## Break it
#
# A container lives exactly as long as its first process. The next one is told to print a word and
# has then nothing left to do. What happens when you ask it something a moment later?

# %%
short = lab.run("base", "echo done", name="short")
short.wait_exit()
try:
    short.exec("ps")
except labkit.LabError as error:
    print(error)

# %% [markdown]
# Read the message as it is meant: what happened, what was seen, what to do. Exit code 0 says that
# the program ended content. It is a common surprise with containers: nothing failed, and yet the
# container is not running.
#
# ## How exercises work
#
# The exercises of this chapter are in `exercises/00_start_here.ipynb`. Each asks for an *effect*:
# something that must be so on the engine. You may reach it in any way you like, with `labkit` or
# in a terminal of JupyterLab. Then `check` looks at the engine and the kernel, never at what you
# typed.

# %%
check("00.1")

# %% [markdown]
# *Not attempted*: there is no container `first` yet. Let us make a wrong one on purpose: it ends
# at once.

# %%
lab.run("base", "echo too short", name="first").wait_exit()
check("00.1")

# %% [markdown]
# *Incorrect*, with what was expected, what was observed, and a hint that fits. If you are stuck:

# %%
hint("00.1")

# %%
solution("00.1")

# %% [markdown]
# Looking at a solution costs nothing. `reset` removes what you made for an exercise, so that you
# can begin again:

# %%
reset("00.1")

# %%
lab.run("base", name="first")
check("00.1")

# %% [markdown]
# Some exercises give you your own values, so that copying a neighbour's answer does not help:

# %%
variant("00.3")

# %% [markdown]
# And `progress` shows where you stand. It is remembered when you close the notebook.

# %%
progress()

# %% [markdown]
# ## Where things go
#
# Restart this notebook's kernel, close the laptop, pull the plug: the containers of this notebook
# go with it. A small process waits beside the notebook for nothing else. You can also say it
# yourself:

# %%
lab.close()
lab.containers()

# %% [markdown]
# ## What to remember
#
# 1. A container is a process that the kernel shows a smaller world.
# 2. The engine starts it; the kernel isolates it; one kernel serves inside and outside.
# 3. The process is on your computer's list too, under another number.
# 4. A container lives as long as its first process.
# 5. `check`, `hint`, `solution`, `reset`, `progress`: you cannot get stuck, and nothing is lost.
#
# | to | in `labkit` | in a terminal |
# |---|---|---|
# | start a container | `lab.run("base", name="web")` | `docker run -d --name web IMAGE` |
# | run a second program in it | `web.exec("ps")` | `docker exec web ps` |
# | see its processes | `web.processes()` | `docker top web` |
# | find it on the host | `web.pid` | `docker inspect -f '{{.State.Pid}}' web` |
# | read what it printed | `web.logs()` | `docker logs web` |
# | remove it | `web.remove()` | `docker rm -f web` |
#
# Read next: `man 7 namespaces`, `man 7 cgroups`, and chapter 01.
