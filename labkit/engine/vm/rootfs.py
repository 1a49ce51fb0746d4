"""The guest's file system: a tree of unpacked packages made into an initramfs and a disk."""

from __future__ import annotations

import ctypes
import lzma
import os
import shutil
import struct
import subprocess
from pathlib import Path

from labkit import debian

from . import cpio

GUEST = Path(__file__).parent / "guest"
DISK_GIB = 16  # what the guest sees; the file grows as it is written
# What a container engine, or a lesson about networks and file systems, may load.
MODULES_KEPT = (
    "arch",
    "block",
    "crypto",
    "lib",
    "net",
    "fs/overlayfs",
    "fs/fuse",
    "fs/nls",
    "drivers/block",
    "drivers/net",
    "drivers/virtio",
    "drivers/char/hw_random",
)
MODULES_DROPPED = (
    "drivers/net/ethernet",
    "drivers/net/wireless",
    "net/bluetooth",
    "net/sunrpc",
    "net/ceph",
    "drivers/block/drbd",
    "arch/x86/kvm",
    "net/mac80211",
    "net/dccp",
)
MODULES_AT_BOOT = (
    "virtio_net",
    "overlay",
    "bridge",
    "br_netfilter",
    "veth",
    "ip_tables",
    "iptable_nat",
    "iptable_filter",
    "iptable_mangle",
    "xt_conntrack",
    "xt_MASQUERADE",
    "xt_addrtype",
    "xt_nat",
    "xt_tcpudp",
    "xt_comment",
    "ipt_REJECT",
    "nf_conntrack_netlink",
    # Its settings must be there before a swarm's first network wants to set them.
    "ip_vs",
)
STRIPPED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/bash-completion",
    "usr/share/zoneinfo",
    "usr/share/i18n",
    "usr/share/gcc",
    "usr/share/common-licenses",
    "usr/bin/ctr",
    "usr/bin/containerd-stress",
    "usr/bin/dpkg",
    "usr/bin/perl",
    "usr/lib/python3.13/test",
    "usr/lib/python3.13/idlelib",
    "boot",
)
# What of ours is in the guest, and where.
PROGRAMS = {
    "init": "usr/sbin/init",
    "halt": "usr/sbin/labkit-halt",
    "publish": "usr/sbin/labkit-publish",
    "runtime": "usr/sbin/labkit-runtime",
    "entrance.py": "usr/lib/labkit/entrance.py",
    "../mux.py": "usr/lib/labkit/mux.py",
}
GROUPS = ("root:x:0:", "tty:x:5:", "docker:x:101:", "nogroup:x:65534:")
USERS = ("root:x:0:0:root:/root:/bin/sh", "nobody:x:65534:65534:nobody:/nonexistent:/bin/false")


def lay_out(root: Path) -> None:
    """Make the merged /usr, before any package is unpacked."""
    for path in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64"):
        (root / path).mkdir(parents=True)
        (root / Path(path).name).symlink_to(path)


def keep_modules(root: Path, release: str) -> None:
    """Keep the modules that are of use, uncompressed: xz is slow work for an emulated CPU."""
    tree = root / "usr/lib/modules" / release
    for file in (tree / "kernel").rglob("*.ko.xz"):
        name = str(file.relative_to(tree / "kernel"))
        if name.startswith(MODULES_KEPT) and not name.startswith(MODULES_DROPPED):
            file.with_suffix("").write_bytes(lzma.decompress(file.read_bytes()))
        file.unlink()
    _tool(root / "usr/bin/busybox", "depmod", "-b", root, release)


def kernel(root: Path, release: str) -> bytes:
    """Return the kernel, unpacked if that can be done here: emulated, that is a tenth of a boot.

    QEMU starts an ELF file by its note for PVH. Source: Linux, Documentation/arch/x86/boot.rst.
    """
    packed = (root / f"boot/vmlinuz-{release}").read_bytes()
    if packed[0x202:0x206] != b"HdrS":  # another architecture's
        return packed
    sectors = packed[0x1F1]
    offset, size = struct.unpack_from("<II", packed, 0x248)
    begin = (sectors + 1) * 512 + offset
    payload, room = packed[begin : begin + size - 4], packed[begin + size - 4 : begin + size]
    plain = ctypes.create_string_buffer(*struct.unpack("<I", room))
    try:
        unpack = ctypes.CDLL("libzstd.so.1").ZSTD_decompress
    except OSError:
        return packed
    unpack.restype = ctypes.c_size_t
    done = unpack(plain, ctypes.c_size_t(len(plain)), payload, ctypes.c_size_t(len(payload)))
    return plain.raw if done == len(plain) and plain.raw.startswith(b"\x7fELF") else packed


def initrd(root: Path, release: str) -> bytes:
    """Return an initramfs of BusyBox and what the disk needs, in the order of insmod(8)."""
    tree = root / "usr/lib/modules" / release
    lines = (tree / "modules.dep").read_text().splitlines()
    needs = {Path(k).stem: v.split() for k, _, v in (line.partition(":") for line in lines)}
    paths = {file.stem: file for file in tree.rglob("*.ko")}
    order: list[str] = []

    def add(name: str) -> None:
        for other in needs.get(name, []):
            add(Path(other).stem)
        if name in paths and name not in order:
            order.append(name)

    for module in ("virtio_blk", "virtio_mmio"):
        add(module)
    entries = {
        "init": (cpio.PROGRAM, (GUEST / "early").read_bytes()),
        "bin/busybox": (cpio.PROGRAM, (root / "usr/bin/busybox").read_bytes()),
        "modules": (cpio.FILE, "\n".join(f"{name}.ko" for name in order).encode()),
        **{f"{name}.ko": (cpio.FILE, paths[name].read_bytes()) for name in order},
        **{f"{folder}/.keep": (cpio.FILE, b"") for folder in ("dev", "root")},
    }
    return cpio.archive(entries)


def take_tools(root: Path, place: Path) -> None:
    """Move Docker's command line and its plugins out of the guest, which does not need them."""
    place.mkdir()
    shutil.move(root / "usr/bin/docker", place)
    shutil.move(root / "usr/libexec/docker/cli-plugins", place)


def configure(root: Path) -> None:
    """Do what the packages' maintainer scripts and an administrator would have done."""
    for path in STRIPPED:
        target = root / path
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
    applets = _tool(root / "usr/bin/busybox", "--list").split()
    for name in applets:
        if not any(os.path.lexists(root / folder / name) for folder in ("usr/bin", "usr/sbin")):
            (root / "usr/bin" / name).symlink_to("busybox")
    for name in ("iptables", "ip6tables", "iptables-save", "iptables-restore"):
        link = root / "usr/sbin" / name
        link.unlink(missing_ok=True)
        link.symlink_to("xtables-legacy-multi")
    for name in ("proc", "sys", "dev", "run", "tmp", "root", "etc/labkit", "var/lib/docker"):
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.rmtree(root / "var/run", ignore_errors=True)
    (root / "var/run").symlink_to("/run")  # pid files must not outlive the machine
    certificates = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    (root / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)
    texts = {
        "etc/ssl/certs/ca-certificates.crt": "".join(c.read_text() for c in certificates),
        "etc/passwd": "\n".join((*USERS, "")),
        "etc/group": "\n".join((*GROUPS, "")),
        "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 labkit-vm\n",
        "etc/resolv.conf": "nameserver 192.0.2.3\n",
        "etc/labkit/modules": "\n".join(MODULES_AT_BOOT),
        "etc/labkit/daemon.json": (GUEST / "daemon.json").read_text(),
    }
    for name, text in texts.items():
        (root / name).write_text(text)
    _compile_python(root)
    # The kernel loads modules by this path alone, /proc/sys/kernel/modprobe.
    (root / "usr/sbin/modprobe").symlink_to("../bin/busybox")
    for name, place in PROGRAMS.items():
        target = root / place
        target.unlink(missing_ok=True)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((GUEST / name).read_bytes())
        target.chmod(0o755)


def _compile_python(root: Path) -> None:
    """Compile the standard library, with the guest's own interpreter and loader, ld.so(8).

    A package's script would do it. An emulated CPU takes seconds for what the runner imports.
    """
    libraries = next(root.glob("usr/lib/*-linux-gnu"))
    python = next((root / "usr/bin").glob("python3.*[0-9]"))
    _tool(
        *(next(libraries.glob("ld-linux-*")), "--library-path", libraries, python, "-I", "-S"),
        *("-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s", root),
        root / "usr/lib" / python.name,
    )


def make_disk(root: Path, raw: Path, qcow2: Path) -> None:
    """Make an ext4 disk of a tree; under fakeroot(1) every file in it is root's."""
    mke2fs = debian.which("mke2fs") or "mke2fs"
    _tool(
        "fakeroot",
        "--",
        mke2fs,
        "-q",
        "-t",
        "ext4",
        "-d",
        root,
        "-m",
        "0",
        "-i",
        "32768",
        "-J",
        "size=32",
        "-E",
        "lazy_itable_init=1,lazy_journal_init=1,nodiscard",
        raw,
        f"{DISK_GIB}G",
    )
    _tool("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, qcow2)


def _tool(*argv: str | Path) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise debian.build_error(f"`{Path(argv[0]).name}` failed.", done.stdout + done.stderr)
    return done.stdout
