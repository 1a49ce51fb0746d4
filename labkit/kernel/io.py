"""What a cgroup reads from and writes to block devices, and may (cgroup-v2.rst "IO")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from labkit.kernel._text import integer, limit, malformed, need

IO_FILES_V1: tuple[str, ...] = (
    "blkio.throttle.io_service_bytes_recursive",
    "blkio.throttle.io_service_bytes",
    "blkio.throttle.read_bps_device",
    "blkio.throttle.write_bps_device",
)
IO_FILES_V2: tuple[str, ...] = ("io.stat", "io.max")


@dataclass(frozen=True)
class IoLimit:
    """How fast a cgroup may use one device; `docker run --device-write-bps`."""

    device: str  # MAJOR:MINOR, as `lsblk` tells them
    read_bps: int | None  # bytes a second; None: no limit
    write_bps: int | None


@dataclass(frozen=True)
class IoState:
    """Bytes of all block devices together; what the page cache served is not among them.

    v2 counts cached writes when they reach the disk; v1 counts those for the root cgroup alone, and
    recent kernels (Linux 6.1, 6.18) count in v1 only on devices with a blkio.throttle limit.
    """

    bytes_read: int
    bytes_written: int
    limits: tuple[IoLimit, ...] = ()


def io_state(files: Mapping[str, str]) -> IoState:
    """Make the state from the text of `IO_FILES_V1` or `IO_FILES_V2`.

    Of v1 the recursive file counts, as v2 does, the cgroups below; the other, which older
    kernels have alone, does not. Raises `BadValueError` where all are missing or malformed.
    """
    for name in IO_FILES_V1[:2]:
        if name in files:
            return _state_v1(files[name], name, limits=_limits_v1(files))
    text = need(files, "io.stat", v1=IO_FILES_V1[0])
    counted = {"rbytes": 0, "wbytes": 0}
    for word in text.split():
        # A device without any figures yet may stand alone, even before the next on its line.
        key, equals, value = word.partition("=")
        if key in counted:
            counted[key] += integer(value, name="io.stat")
        elif not equals and re.fullmatch(r"\d+:\d+", word) is None:
            raise malformed("an io.stat", text)
    return IoState(counted["rbytes"], counted["wbytes"], _limits_v2(files.get("io.max", "")))


def _state_v1(text: str, name: str, *, limits: tuple[IoLimit, ...]) -> IoState:
    counted = {"Read": 0, "Write": 0}
    for line in text.splitlines():
        fields = line.split()  # DEVICE OPERATION BYTES, at the end Total BYTES
        if len(fields) not in (2, 3):
            raise malformed(f"a {name}", text)
        if len(fields) == 3 and fields[1] in counted:
            counted[fields[1]] += integer(fields[2], name=name)
    return IoState(counted["Read"], counted["Write"], limits)


def _limits_v1(files: Mapping[str, str]) -> tuple[IoLimit, ...]:
    reads, writes = (_by_device(files.get(name, ""), name) for name in IO_FILES_V1[2:])
    devices = sorted({*reads, *writes})
    return tuple(IoLimit(one, reads.get(one), writes.get(one)) for one in devices)


def _by_device(text: str, name: str) -> dict[str, int]:
    found = {}
    for line in text.splitlines():
        device, _, number = line.partition(" ")
        found[device] = integer(number, name=name)
    return found


def _limits_v2(text: str) -> tuple[IoLimit, ...]:
    limits = []
    for line in text.splitlines():
        device, *words = line.split()
        pairs = dict(word.partition("=")[::2] for word in words)
        if not {"rbps", "wbps"} <= pairs.keys():
            raise malformed("an io.max", text)
        rates = (limit(pairs[name], name="io.max") for name in ("rbps", "wbps"))
        limits.append(IoLimit(device, *rates))
    return tuple(limits)
