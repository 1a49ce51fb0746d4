# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04 Union file systems
#
# A container, `box`, has a file of some megabytes: Python itself. We take one right away from it,
# so that others than root may not run it. That changes a bit in the file's record, and not one byte
# of what is in it. Choose what the engine will say of the container's size.

# %%
import labkit
from labkit import predict, reveal

lab = labkit.Lab()
box = lab.run("toolbox", name="box")

# %% tags=["nbval-ignore-output"] language="sh"
# docker ps --size --filter name=box --format '{{.Size}}'

# %%
grows = ["nothing", "a few bytes", "the whole file"]
predict("04.a", "chmod of one file: what is added to the container's size?", grows)

# %% tags=["nbval-ignore-output"] language="in" magic_args="box"
# python=$(readlink -f /usr/bin/python3)
# chmod o-x $python
# ls -l $python

# %%
file = box.exec("readlink -f /usr/bin/python3").stdout.strip()
size = int(box.exec(["stat", "-c", "%s", file]).stdout)
found = lab.engine.client.api.containers(size=True, filters={"id": box.id})[0]
grown = found.get("SizeRw", 0)
reveal("04.a", grows[0] if not grown else grows[1] if grown < size else grows[2], by="the engine")

# %% [markdown]
# The whole file: that is its size, by `ls` above. (`virtual` is with the image.) Now delete it:

# %% tags=["nbval-ignore-output"] language="sh"
# docker exec box sh -c 'rm $(readlink -f /usr/bin/python3)'
# docker ps --size --filter name=box --format '{{.Size}}'
# docker run --rm labkit/toolbox python3 -c 'print("Another container has it still.")'

# %% [markdown]
# The container is as small as before; the file is gone from it, and yet another container of the
# image has it. So what was freed, and where? To see it, we build such a file system ourselves.
#
# ## Four directories
#
# A **union file system** shows several directories as if they were one. Linux has one that is
# called **overlay**. `bench` is a workbench, a container that may mount file systems; `/layers` is
# a volume: a directory that is no part of its own files (chapter 11). (`$MORE` is empty, unless
# root in your containers is not the host's root, as with a *rootless* engine: then the overlay
# must make its marks in another way.)

# %%
rights = {"cap_add": ["SYS_ADMIN"], "security_opt": ["seccomp=unconfined", "apparmor=unconfined"]}
space = {lab.volume("layers").docker.id: "/layers"}
more = "" if box.id_maps()[0].to_outside(0) == 0 and not lab.engine.facts.rootless else ",userxattr"
own = {"volumes": space, "environment": {"MORE": more}}
bench = lab.run("toolbox", name="bench", **own, **rights)

# %% language="in" magic_args="bench"
# cd /layers; mkdir lower upper work merged
# echo "from far below" | tee lower/old lower/both >/dev/null
# echo "from above" >upper/both
# mkdir lower/dir; touch lower/dir/one lower/dir/two
# dirs=lowerdir=/layers/lower,upperdir=/layers/upper,workdir=/layers/work
# mount -t overlay overlay -o $dirs$MORE /layers/merged
# cd merged; ls; grep . old both

# %% [markdown]
# In `merged` there is what is in `lower` **and** in `upper`; of two files with one name, the one
# above is seen. That is all there is to reading. (`work` is a place where the kernel prepares what
# is to appear in `upper` all at once.) Now we write, to the file that is only in `lower`.

# %%
predict("04.b", "Where will the new line be?", ["in lower", "in upper", "in both"])

# %% language="in" magic_args="bench"
# cd /layers; echo "a new line" >>merged/old
# grep . lower/old upper/old

# %%
found = {}
for layer in ("lower", "upper"):
    found[layer] = "new" in bench.exec(f"cat /layers/{layer}/old").stdout
reveal("04.b", "in both" if all(found.values()) else "in upper" if found["upper"] else "in lower")

# %% [markdown]
# In `upper`, where there was no such file a moment ago: now it has a new line *and* the old one.
# Before the first write, the kernel copied the file from `lower` to `upper`, whole. That is called
# **copy-up**, and it is the answer to the first riddle: to change a right, too, is to change the
# file, and `lower` is never written to. We look into `lower` and `upper`, but write only through
# `merged`: what happens otherwise, the kernel leaves open.
#
# ## How to delete what cannot be written
#
# If `lower` is never written to, how can one delete a file that is in it? We delete one, and a
# directory too, which we then make anew.

# %%
leaves = ["nothing", "an empty file", "a device"]
predict("04.c", "rm merged/old: what will be at upper/old?", leaves)

# %% tags=["nbval-ignore-output"] language="in" magic_args="bench"
# cd /layers; rm merged/old; rm -r merged/dir
# mkdir merged/dir; touch merged/dir/three
# ls merged merged/dir
# echo; ls -l upper

# %%
overlay = bench.overlay(at="/layers/merged")
kinds = {"": leaves[0], "file": leaves[1], "whiteout": leaves[2]}
reveal("04.c", {one.path: kinds.get(one.cells[0]) for one in overlay.stack().files}["/old"])

# %% [markdown]
# A character device with the numbers `0, 0`, which belongs to no driver. For the overlay it is a
# **whiteout**: *nothing is here, whatever is below*. To delete a file that is in `upper` alone
# needs none.
#
# `dir` is an ordinary directory, and yet `one` and `two`, which are in `lower/dir` still, are not
# seen through it. Its mark is an **extended attribute**, a small note that is attached to a file:

# %% language="in" magic_args="bench"
# cat >/marks.py <<'end'
# import os, sys
# for name in os.listxattr(sys.argv[1]):
#     print(name, os.getxattr(sys.argv[1], name))
# end
# python3 /marks.py /layers/upper/dir

# %% [markdown]
# The directory is **opaque**: of that name, the layers below are not looked at. The picture shows
# both layers, and in the first column which of them each file is seen from. It follows what you do:
# change something below `/layers/merged`, in a cell of your own that begins with `%%in bench`, and
# look.

# %%
labkit.show.live_overlay(overlay, below="/")

# %% [markdown]
# Both together tell how `merged` differs from `lower`, in three kinds: **A**, added; **C**,
# changed; **D**, deleted.

# %%
for change in sorted(overlay.changes()):
    print(change)

# %% [markdown]
# `/dir/one` and `/dir/two` are *deleted*, and no whiteout says so: whoever derives this list has to
# look into `lower` as well.
#
# ## The same, found in a container
#
# `box` has a `/`, and the kernel knows what is mounted there:

# %% tags=["nbval-ignore-output"] language="host"
# findmnt --task $box --noheadings --output FSTYPE,OPTIONS / | tr ',:' '\n\n'

# %%
try:
    root = box.overlay()
except labkit.LabError as err:  # an engine may keep its layers in another way
    print(f"{err}\nSo the pictures that follow are of the one that was mounted by hand.")
    root = overlay

# %% tags=["nbval-ignore-output"]
root

# %% [markdown]
# Here they are again: one `upper`, one `work`, and several directories in place of one `lower`; the
# overlay takes many, the topmost first; in `mount` they are written `lowerdir=TOP:BELOW`. Each
# layer of the image is one of them. As a rule the engine puts one more between: `init`, with what
# it needs in every container. The directories are on the host, and hold nothing but files:

# %% tags=["nbval-ignore-output"]
for layer in root.lower:
    print(layer.name, *lab.engine.host.list(layer.place)[:8])

# %%
twin = lab.run("toolbox", name="twin")
shares = ["none", "those of the image", "all but the upper one", "all"]
predict("04.d", "Which directories does a second container of this image have in common?", shares)

# %%
other = twin.overlay() if root is not overlay else overlay
theirs = [layer.directory for layer in other.layers.layers]
common = [layer.name for layer in root.layers.layers if layer.directory in theirs]
images = common == [layer.name for layer in root.layers.layers if layer.name.startswith("image")]
found = shares[0] if not common else shares[1] if images else ", ".join(common)
reveal("04.d", found) if other is not root else None

# %% [markdown]
# Those of the image: not copies, the very same directories. That is why a container takes next to
# no disk (chapter 06), and why nothing may ever be written there.
#
# We change a few things in `twin`. **Predict.** Which lines will `docker diff` print? How many are
# there of `/usr/share/debconf`, which has files in it, and is deleted as a whole?

# %% language="in" magic_args="twin"
# echo "# mine" >>/etc/passwd
# chmod 600 /etc/issue
# rm -r /usr/share/debconf
# rm /etc/group
# touch /srv/new /tmp/gone; rm /tmp/gone

# %% language="sh"
# docker diff twin | sort -k 2

# %% [markdown]
# One line for the whole directory; `C` for each directory in which something is different now; and
# `C` for a file of which not a byte is. `/tmp` has no line: what was made there is gone again. Can
# we derive all this ourselves, from the directories, without asking the engine?

# %%
told = lab.engine.client.api.diff(twin.id)
derived = {(str(one)[0], one.path) for one in other.changes()}
if other is not root:
    print("the same:", derived == {("CAD"[one["Kind"]], one["Path"]) for one in told})

# %% [markdown]
# We can: from the upper directory, and from those below it, for `upper` alone cannot tell an added
# file from a changed one. This is the figure to keep: every path that `twin` has written, through
# all of its layers. (`/tmp` is in it: `upper` has it.)

# %% tags=["nbval-ignore-output"]
labkit.show.overlay_stack(other)

# %% [markdown]
# ## What `rm` frees
#
# The puzzle is nearly solved. This is `box`, in which the file of the image was first changed, and
# then deleted:

# %% tags=["nbval-ignore-output"]
labkit.show.overlay_stack(root)

# %%
print("seen in box:", box.exec(["ls", file]).exit_code == 0)
print("seen in twin:", twin.exec(["ls", file]).exit_code == 0)
print("as large as ever:", int(twin.exec(["stat", "-c", "%s", file]).stdout) == size)

# %% [markdown]
# The copy went, and a whiteout came in its place. The file itself lies where it always was, for all
# who share that directory. **To delete a file of the image frees nothing**; it even adds an entry,
# the whiteout. All that `rm` in a container can free is what was written in that container. And
# that, too, not always at once. A program has a log open, and somebody deletes it meanwhile:

# %% language="in" magic_args="box"
# head -c 20000000 /dev/zero >/tmp/log
# tail -f /tmp/log >/dev/null & sleep 1
# rm /tmp/log
# stat --dereference --format '%s bytes, %h names' /proc/$!/fd/3
# kill $!

# %% [markdown]
# Twenty million bytes without a name: they stay as long as the program has the file open. That is
# no matter of overlays, every file system does it. So on a full disk `rm` in a container helps only
# against what that container wrote itself, and only when no program holds it open. Else end that
# program, or remove the container. An image's layers go when no container and no other image needs
# them.
#
# ## What a copy costs
#
# To write one byte to a large file of the image means to copy it. We make files of several sizes in
# the `lower` of another overlay, and append a byte to each of them twice, through its `merged`.

# %%
predict("04.e", "64 MB: how many times as long does the first byte take as the second?",
        ["about as long", "up to ten times", "more than ten times"])  # fmt: skip

# %% language="in" magic_args="bench"
# mkdir /layers/copy; cd /layers/copy; mkdir lower upper work merged
# for n in 4 16 32 64; do head -c ${n}000000 /dev/zero >lower/$n; done; sync
# mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work$MORE merged
# cat >/append.py <<'end'
# import sys, time
# for n in (4, 16, 32, 64):
#     for turn in range(2):
#         begin = time.perf_counter()
#         with open(f"/layers/copy/merged/{n}", "ab") as file:
#             file.write(b"!")
#         print(n, 1000 * (time.perf_counter() - begin))
# end

# %%
rows = [line.split() for line in bench.exec("python3 /append.py").stdout.splitlines()]
took = [(int(n), float(milliseconds)) for n, milliseconds in rows]
byte = {"first": took[0::2], "second": took[1::2]}

# %% tags=["nbval-ignore-output"]
labkit.show.lines(byte, x="MB of the file", y="ms", title="Time to append one byte")

# %%
times = byte["first"][-1][1] / byte["second"][-1][1]
reveal(
    "04.e", "about as long" if times < 2 else f"{'more than' if times > 10 else 'up to'} ten times"
)

# %% [markdown]
# The first byte takes longer the larger the file is, the second does not. (Where the directories
# are on a file system that can let two files share their blocks, as Btrfs and XFS can, the copy is
# no more than a note. Look at your curve.) A database whose files are part of the image begins like
# this; its files belong in a volume.
#
# ## What programs notice
#
# A copy is *another* file. Can a program tell? This one knows a file by two names (`a` and `b` are
# **hard links**), has it open, has it **mapped** (its bytes appear as memory of the program), and
# has asked the kernel to be told of changes (**inotify**). Then it writes `new` into `a`, as
# somebody else might.

# %% language="in" magic_args="bench"
# cat >/notice.py <<'end'
# import ctypes, mmap, os
# libc, ears = ctypes.CDLL(None), {}
# for name in ("a", "b"):
#     ears[name] = libc.inotify_init1(os.O_NONBLOCK)
#     libc.inotify_add_watch(ears[name], name.encode(), 2)  # 2: when it is modified
# opened = open("a", "rb")
# mapped = mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ)
# with open("a", "r+b") as file:
#     file.write(b"new")
# print("the open file:    ", opened.read(3).decode())
# print("the mapped memory:", mapped[:3].decode())
# print("the name b:       ", open("b").read(3))
# for name, ear in ears.items():
#     try:
#         print(f"who watches {name}:    ", "told" if os.read(ear, 4096) else "not told")
#     except BlockingIOError:
#         print(f"who watches {name}:     not told")
# end
# cd /dev/shm; echo old >a; ln a b; python3 /notice.py

# %% [markdown]
# That was in `/dev/shm`, which is no overlay: all see the new file. Now in an overlay, where `a`
# and `b` are in `lower`.

# %%
stay = ["none", "the open file", "the mapped memory and the name b", "all three"]
predict("04.f", "Open file, mapped memory, the name b: which of them will stay old?", stay)

# %% language="in" magic_args="bench"
# mkdir /layers/notice; cd /layers/notice; mkdir lower upper work merged
# echo old >lower/a; ln lower/a lower/b
# mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work$MORE merged
# cd merged; python3 /notice.py | tee /dev/shm/seen

# %%
seen = bench.exec("cat /dev/shm/seen").stdout.splitlines()
old = [line.partition(":")[0] for line in seen if line.endswith(" old")]
reveal("04.f", {0: "none", 1: old[0], 3: "all three"}.get(len(old), " and ".join(old)))

# %% [markdown]
# The open file is new: it leads to the copy now. (Many a text says that it stays old.) The mapped
# memory stays old. And the two names are no longer one file: the copy has one name, `b` is still
# the file in `lower`, and who watches `b` is not told. You will meet it where programs save disk by
# giving one file several names, as package managers do; and where one program maps a file that
# another one writes, as some databases do. The cure is the same: such files belong in a volume.
#
# ## Break it
#
# An installer moves the old version of a directory out of its way, and puts the new one there. It
# has worked for years. In a container, on a directory of the image:

# %% language="in" magic_args="twin"
# cat >/move.py <<'end'
# import os, sys
# try:
#     os.rename(sys.argv[1], sys.argv[1] + ".old")
#     print("moved")
# except OSError as err:
#     print(err.strerror)
# end
# mkdir /srv/mine; python3 /move.py /srv/mine

# %% tags=["nbval-ignore-output"] language="in" magic_args="twin"
# python3 /move.py /etc/skel

# %% [markdown]
# `Invalid cross-device link` (its code is `EXDEV`): the answer of a file system that is asked to
# move something to another file system, and there is only one here. A directory that this container
# made is moved; one that is in a layer below would have to be copied, with all that is in it, and
# the kernel leaves that to the program. The command `mv` knows, and copies; the program that calls
# `rename` and expects no such answer breaks off. How to recognise it: it works in a volume, and on
# the directory that was just made; and it fails on the image's, and only there.
#
# There is an option that makes it work. The engine does not use it, as a rule. By hand:

# %% language="in" magic_args="bench"
# test -z "$MORE" || { echo "Not here: root is not the host's root."; exit; }
# mkdir /layers/move; cd /layers/move; mkdir -p lower/dir upper work merged; touch lower/dir/one
# mount -t overlay overlay -o redirect_dir=on,lowerdir=lower,upperdir=upper,workdir=work merged
# mv merged/dir merged/moved
# ls upper/moved | wc -l
# python3 /marks.py upper/moved | grep redirect

# %%
for change in sorted(bench.overlay(at="/layers/move/merged").changes()) if not more else ():
    print(change)

# %% [markdown]
# The directory in `upper` is empty, and has a note: *what is below me is called* `dir`. The rest is
# as if all had been copied. (Would your engine do so by itself? `N` is no.)

# %% tags=["nbval-ignore-output"] language="host"
# cat /sys/module/overlay/parameters/redirect_dir

# %% [markdown]
# Your turn: the exercises are in
# [exercises/04_union_file_systems.ipynb](../exercises/04_union_file_systems.ipynb).
#
# ## What to remember
#
# 1. A container's `/` is an overlay: one directory to write in, above those of the image, which all
#    its containers share and none changes.
# 2. The first change of a file of the image, be it of a bit of its rights, copies it up, whole.
# 3. Deleted is what a whiteout covers; the image's file stays, and takes as much disk as before.
# 4. `docker diff` is how what is seen differs from the image: A, C, D. It follows from the upper
#    directory and those below it.
# 5. A copy is another file: other names of it and mapped memory stay with the old one, and a
#    directory of the image cannot be renamed. What is written often belongs in a volume.
#
# | to | type | where |
# |---|---|---|
# | see a container's layers | `findmnt --task $box --noheadings --output FSTYPE,OPTIONS /` | host |
# | see what was written | `docker diff twin` | notebook |
# | see how much | `docker ps --size ...` | notebook |
# | mount one | `mount -t overlay overlay -o $dirs$MORE /layers/merged` | bench |
# | see a whiteout | `ls -l upper` | bench |
# | see an opaque directory, as getfattr(1) does | `python3 /marks.py /layers/upper/dir` | bench |
#
# Read next: the kernel's
# [Overlay Filesystem](https://docs.kernel.org/filesystems/overlayfs.html), above all "Non-standard
# behavior"; `man 8 mount`; `man 7 xattr`; and of the OCI image specification the page
# [layer.md](https://github.com/opencontainers/image-spec/blob/main/layer.md), where a whiteout is
# a file `.wh.NAME`.
