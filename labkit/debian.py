"""Debian packages without privilege: an apt of our own resolves, downloads and unpacks them.

apt keeps its state where its configuration says (apt.conf(5), `Dir`), so a folder of ours with an
empty `status` file is a machine on which nothing is installed. No maintainer script ever runs:
what those would do, the recipe does itself.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from labkit.errors import DiskFullError, ImageBuildError, MissingToolError

SUITE = "trixie"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # ours by uname -m: Debian's
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
DEFAULT_MIRROR = "http://deb.debian.org/debian"


def need(*tools: str) -> None:
    """Raise `MissingToolError` unless each program (`name:debian-package`) is installed."""
    pairs = [tool.partition(":")[::2] for tool in tools]
    gone = [(name, package) for name, package in pairs if not which(name)]
    if gone:
        raise MissingToolError(
            "Programs that are needed are not installed.",
            tools=tuple(name for name, _ in gone),
            seen=", ".join(name for name, _ in gone),
            do="apt-get install --no-install-recommends "
            + " ".join(sorted({package or name for name, package in gone})),
        )


def which(tool: str) -> str | None:
    """Return the path of a program; a plain user's PATH often lacks /usr/sbin (mke2fs)."""
    return shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/sbin")


def can_download() -> bool:
    """Whether this machine has what it takes to download Debian's packages."""
    return bool(which("apt-get") and which("dpkg-deb") and KEYRING.exists())


def mirror() -> str:
    """Return the Debian mirror that this machine's apt uses, or deb.debian.org."""
    apt = Path("/etc/apt")
    files = [apt / "sources.list", *sorted(apt.glob("sources.list.d/*"))]
    for file in files:
        lines = file.read_text().splitlines() if file.is_file() else []
        text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
        if found := re.search(r"https?://\S+/debian(?=/?\s|/?$)", text):
            return found.group()
    return DEFAULT_MIRROR


@dataclass(frozen=True)
class Apt:
    """An apt root in a folder of ours; `arch` is Debian's name (amd64, arm64)."""

    folder: Path
    arch: str

    @classmethod
    def create(cls, folder: Path, *, arch: str) -> Apt:
        """Lay out the root and fetch the package lists (`apt-get update`).

        Raises MissingToolError, ImageBuildError, DiskFullError.
        """
        need("apt-get:apt", "dpkg-deb:dpkg")
        if not KEYRING.exists():
            raise MissingToolError(
                "The keys of Debian's archive are not on this machine.",
                seen=f"no {KEYRING}",
                do="apt-get install debian-archive-keyring",
            )
        for part in ("state/lists/partial", "cache/archives/partial", "log"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        uri = mirror()
        (folder / "debian.sources").write_text(
            "\n".join(
                [
                    f"Types: deb\nURIs: {uri}\nSuites: {SUITE} {SUITE}-updates",
                    f"Components: main\nSigned-By: {KEYRING}\n",
                    f"Types: deb\nURIs: {uri}-security\nSuites: {SUITE}-security",
                    f"Components: main\nSigned-By: {KEYRING}\n",
                ]
            )
        )
        (folder / "apt.conf").write_text(f"""
            Dir::State "{folder}/state"; Dir::State::status "{folder}/status";
            Dir::Cache "{folder}/cache"; Dir::Log "{folder}/log";
            Dir::Etc::sourcelist "{folder}/debian.sources"; Dir::Etc::sourceparts "/dev/null";
            Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "/dev/null";
            APT::Architecture "{arch}"; APT::Architectures {{ "{arch}"; }};
            APT::Install-Recommends "false"; APT::Sandbox::User "root";
            Acquire::Languages "none"; Acquire::Retries "3";
        """)
        apt = cls(folder, arch)
        apt._run("apt-get", "-q", "update", "--error-on=any")
        return apt

    def _run(self, *argv: str, cwd: Path | None = None) -> str:
        env = {
            "APT_CONFIG": f"{self.folder}/apt.conf",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C",
            "DEBIAN_FRONTEND": "noninteractive",
        }
        done = subprocess.run(argv, env=env, cwd=cwd, capture_output=True, text=True, check=False)
        if done.returncode:
            raise build_error(f"`{argv[0]}` failed.", done.stdout + done.stderr)
        return done.stdout

    def resolve(self, names: Iterable[str], *, on: str = "") -> dict[str, str]:
        """Return the version of each package that the named ones need, themselves included.

        `on` is the dpkg status of a machine: what is installed there already is not needed.
        """
        (self.folder / "status").write_text(on)
        out = self._run("apt-get", "-qq", "--simulate", "install", *names)
        # An older version that is to be replaced stands between the two, in brackets.
        return dict(re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+) ", out, re.MULTILINE))

    def kernel(self, metapackage: str) -> tuple[str, str]:
        """Return name and version of the kernel package that a metapackage points to today."""
        out = self._run("apt-cache", "show", "--no-all-versions", metapackage)
        if not (found := re.search(r"^Depends: (linux-image-\S+) \(= (\S+)\)", out, re.MULTILINE)):
            raise ImageBuildError(f"{metapackage} names no kernel.", seen=out[:300], do="report it")
        return found[1], found[2]

    def download(self, versions: dict[str, str], on_file: Callable[[float], None]) -> list[Path]:
        """Fetch the packages, each checked by apt against the signed lists."""
        archives = Path(tempfile.mkdtemp(prefix="archives-", dir=self.folder))
        wanted = [f"{name}={version}" for name, version in versions.items()]
        for at in range(0, len(wanted), 20):
            self._run("apt-get", "-q", "download", *wanted[at : at + 20], cwd=archives)
            on_file(min(1.0, (at + 20) / len(wanted)))
        return sorted(archives.glob("*.deb"))


def unpack(debs: list[Path], root: Path, on_file: Callable[[float], None]) -> None:
    """Unpack packages into a root (`dpkg-deb -x`)."""
    for at, deb in enumerate(debs, 1):
        done = subprocess.run(
            ["dpkg-deb", "-x", deb, root], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise build_error(f"{deb.name} cannot be unpacked.", done.stderr)
        on_file(at / len(debs))


def build_error(what: str, output: str) -> ImageBuildError | DiskFullError:
    """Return the error for a build step that failed, by what it printed."""
    tail = " | ".join(output.strip().splitlines()[-4:])
    if "No space left" in output:
        return DiskFullError(what, seen=tail, do="free some room and build again")
    return ImageBuildError(
        what, seen=tail, do="see whether Debian's mirror and the network answer; then try again"
    )
