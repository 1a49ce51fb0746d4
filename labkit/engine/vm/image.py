"""The image of the guest: kernel, initramfs and disk, made from Debian packages by anybody.

An image is known by its recipe (the modules `image` and `rootfs`, the files in `guest/`) and by
the versions of the packages in it. It is built in a folder beside its place and renamed into it
when whole, so what is in the cache is complete.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labkit import debian
from labkit.debian import ARCHITECTURES
from labkit.errors import DiskFullError
from labkit.lock import locked

from . import mux, rootfs

PACKAGES = (
    "docker.io",
    "crun",  # containers are started by it: an emulated CPU takes three times as long for runc
    "bash",
    "coreutils",
    "iptables",
    "iproute2",
    "busybox-static",
    "util-linux",
    "procps",
    "python3",
    "ca-certificates",
    "base-files",
)
# For this side of the machine, where nobody may have Docker's own command line.
TOOLS = ("docker-cli", "docker-compose", "docker-buildx")
BUILD_BYTES = 1_700_000_000  # packages, the unpacked tree and two disks

Progress = Callable[[str, float | None], None]


@dataclass(frozen=True)
class Image:
    """A whole image in the cache; `key` changes with anything that could change its content."""

    key: str
    folder: Path

    @property
    def kernel(self) -> Path:
        return self.folder / "kernel"

    @property
    def initrd(self) -> Path:
        return self.folder / "initrd"

    @property
    def disk(self) -> Path:
        return self.folder / "disk.qcow2"

    @property
    def tools(self) -> Path:
        """The folder of `docker`, and of its plugins Compose and buildx in `cli-plugins`."""
        return self.folder / "tools"


def recipe() -> str:
    """Return the hash of what decides an image, but for the versions of the packages."""
    digest = hashlib.sha256(repr((debian.SUITE, platform.machine())).encode())
    ours = (Path(module) for module in (__file__, rootfs.__file__, mux.__file__))
    for file in (*sorted(rootfs.GUEST.iterdir()), *ours):
        if file.is_file():
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def find_image(cache: Path) -> Image | None:
    """Return the newest image of this recipe in the cache, asking nobody for newer packages."""
    found = list((cache / "images").glob(f"{recipe()}-*/disk.qcow2"))
    newest = max(found, key=lambda disk: disk.stat().st_mtime, default=None)
    return Image(newest.parent.name, newest.parent) if newest else None


def build_image(cache: Path, *, on_progress: Progress, fresh: bool = False) -> Image:
    """Return the image of this recipe, built if it is not in the cache; needs no privilege.

    `fresh` asks the mirror for newer packages, and builds only if there are some. A second
    process that asks at the same time waits for the first. Raises `ImageBuildError`,
    `DiskFullError`, `MissingToolError`.
    """
    images = cache / "images"
    images.mkdir(parents=True, exist_ok=True)
    with locked(images / "lock", timeout=600, on_wait=lambda: on_progress("wait", None)):
        if not fresh and (image := find_image(cache)):
            return image
        for left in images.glob("building-*"):  # a build that was killed; we hold the lock
            shutil.rmtree(left, ignore_errors=True)
        if (free := shutil.disk_usage(images).free) < BUILD_BYTES:
            raise DiskFullError(
                "There is no room to build the micro-VM's image.",
                seen=f"{free >> 20} MiB free in {images}",
                do=f"free {BUILD_BYTES >> 20} MiB, or set LABKIT_CACHE elsewhere",
            )
        with tempfile.TemporaryDirectory(prefix="building-", dir=images) as work:
            return _build(images, Path(work), on_progress)


def _build(images: Path, work: Path, on_progress: Progress) -> Image:
    debian.need("mke2fs:e2fsprogs", "fakeroot", "qemu-img:qemu-utils")
    arch = ARCHITECTURES[platform.machine()]
    on_progress("resolve", None)
    apt = debian.Apt.create(work / "apt", arch=arch)
    versions = apt.resolve((*PACKAGES, *TOOLS))
    kernel, kernel_version = apt.kernel(f"linux-image-cloud-{arch}")
    versions[kernel] = kernel_version
    listed = json.dumps(versions, indent=1, sort_keys=True)
    key = f"{recipe()}-{hashlib.sha256(listed.encode()).hexdigest()[:12]}"
    if (images / key / "disk.qcow2").exists():
        return Image(key, images / key)
    debs = apt.download(versions, lambda done: on_progress("download", done))
    root, out = work / "root", work / "out"
    out.mkdir()
    rootfs.lay_out(root)
    debian.unpack(debs, root, lambda done: on_progress("unpack", done))
    shutil.rmtree(work / "apt")
    on_progress("configure", None)
    (out / "packages.json").write_text(listed)
    release = kernel.removeprefix("linux-image-")
    (out / "kernel").write_bytes(rootfs.kernel(root, release))
    rootfs.keep_modules(root, release)
    (out / "initrd").write_bytes(rootfs.initrd(root, release))
    rootfs.take_tools(root, out / "tools")
    rootfs.configure(root)
    on_progress("disk", None)
    rootfs.make_disk(root, work / "disk.raw", out / "disk.qcow2")
    out.rename(images / key)
    return Image(key, images / key)
