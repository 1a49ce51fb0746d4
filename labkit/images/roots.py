"""The two images that every lab image starts from: a registry's, else made of Debian packages."""

from __future__ import annotations

import platform
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.debian import ARCHITECTURES, SUITE, Apt, unpack
from labkit.errors import DiskFullError, ImageBuildError, LabError
from labkit.images.debian_root import write_debian_root
from labkit.linux import other_system
from labkit.sdk import translated

if TYPE_CHECKING:
    from labkit.engine import Engine

# name of the root: what a registry calls it
ROOTS = {"root-busybox": "busybox:stable-musl", "root-debian": f"debian:{SUITE}-slim"}
OnMessage = Callable[[str], None]


def ensure_root(
    engine: Engine, name: str, *, packages: Sequence[str], on_message: OnMessage
) -> str:
    """Have a root image on the engine and return its name there.

    `packages` are those of the images on it: a root that is made here gets them at once, because
    on this machine they are unpacked faster than in a container, and far faster in a micro-VM.

    Raises ImageBuildError, MissingToolError, DiskFullError, EngineError.
    """
    repository = f"labkit/{name}"
    with translated("list images"):
        if engine.client.images.list(repository):
            return repository
    upstream = ROOTS[name]
    on_message(f"pulling {upstream}")
    try:
        with translated(f"pull {upstream}"):
            # With the tag, and with it alone: this root is never another one tomorrow.
            name_there, _, tag = upstream.partition(":")
            engine.client.images.pull(name_there, tag).tag(repository)
        return repository
    except DiskFullError:
        raise
    except LabError as err:
        on_message(f"no registry answers ({_first_line(err)}); making {name} from Debian packages")
    with tempfile.TemporaryDirectory(prefix="labkit-") as folder:
        packed = Path(folder) / "root.tar"
        apt = Apt.create(Path(folder) / "apt", arch=_debian_architecture(engine))
        if name == "root-busybox":
            _write_busybox_root(apt, packed, Path(folder))
        else:
            write_debian_root(apt, packed, packages)
        on_message(f"importing {name}, {packed.stat().st_size >> 20} MiB")
        with translated(f"import {name}"):
            # The engine gives the image its name when all of it has arrived, and not before.
            answer = engine.client.api.import_image_from_file(str(packed), repository, "latest")
        if '"error"' in answer:
            raise import_error(name, answer)
    return repository


def import_error(name: str, answer: str) -> LabError:
    """The error for an import or build that the engine began and gave up."""
    if "no space left" in answer:
        return DiskFullError(
            f"The engine's disk is full: cannot make {name}.",
            seen=answer.strip().splitlines()[-1],
            do="free room: `labkit clean`, then `docker system df` shows what takes the rest",
        )
    return ImageBuildError(
        f"The engine could not make {name}.",
        seen=answer.strip().splitlines()[-1],
        do="if it is the network, try again when it is back; what was finished is kept",
    )


def _write_busybox_root(apt: Apt, packed: Path, folder: Path) -> None:
    """BusyBox, a link for each of its programs, and the few files that programs expect."""
    (package,) = apt.download(apt.resolve(["busybox-static"]), lambda _: None)
    unpack([package], folder / "unpacked", lambda _: None)
    binary = next((folder / "unpacked").rglob("bin/busybox"))
    listed = subprocess.run([binary, "--list-full"], capture_output=True, text=True, check=True)
    applets = listed.stdout.split()
    files = {
        "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
        "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    }
    with tarfile.open(packed, "w") as tar:
        for directory in ("bin", "dev", "etc", "proc", "root", "sbin", "sys", "tmp", "usr",
                          "usr/bin", "usr/sbin", "var"):  # fmt: skip
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if directory == "tmp" else 0o755
            tar.addfile(entry)
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text), 0o644
            tar.addfile(entry, BytesIO(text.encode()))
        entry = tarfile.TarInfo("bin/busybox")
        entry.size, entry.mode = binary.stat().st_size, 0o755
        with binary.open("rb") as file:
            tar.addfile(entry, file)
        for applet in applets:
            if applet != "bin/busybox":
                entry = tarfile.TarInfo(applet)
                entry.type, entry.linkname = tarfile.SYMTYPE, "/bin/busybox"
                tar.addfile(entry)


def _debian_architecture(engine: Engine) -> str:
    """The engine's architecture by Debian's name, if this machine can make images for it."""
    engines = ARCHITECTURES.get(engine.facts.architecture, engine.facts.architecture)
    here = other_system() or platform.machine()
    if ARCHITECTURES.get(here) != engines:
        raise ImageBuildError(
            f"No registry answers, and this machine cannot make images for {engines} Linux.",
            seen=f"this machine is {here}",
            do="connect to the internet once, and run `labkit images build` again",
        )
    return engines


def _first_line(err: LabError) -> str:
    return (err.seen or err.what).splitlines()[0][:120]
