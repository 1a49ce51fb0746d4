"""Record the trees under `recorded/`: what three kinds of machine show of their processes.

    python3 tests/data/record.py v2             # Debian's cloud kernel in QEMU, cgroup v2 only
    python3 tests/data/record.py v1             # the same kernel, cgroup v1 controllers only
    sudo python3 tests/data/record.py hybrid    # this machine: v1 controllers and a v2 tree

All three run the same shell script, `SCENE`. It makes a control group `labkit-record` with
limits, has it throttled, hit by the OOM killer and frozen, starts the processes below, and copies
what /proc and /sys/fs/cgroup then show to the same paths under the tree:

    kthread    kthreadd: a kernel thread
    host       a process in the initial namespaces and in the root of every hierarchy
    confined   uid 0 with Docker's default capabilities and no new privileges
    container  pid 1 of namespaces of its own, uid 100000, in labkit-record, with an overlay
               mount; its program is called "my (odd) name"

`roles.json` says which pid is which. `inside/` is what a process in the container's control group
namespace reads about itself. Of `hybrid`, mount points other than those of /proc, /sys, /dev, /
and of the scene are left out of mountinfo (one machine's disks teach nothing); nothing else is
edited. `hybrid` wants root and v1 controllers at /sys/fs/cgroup/<controller>; `v1` and `v2` want
Debian 12 (apt-get, dpkg-deb), busybox-static, util-linux and qemu-system-x86, and no privilege.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

RECORDED = Path(__file__).with_name("recorded")
PROGRAMS = ("/usr/bin/unshare", "/usr/bin/setpriv", "/usr/bin/sleep", "/usr/bin/dash")

# $1: v1, v2 or hybrid; $2: where the tree goes; $3: a directory for the scene's own files.
SCENE = r"""
set -eu
VERSION=$1 OUT=$2 WORK=$3
CG=/sys/fs/cgroup
NAME=labkit-record
put() { echo "$1" > "$2"; }
dirs() {  # every directory of the scene's control group
    if [ "$VERSION" = v2 ]; then echo $CG/$NAME; return; fi
    for d in $CG/*/; do [ -L "${d%/}" ] || echo "$d$NAME"; done
}

UNSHARE= HOST= CONFINED= CONTAINER=
clean() {  # take it all away again, whatever happened
    set +e
    if [ "$VERSION" = v2 ]; then put 0 $CG/$NAME/cgroup.freeze
    else put THAWED $CG/freezer/$NAME/freezer.state; fi
    kill -9 $UNSHARE $HOST $CONFINED $CONTAINER 2> /dev/null
    wait
    tries=0
    for d in $(dirs); do
        until rmdir $d 2> /dev/null || [ $tries = 100 ]; do tries=$((tries + 1)); sleep 0.1; done
    done
}
trap clean EXIT

mkdir -p "$WORK" "$OUT"
for d in $(dirs); do mkdir -p $d; done
if [ "$VERSION" = v2 ]; then
    cd $CG/$NAME
    put 16M memory.max; put 4M memory.low; put 50 cpu.weight; put '20000 100000' cpu.max
    [ -e memory.swap.max ] && put 8M memory.swap.max
    put 20 pids.max; put 0 cpuset.cpus
else
    cd $CG
    put 0 cpuset/$NAME/cpuset.mems; put 0 cpuset/$NAME/cpuset.cpus
    put 16M memory/$NAME/memory.limit_in_bytes; put 4M memory/$NAME/memory.soft_limit_in_bytes
    [ -e memory/$NAME/memory.memsw.limit_in_bytes ] &&
        put 24M memory/$NAME/memory.memsw.limit_in_bytes
    put 512 cpu/$NAME/cpu.shares; put 20000 cpu/$NAME/cpu.cfs_quota_us
    put 20 pids/$NAME/pids.max
fi
cd "$WORK"

# Throttled, over its memory limit, and some input and output.
if [ "$VERSION" = hybrid ]; then
    DISK=$OUT/disk
    dd if=/dev/zero of=$DISK bs=64k count=8 conv=fsync 2> /dev/null
    DEV=$(stat -c %Hd:%Ld $DISK)
else
    DISK=/dev/nvme0n1
    read -r DEV < /sys/block/nvme0n1/dev
fi
if [ "$VERSION" != v2 ]; then  # Linux 6.1 counts in v1 only where there is a limit
    put "$DEV 1000000000" $CG/blkio/$NAME/blkio.throttle.read_bps_device
    put "$DEV 1000000000" $CG/blkio/$NAME/blkio.throttle.write_bps_device
else
    put "$DEV rbps=1000000000 wbps=1000000000" $CG/$NAME/io.max
fi
cat > load.sh <<END
$(for d in $(dirs); do echo "echo \$\$ > $d/cgroup.procs"; done)
dd if=/dev/zero of=$DISK bs=64k count=2 oflag=direct conv=notrunc
dd if=$DISK of=/dev/null bs=64k count=4 iflag=direct
timeout 2 sh -c 'while :; do :; done'
dd if=/dev/zero of=/dev/null bs=64M count=1
END
sh load.sh > load.log 2>&1 || true
[ "$VERSION" != hybrid ] || rm $DISK

# The container: mounts first, as root; then an unprivileged user's namespaces.
mkfifo never
: > ready
chmod 666 ready
cp /usr/bin/dash 'my (odd) name'
mkdir -p 'lower:one' 'lower two' upper,dir work merged 'a mount' own-cgroup
cat > container.sh <<END
$(for d in $(dirs); do echo "echo \$\$ > $d/cgroup.procs"; done)
exec /usr/bin/unshare -m -u -i -n -C sh -eu $WORK/mounts.sh
END
cat > mounts.sh <<'END'
cd "${0%/*}"
mount -t overlay overlay -o \
    'lowerdir=lower\:one:lower two,upperdir=upper\,dir,workdir=work' merged
mount -t tmpfs 'a source' 'a mount'
if [ -e /sys/fs/cgroup/memory ]; then
    mount -t cgroup -o memory memory own-cgroup
else
    mount -t cgroup2 none own-cgroup
fi
cat /proc/self/cgroup > inside-cgroup
cat /proc/self/mountinfo > inside-mountinfo
chmod 755 .
exec /usr/bin/setpriv --reuid=100000 --regid=100000 --clear-groups \
    /usr/bin/unshare -U -r -p -f -T --kill-child \
    './my (odd) name' -c 'echo > ready; read line < never' '' 'last argument'
END
sh container.sh > container.log 2>&1 & UNSHARE=$!
/usr/bin/sleep 1000 & HOST=$!
for d in $(dirs); do echo $HOST > ${d%/*}/cgroup.procs; done
BOUND=-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap
BOUND=$BOUND,+net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap
/usr/bin/setpriv --no-new-privs --inh-caps=-all --bounding-set=$BOUND \
    /usr/bin/sleep 1000 & CONFINED=$!
tries=0
while [ -z "$CONTAINER" ]; do
    for p in $(cat $(dirs | head -n 1)/cgroup.procs); do
        [ -s ready ] || continue
        case "$(cat /proc/$p/stat 2> /dev/null)" in *' (my (odd) name) S '*) CONTAINER=$p;; esac
    done
    tries=$((tries + 1)); [ $tries -lt 100 ] || { cat load.log container.log; exit 1; }
    sleep 0.1
done
if [ "$VERSION" = v2 ]; then
    put 12M $CG/$NAME/memory.high  # only now, or dd would be slowed before it is killed
    put 1 $CG/$NAME/cgroup.freeze
else put FROZEN $CG/freezer/$NAME/freezer.state; fi
tries=0
until grep -qsx 'FROZEN\|frozen 1' $CG/freezer/$NAME/freezer.state $CG/$NAME/cgroup.events; do
    tries=$((tries + 1)); [ $tries -lt 100 ] || exit 1
    sleep 0.1
done

kill -0 $HOST $CONFINED $CONTAINER || { cat load.log container.log; exit 1; }

# Copy. The files of /proc and of cgroupfs have size 0, so read them rather than copy them.
rec() {
    for f in "$@"; do
        if [ -e "$f" ]; then mkdir -p "$OUT${f%/*}"; cat "$f" > "$OUT$f"; fi
    done
}
for p in 2 $HOST $CONFINED $CONTAINER; do rec /proc/$p/stat /proc/$p/status /proc/$p/cmdline; done
for p in $HOST $CONTAINER; do
    rec /proc/$p/cgroup /proc/$p/mountinfo /proc/$p/uid_map /proc/$p/gid_map
    mkdir -p "$OUT/proc/$p/ns"
    for n in /proc/$p/ns/*; do
        case $n in *_for_children) ;; *) ln -s "$(readlink $n)" "$OUT$n";; esac
    done
done
for d in $(dirs); do
    rec $d/memory.current $d/memory.max $d/memory.low $d/memory.high $d/memory.swap.max \
        $d/memory.events $d/memory.peak $d/cpu.max $d/cpu.weight $d/io.stat $d/io.max \
        $d/pids.current $d/pids.max $d/pids.events \
        $d/cpu.pressure $d/memory.pressure $d/io.pressure \
        $d/cpuset.cpus.effective $d/cpuset.mems.effective $d/cgroup.events \
        $d/memory.usage_in_bytes $d/memory.limit_in_bytes $d/memory.soft_limit_in_bytes \
        $d/memory.memsw.limit_in_bytes $d/memory.oom_control $d/memory.failcnt \
        $d/memory.max_usage_in_bytes $d/cpu.stat $d/cpu.cfs_quota_us $d/cpu.cfs_period_us \
        $d/cpu.shares $d/cpuacct.usage $d/cpuset.effective_cpus $d/cpuset.effective_mems \
        $d/freezer.state $d/blkio.throttle.io_service_bytes_recursive \
        $d/blkio.throttle.io_service_bytes \
        $d/blkio.throttle.read_bps_device $d/blkio.throttle.write_bps_device
done
rec $CG/cpu.stat $CG/io.stat $CG/memory/memory.limit_in_bytes $CG/memory/memory.usage_in_bytes
mkdir -p "$OUT/inside/proc/self"
cat inside-cgroup > "$OUT/inside/proc/self/cgroup"
cat inside-mountinfo > "$OUT/inside/proc/self/mountinfo"
echo "{\"kthread\": 2, \"host\": $HOST, \"confined\": $CONFINED, \"container\": $CONTAINER}" \
    > "$OUT/roles.json"
"""

# The first process of the guest. ttyS1 is a file on the host, which gets the tree as a tar.
INIT = r"""#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
insmod /overlay.ko
read -r VERSION < /version
if [ $VERSION = v2 ]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    echo '+cpu +memory +pids +io +cpuset' > /sys/fs/cgroup/cgroup.subtree_control
else
    mount -t tmpfs tmpfs /sys/fs/cgroup
    cd /sys/fs/cgroup
    for c in cpu,cpuacct cpuset memory devices freezer blkio pids; do
        mkdir $c
        mount -t cgroup -o $c cgroup $c
    done
    ln -s cpu,cpuacct cpu
    ln -s cpu,cpuacct cpuacct
    mkdir systemd
    mount -t cgroup -o none,name=systemd cgroup systemd
fi
cd /
sh /scene.sh $VERSION /tmp/out /tmp/labkit-record && echo recorded
stty -F /dev/ttyS1 raw
tar -C /tmp/out -c . > /dev/ttyS1
reboot -f
"""


def record_guest(version: str, tree: Path) -> None:
    """Boot Debian's cloud kernel on `INIT` and unpack the tree that it sends."""
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        kernel, modules = fetch_kernel(work)
        root = make_root(work, version, modules)
        initrd = work / "initrd"
        names = "\n".join(str(p.relative_to(root)) for p in sorted(root.rglob("*")))
        with initrd.open("wb") as out:
            subprocess.run(
                ["busybox", "cpio", "-o", "-H", "newc"],
                cwd=root, input=names.encode(), stdout=out, check=True,
            )  # fmt: skip
        disk = work / "disk"
        disk.write_bytes(bytes(1 << 20))
        sent = work / "tree.tar"
        subprocess.run(
            [
                "qemu-system-x86_64", "-M", "q35", "-accel", "tcg,tb-size=128", "-m", "512",
                "-nodefaults", "-display", "none", "-no-reboot",
                "-serial", "stdio", "-serial", f"file:{sent}",
                "-drive", f"if=none,id=disk,format=raw,file={disk}",
                "-device", "nvme,drive=disk,serial=1",
                "-kernel", str(kernel), "-initrd", str(initrd),
                "-append", "console=ttyS0 panic=1 quiet swapaccount=1",
            ],
            stdin=subprocess.DEVNULL, check=True, timeout=600,
        )  # fmt: skip
        run("tar", "-C", str(tree), "--no-same-owner", "-xf", str(sent))


def fetch_kernel(work: Path) -> tuple[Path, Path]:
    """Download and unpack the kernel; return its image and its modules' directory."""
    depends = run("apt-cache", "depends", "linux-image-cloud-amd64")
    package = re.search(r"Depends: (linux-image-\S+)", depends)
    if package is None:
        raise SystemExit("no cloud kernel here; do: apt-get update, on Debian 12, amd64")
    subprocess.run(["apt-get", "-q", "download", package[1]], cwd=work, check=True)
    (deb,) = work.glob("linux-image-*.deb")
    run("dpkg-deb", "-x", str(deb), str(work / "kernel"))
    (image,) = (work / "kernel/boot").glob("vmlinuz-*")
    (modules,) = (work / "kernel/lib/modules").iterdir()
    return image, modules


def make_root(work: Path, version: str, modules: Path) -> Path:
    """Lay out the guest's root: BusyBox, the few programs it has not, and the scripts."""
    root = work / "root"
    for name in ("bin", "dev", "proc", "sys", "tmp", "usr/bin"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for applet in run("busybox", "--list").split():
        if applet not in ("busybox", "unshare", "setpriv", "sleep"):
            (root / "bin" / applet).symlink_to("busybox")
    for program in PROGRAMS:
        shutil.copy(program, root / program[1:])
        for library in re.findall(r"(/\S+) \(0x", run("ldd", program)):
            (root / library[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, root / library[1:])
    shutil.copy(modules / "kernel/fs/overlayfs/overlay.ko", root)
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    (root / "scene.sh").write_text(SCENE)
    (root / "version").write_text(f"{version}\n")
    return root


def record_here(tree: Path) -> None:
    """Play the scene on this machine, and leave its own mounts out of what is kept."""
    with tempfile.TemporaryDirectory(prefix="labkit-record-", dir="/dev/shm") as scratch:
        subprocess.run(
            ["sh", "-s", "hybrid", str(tree), scratch], input=SCENE, text=True, check=True
        )
    ours = re.compile(r"(\S+ ){4}(/|/(proc|sys|dev)(/\S*)?) ")
    for mountinfo in tree.rglob("mountinfo"):
        kept = [line for line in mountinfo.read_text().splitlines(True) if ours.match(line)]
        mountinfo.write_text("".join(kept))


def run(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description="Record a tree under recorded/.")
    parser.add_argument("machine", choices=("v1", "v2", "hybrid"))
    machine = parser.parse_args().machine
    tree = RECORDED / machine
    if tree.exists():
        shutil.rmtree(tree)
    tree.mkdir(parents=True)
    if machine == "hybrid":
        record_here(tree)
    else:
        record_guest(machine, tree)
    print(machine, json.loads((tree / "roles.json").read_text()), sep=": ")


if __name__ == "__main__":
    main()
