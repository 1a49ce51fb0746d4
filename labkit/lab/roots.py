"""The two images that every lab image starts from: a registry's, else made of Debian packages."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.errors import DiskFullError, ImageBuildError, LabError, MissingToolError
from labkit.sdk import translated

if TYPE_CHECKING:
    from labkit.engine import Engine

SUITE = "trixie"
# fakechroot: what a plain user unpacks a Debian with, where user namespaces are not allowed.
PACKAGES = "mmdebstrap debian-archive-keyring fakechroot fakeroot"
# name of the root: what a registry calls it
ROOTS = {"root-busybox": "busybox:stable-musl", "root-debian": f"debian:{SUITE}-slim"}
Say = Callable[[str], None]


def ensure_root(engine: Engine, name: str, *, say: Say) -> str:
    """Have a root image on the engine and return its name there.

    Raises ImageBuildError, MissingToolError, DiskFullError, EngineError.
    """
    repository = f"labkit/{name}"
    with translated("list images"):
        if engine.client.images.list(repository):
            return repository
    upstream = ROOTS[name]
    say(f"pulling {upstream}")
    try:
        with translated(f"pull {upstream}"):
            # With the tag, and with it alone: this root is never another one tomorrow.
            name_there, _, tag = upstream.partition(":")
            engine.client.images.pull(name_there, tag).tag(repository)
        return repository
    except DiskFullError:
        raise
    except LabError as err:
        say(f"no registry answers ({_first_line(err)}); making {name} from Debian packages")
    with tempfile.TemporaryDirectory(prefix="labkit-") as folder:
        packed = Path(folder) / "root.tar"
        make = _make_busybox if name == "root-busybox" else _make_debian
        make(engine, packed, Path(folder))
        say(f"importing {name}, {packed.stat().st_size >> 20} MiB")
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


def _make_debian(engine: Engine, packed: Path, folder: Path) -> None:
    architecture = _debian_architecture(engine)
    _tool("mmdebstrap")
    if os.geteuid() != 0:
        _tool("fakechroot")
    _run(
        [
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            f"--architectures={architecture}",
            SUITE,
            str(packed),
        ],
        folder,
    )


def _make_busybox(engine: Engine, packed: Path, folder: Path) -> None:
    """BusyBox, a link for each of its programs, and the few files that programs expect."""
    architecture = _debian_architecture(engine)
    _tool("apt-get")
    _run(["apt-get", "download", f"busybox-static:{architecture}"], folder)
    package = next(folder.glob("busybox-static_*.deb"))
    _run(["dpkg-deb", "-x", str(package), "unpacked"], folder)
    binary = next(
        path
        for path in (folder / "unpacked/bin/busybox", folder / "unpacked/usr/bin/busybox")
        if path.exists()
    )
    applets = _run([str(binary), "--list-full"], folder).split()
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
        entry.size, entry.mode = binary.stat().st_size, stat.S_IMODE(0o755)
        with binary.open("rb") as file:
            tar.addfile(entry, file)
        for applet in applets:
            if applet != "bin/busybox":
                entry = tarfile.TarInfo(applet)
                entry.type, entry.linkname = tarfile.SYMTYPE, "/bin/busybox"
                tar.addfile(entry)


def _debian_architecture(engine: Engine) -> str:
    """The engine's architecture by Debian's name, if this machine can make images for it."""
    engines = {"x86_64": "amd64", "aarch64": "arm64"}.get(
        engine.facts.architecture, engine.facts.architecture
    )
    _tool("dpkg")
    ours = _run(["dpkg", "--print-architecture"], Path("/")).strip()
    if ours != engines:
        raise ImageBuildError(
            f"No registry answers, and this {ours} machine cannot make images for {engines}.",
            seen=f"the engine's architecture is {engine.facts.architecture}",
            do="connect to the internet once, and run `labkit images build` again",
        )
    return engines


def _tool(name: str) -> None:
    if shutil.which(name) is None:
        raise MissingToolError(
            "No registry answers, and the root images cannot be made here.",
            seen=f"{name} is not installed",
            do="connect to the internet, or on Debian and Ubuntu: "
            f"sudo apt-get install --no-install-recommends {PACKAGES}",
        )


def _run(argv: Sequence[str], folder: Path) -> str:
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImageBuildError(
            f"`{' '.join(argv[:3])} ...` failed with status {done.returncode}.",
            seen="\n".join(done.stderr.strip().splitlines()[-5:]),
            do="it needs Debian's mirror: `apt-get update` shows whether that answers",
        )
    return done.stdout


def _first_line(err: LabError) -> str:
    return (err.seen or err.what).splitlines()[0][:120]
