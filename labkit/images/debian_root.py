"""A Debian file system as one tar archive, made by anybody: no root, no user namespace.

The packages' own archives are joined, owners and modes as they are in there; no maintainer
script runs. The little that the scripts would have done, `_configured` does.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from labkit.debian import SUITE, Apt, build_error

UNREAD = ("doc", "man", "locale", "info", "lintian", "bash-completion")  # folders of /usr/share
MERGED = ("bin", "sbin", "lib", "lib64")  # links into /usr, hier(7)
MOVED = {"var/run": "/run", "var/lock": "/run/lock"}
# Made by the script of base-files, hier(7).
FOLDERS = (
    "etc/opt",
    "media",
    "mnt",
    "opt",
    "run/lock",
    "srv",
    "usr/local",
    "usr/local/bin",
    "usr/local/lib",
    "usr/local/sbin",
    "usr/local/share",
    "var/opt",
)
# What Debian decides by its alternatives, update-alternatives(1).
CHOSEN = {
    "usr/bin/awk": "mawk",
    "usr/bin/which": "which.debianutils",
    "usr/sbin/iptables": "iptables-nft",
    "usr/sbin/iptables-save": "iptables-nft-save",
    "usr/sbin/iptables-restore": "iptables-nft-restore",
    "usr/sbin/ip6tables": "ip6tables-nft",
}
# Users whom packages' scripts make, passwd(5).
MADE = (
    "_apt:x:42:65534::/nonexistent:/usr/sbin/nologin",
    "tcpdump:x:100:102::/nonexistent:/usr/sbin/nologin",
)
MASTERS = {
    "usr/share/base-passwd/passwd.master": "etc/passwd",
    "usr/share/base-passwd/group.master": "etc/group",
    "usr/share/base-files/nsswitch.conf": "etc/nsswitch.conf",
}
SOURCES = f"""Types: deb
URIs: http://deb.debian.org/debian
Suites: {SUITE} {SUITE}-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp
"""


def write_debian_root(apt: Apt, packed: Path, packages: Sequence[str]) -> None:
    """Write a Debian with the essential packages, apt and `packages` to a tar archive.

    Raises ImageBuildError, DiskFullError. Shell: `mmdebstrap --variant=minbase`.
    """
    # A registry's Debian has `mount` and `login` too: their priority is "required".
    versions = apt.resolve(["?essential", "apt", "login", "mount", *packages])
    debs = apt.download(versions, lambda _: None)
    with tarfile.open(packed, "w") as root:
        made = _Root(root)
        for name in MERGED:
            made.link(name, f"usr/{name}")
        for name, target in MOVED.items():
            made.link(name, target)
        for deb in debs:
            made.add_package(deb)
        made.configure()


class _Root:
    """The archive so far: a path is written once, by the first that brings it."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._there: set[str] = set()
        self._masters: dict[str, str] = {}
        self._certificates: list[str] = []
        self._status: list[str] = []

    def add_package(self, deb: Path) -> None:
        listed = ["/."]
        for entry, content in _members(deb):
            name = entry.name.removeprefix("./").rstrip("/")
            if not name or name == "." or _is_unread(name):
                continue
            listed.append(f"/{name}")
            if name in self._there:
                continue
            self._there.add(name)
            entry.name = name
            if entry.islnk():
                entry.linkname = entry.linkname.removeprefix("./")
            if name in MASTERS:
                self._masters[MASTERS[name]] = content.decode()
            if name.startswith("usr/share/ca-certificates/") and entry.isfile():
                self._certificates.append(content.decode())
            self._tar.addfile(entry, io.BytesIO(content))
        self._register(deb, listed)

    def _register(self, deb: Path, listed: list[str]) -> None:
        """Tell dpkg that the package is there, deb-control(5), dpkg(1)."""
        fields = _tool("dpkg-deb", "--field", str(deb)).decode()
        self._status.append(fields.replace("\n", "\nStatus: install ok installed\n", 1))
        said = dict(line.split(": ", 1) for line in fields.splitlines() if ": " in line)
        same = said.get("Multi-Arch") == "same"
        name = f"{said['Package']}:{said['Architecture']}" if same else said["Package"]
        self.file(f"var/lib/dpkg/info/{name}.list", "\n".join([*listed, ""]))

    def configure(self) -> None:
        """Do what the packages' scripts would have done."""
        for name in FOLDERS:
            self.folder(name)
        users = self._masters["etc/passwd"].replace(":*:", ":x:").strip().splitlines()
        self.file("etc/passwd", "\n".join([*users, *MADE, ""]))
        self.file("etc/group", self._masters["etc/group"] + "tcpdump:x:102:\n")
        self.file("etc/nsswitch.conf", self._masters.get("etc/nsswitch.conf", ""))
        locked = "".join(f"{user.partition(':')[0]}:*:19000:0:99999:7:::\n" for user in users)
        self.file("etc/shadow", locked, mode=0o640, gid=42)  # group shadow, shadow(5)
        self.file("etc/ssl/certs/ca-certificates.crt", "".join(self._certificates))
        self.file("etc/apt/sources.list.d/debian.sources", SOURCES)
        self.file("var/lib/dpkg/status", "\n".join(self._status))
        for path, target in CHOSEN.items():
            if f"{Path(path).parent}/{target}" in self._there:
                self.link(path, target)

    def file(self, name: str, text: str, *, mode: int = 0o644, gid: int = 0) -> None:
        entry, content = tarfile.TarInfo(name), text.encode()
        entry.size, entry.mode, entry.gid = len(content), mode, gid
        self._tar.addfile(entry, io.BytesIO(content))

    def folder(self, name: str) -> None:
        if name not in self._there:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            self._there.add(name)
            self._tar.addfile(entry)

    def link(self, name: str, target: str) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
        self._there.add(name)
        self._tar.addfile(entry)


def _members(deb: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """What is in a package, each entry with its content."""
    with tarfile.open(fileobj=io.BytesIO(_tool("dpkg-deb", "--fsys-tarfile", str(deb)))) as tar:
        for entry in tar:
            file = tar.extractfile(entry) if entry.isreg() else None
            yield entry, file.read() if file else b""


def _is_unread(name: str) -> bool:
    parts = name.split("/")
    return parts[:2] == ["usr", "share"] and len(parts) > 3 and parts[2] in UNREAD


def _tool(*argv: str) -> bytes:
    done = subprocess.run(argv, capture_output=True, check=False)
    if done.returncode:
        raise build_error(f"`{argv[0]}` failed.", done.stderr.decode(errors="replace"))
    return done.stdout
