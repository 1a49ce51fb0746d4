"""The capability sets of a process, from /proc/PID/status (man 7 capabilities)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from labkit.errors import BadValueError
from labkit.kernel._text import malformed

# In the order of their bits: include/uapi/linux/capability.h.
CAPABILITIES: tuple[str, ...] = (
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
)
_BITS = {name: bit for bit, name in enumerate(CAPABILITIES)}
_BITS |= {f"cap_{bit}": bit for bit in range(len(CAPABILITIES), 64)}
_NAMES = {bit: name for name, bit in _BITS.items()}


def parse_mask(mask: str) -> frozenset[str]:
    """Return the names of the bits of a hexadecimal mask; `capsh --decode=MASK`.

    A bit newer than `CAPABILITIES` is called `cap_41` and so on (capsh prints the bare `41`).
    Raises `BadValueError` unless the mask is 1 to 16 hexadecimal digits.
    """
    if re.fullmatch(r"[0-9a-fA-F]{1,16}", mask) is None:
        raise malformed("a capability mask of up to 16 hexadecimal digits", mask)
    bits = int(mask, 16)
    return frozenset(name for bit, name in _NAMES.items() if bits >> bit & 1)


def to_mask(names: Iterable[str]) -> str:
    """Return the mask as /proc/PID/status prints it, 16 hexadecimal digits.

    Raises `BadValueError` at a name that `parse_mask` never returns.
    """
    bits = 0
    for name in names:
        if name not in _BITS:
            raise BadValueError(
                f"The kernel has no capability {name!r}.",
                value=name,
                seen=repr(name),
                do="Write it as man 7 capabilities does, in small letters: cap_net_admin.",
            )
        bits |= 1 << _BITS[name]
    return f"{bits:016x}"


@dataclass(frozen=True)
class CapabilitySets:
    """The five sets of a thread, and what else bounds its privilege; `capsh --print`."""

    inheritable: frozenset[str]
    permitted: frozenset[str]
    effective: frozenset[str]
    bounding: frozenset[str]
    ambient: frozenset[str]
    no_new_privs: bool  # execve(2) grants nothing more: prctl(PR_SET_NO_NEW_PRIVS)
    seccomp: int  # 0 off, 1 strict, 2 filter


def parse_capability_sets(status: str) -> CapabilitySets:
    """Parse the sets out of the text of /proc/PID/status.

    A kernel built without seccomp tells no mode, which is mode 0. Raises `BadValueError` where
    another line is missing (Linux before 4.10) or malformed.
    """
    known = {
        name: value.strip()
        for name, colon, value in (line.partition(":") for line in status.split("\n"))
        if colon
    }
    sets = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    seccomp = known.get("Seccomp", "0")
    if any(name not in known for name in sets):
        raise malformed("a /proc/PID/status with CapInh to CapAmb", status)
    if known.get("NoNewPrivs") not in ("0", "1") or seccomp not in ("0", "1", "2"):
        raise malformed("a /proc/PID/status with NoNewPrivs and Seccomp", status)
    inheritable, permitted, effective, bounding, ambient = (parse_mask(known[n]) for n in sets)
    return CapabilitySets(
        inheritable=inheritable,
        permitted=permitted,
        effective=effective,
        bounding=bounding,
        ambient=ambient,
        no_new_privs=known["NoNewPrivs"] == "1",
        seccomp=int(seccomp),
    )
