# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04 Union file systems: exercises
#
# Run the cells from the top. Replace each line that raises `NotImplementedError` with your own.
# What counts is what lies in the layers afterwards: `check` reads their directories. When you want
# to begin again, run `reset("04.1")` (or the exercise's own number) in a cell of its own.

# %%
import labkit
from labkit import answer, check, hint, piece, progress, reset, scene, solution, trial, variant

lab = labkit.Lab()

# %% [markdown]
# ## 04.1 A diff to order
#
# Start a container named `made` from the image `toolbox`, and change its files until `docker diff`
# says of it exactly what `variant("04.1").diff` says, each line, and no other. There is a line of
# each kind in it. One of the `C` lines names a directory, and no other line names anything in it:
# there, only the directory's own record is to change. Let it run.

# %%
print("\n".join(variant("04.1").diff))

# %% exercise="04.1"
### BEGIN SOLUTION
made = lab.run("toolbox", name="made")
lines = [line.split() for line in variant("04.1").diff]
paths = [path for _, path in lines]
for kind, path in lines:
    inside = any(other.startswith(path + "/") for other in paths)
    if kind == "A":
        made.exec(["touch", path])
    elif kind == "D":
        made.exec(["rm", "-r", path])
    elif not inside:  # else what is in it will change it
        made.exec(["chmod", "g+w,o-x", path])
### END SOLUTION

# %%
check("04.1")

# %% [markdown]
# ## 04.2 Read the upper directory
#
# `scene("04.2")` starts `kept`, in which several things were done. Find out, from what it has
# written, and give it as `answer("04.2", whiteouts=..., opaque=..., copied=...)`. A second
# container of the image may help.
#
# - `whiteouts`: how many whiteouts are in its upper directory? (Not every deleted file has one.)
# - `opaque`: which directory of the image was deleted and made anew? Its path in the container.
# - `copied`: how many bytes of its upper directory are files of the image that were copied up,
#   though not one byte in them was changed?

# %%
scene("04.2")

# %% exercise="04.2"
### BEGIN SOLUTION
kept, untouched = lab.container("kept"), lab.run("toolbox", name="untouched")
files = kept.overlay().stack(limit=100).files
whiteouts = [one.path for one in files if one.cells[0] == "whiteout"]
opaque = [one.path for one in files if one.cells[0] == "opaque"]
copies = [one.path for one in files if one.cells[0] == "file" and any(one.cells[1:])]
same = [
    path
    for path in copies
    if kept.exec(["md5sum", path]).stdout == untouched.exec(["md5sum", path]).stdout
]
copied = sum(int(kept.exec(["stat", "-c", "%s", path]).stdout) for path in same)
answer("04.2", whiteouts=len(whiteouts), opaque=opaque[0], copied=copied)
### END SOLUTION

# %%
check("04.2")

# %% [markdown]
# ## 04.3 The old prices
#
# A repair. `scene("04.3")` starts `shop`. Its files are an overlay that somebody has mounted by
# hand, at `/shop/merged`: the directories `/shop/may` and `/shop/june` came with the software, the
# one of June later, and `/shop/mine` is where the shop itself writes. Customers complain: they are
# told the prices of May, and the file `opening`, with the hours of June, is not there at all,
# though it is in `/shop/june`.
#
# Mend it. In the end `prices` and `opening` must be seen in `/shop/merged` as they are in
# `/shop/june`, and they must come from there: a copy would hide the next prices that are delivered.
# So must `menu`, which is in May alone. What the shop has written, `orders`, must still be seen,
# and it must be able to write more. The two directories of the software stay as they are. (In a
# cell with `%%in shop` you may unmount and mount.)

# %%
scene("04.3")

# %% exercise="04.3"
### BEGIN SOLUTION
shop = lab.container("shop")
dirs = "lowerdir=/shop/june:/shop/may,upperdir=/shop/mine,workdir=/shop/work"
shop.exec("umount /shop/merged")
shop.exec("rm /shop/mine/opening")
shop.exec(["mount", "-t", "overlay", "overlay", "-o", dirs, "/shop/merged"])
### END SOLUTION

# %%
check("04.3")

# %% [markdown]
# ## 04.4 Your own container: the files
#
# The third piece of the container that you make by hand. **A piece is a program in a file that sets
# one thing up and then becomes the command that it was given**; chapter 05 puts the pieces
# together. They are kept in the folder `container` of your `work`, and this one belongs here:

# %% tags=["nbval-ignore-output"]
piece("04.4")

# %% [markdown]
# Write it, with any editor, or from here with `piece("04.4").write("...")`; as a shell script, or
# in Python. It is called with the layers of an image, the topmost first, with a directory that is
# there and empty, a program, and what that is given:
#
#     rootfs /image/two:/image/one /rooms/oak sleep 1000
#
# It runs the program with another `/`: an overlay of these layers. What the program writes is kept
# below the directory that was given, where all that the overlay needs may be made, and the layers
# stay as they are. The program begins in its `/`. And the workbench around it sees nothing of the
# mount: it is made in a `mnt` namespace of the program's own (chapter 02). `chroot DIRECTORY
# PROGRAM` begins a program with `DIRECTORY` as its `/`.
#
# `trial("04.4")` starts a workbench, `bench`, with your piece in it and a small image in two
# layers, and has it make two boxes, those of `variant("04.4")`. Each writes a file and deletes
# another one. `check` looks at them from outside. The workbench stays: in a cell with `%%in bench`
# you can try by hand, in a directory of your own below `/rooms`.

# %% exercise="04.4"
### BEGIN SOLUTION
piece("04.4").write("""
#!/bin/sh
# rootfs LAYERS ROOM PROGRAM [ARGUMENT...]: run a program with an overlay of the layers as its /.
exec unshare --mount sh -ec '
    layers=$1 room=$2
    shift 2
    cd "$room"
    mkdir upper work merged
    mount -t overlay overlay -o "lowerdir=$layers,upperdir=$room/upper,workdir=$room/work" merged
    exec chroot merged "$@"
' sh "$@"
""")
### END SOLUTION
trial("04.4")

# %%
check("04.4")
