"""Makes a Python process on Linux one of a Mac's, as far as its programs can tell.

Python imports this at its start wherever this folder is on PYTHONPATH: in kernels and in detached
helpers too. It waits until `labkit` is imported, because psutil, asyncio and Jupyter choose at
their own import how they work on this system, and they must work. From then on

- `sys.platform`, `platform` and `os.uname` tell of a Mac with Apple's processor, and of its user;
- what a Mac's Python has not is gone: the parent names it, from typeshed, in `DESKTOP_LACKS`;
- what Linux alone has in its file system is not found: /proc, /sys, Debian's files, a Docker
  Engine's programs. psutil alone may read on, since on a Mac it has other means.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ABSENT = re.compile(
    r"/(proc|sys|run|selinux)(/|$)"
    r"|/dev/(kvm|shm|mem)"
    r"|/etc/(apt|dpkg|debian_version|os-release|machine-id|lsb-release|alternatives)(/|$)"
    r"|/(usr/lib|var/lib)/(apt|dpkg|systemd|os-release)(/|$)"
    r"|/usr/share/keyrings(/|$)"
    r"|/(usr/(local/)?)?s?bin/(dockerd|docker-init|docker-proxy|containerd|runc|crun|podman|qemu"
    r"|apt|dpkg|fakeroot|mke2fs|iptables|nft|ip$|ss$|tc$|lsns|nsenter|unshare|findmnt|setpriv"
    r"|capsh|getpcaps|prlimit|systemctl|strace)"
)
# These decide at their import what system they are on; they are this one's.
IMPORTED_BEFORE = (
    "asyncio", "ctypes.util", "multiprocessing.connection", "platform", "psutil", "shutil",
    "subprocess", "sysconfig", "tempfile", "urllib.request", "uuid",
)  # fmt: skip


class BecomeAMac:
    """A finder that finds nothing, and sees when `labkit` is asked for."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == "labkit":
            sys.meta_path.remove(BecomeAMac)
            become_a_mac()


def become_a_mac() -> None:
    for name in IMPORTED_BEFORE:
        import_module(name)
    import_module("sysconfig").get_config_vars()  # on a Mac it would ask Apple's compiler
    _tell_of_a_mac()
    _take_away()
    sys.addaudithook(_audit)
    for name in ("stat", "lstat", "readlink", "access", "statvfs"):
        setattr(os, name, _blind(getattr(os, name), name))


def _tell_of_a_mac() -> None:
    platform: Any = import_module("platform")
    sys.platform = "darwin"
    node = os.uname().nodename
    version = "Darwin Kernel Version 24.6.0"
    platform._uname_cache = platform.uname_result("Darwin", node, "24.6.0", version, "arm64")
    platform._platform_cache.clear()
    platform.mac_ver = lambda *_: ("15.6", ("", "", ""), "arm64")
    told = os.uname_result(("Darwin", node, "24.6.0", version, "arm64"))
    os.uname = lambda: told
    os.getuid = os.geteuid = lambda: 501  # a Mac's first user
    os.getgid = os.getegid = lambda: 20  # staff


def _take_away() -> None:
    # The event loops that run already go on; a Mac's would ask kqueue(2).
    selectors: Any = import_module("selectors")
    selectors.select = SimpleNamespace(**vars(import_module("select")))
    lacks = json.loads(Path(os.environ["DESKTOP_LACKS"]).read_text())
    for module, names in lacks.items():
        for name in names:
            delattr(import_module(module), name)
    psutil = import_module("psutil")
    for name in ("cpu_affinity", "cpu_num", "io_counters", "ionice", "rlimit"):
        delattr(psutil.Process, name)
    # What held on to something that is gone.
    shutil: Any = import_module("shutil")
    shutil._copyxattr = lambda *_, **__: None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("open", "os.listdir", "os.scandir", "os.chdir"):
        _refuse(arguments[0])


def _blind(look: Callable[..., Any], name: str) -> Callable[..., Any]:
    def looked(path: Any, *arguments: Any, **options: Any) -> Any:
        try:
            _refuse(path)
        except FileNotFoundError:
            if name == "access":
                return False
            raise
        return look(path, *arguments, **options)

    return looked


def _refuse(path: Any) -> None:
    if path is None or isinstance(path, int):
        return
    place = os.fsdecode(path)
    if ABSENT.match(place) and not _by_psutil():
        raise FileNotFoundError(2, "No such file or directory", place)


def _by_psutil() -> bool:
    frame = sys._getframe()
    while frame := frame.f_back:  # type: ignore[assignment]
        if str(frame.f_globals.get("__name__")).partition(".")[0] == "psutil":
            return True
    return False


if "DESKTOP_LACKS" in os.environ:
    sys.meta_path.insert(0, BecomeAMac)
