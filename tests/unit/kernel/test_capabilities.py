from __future__ import annotations

import pytest

from labkit.errors import BadValueError
from labkit.kernel import CAPABILITIES, parse_capability_sets, parse_mask, to_mask

from .conftest import Machine

# What a container of Docker's has by default, from the engine's documentation.
DOCKER_DEFAULT = {
    "cap_audit_write", "cap_chown", "cap_dac_override", "cap_fowner", "cap_fsetid", "cap_kill",
    "cap_mknod", "cap_net_bind_service", "cap_net_raw", "cap_setfcap", "cap_setgid",
    "cap_setpcap", "cap_setuid", "cap_sys_chroot",
}  # fmt: skip


def test_confined(machine: Machine) -> None:
    found = parse_capability_sets(machine.proc("confined", "status"))
    assert found.bounding == found.permitted == found.effective == DOCKER_DEFAULT
    assert found.inheritable == found.ambient == set()
    assert found.no_new_privs is True
    assert found.seccomp == 0


def test_new_user_namespace_has_all(machine: Machine) -> None:
    found = parse_capability_sets(machine.proc("container", "status"))
    assert found.effective == set(CAPABILITIES)
    assert found.no_new_privs is False


def test_bit_order() -> None:
    assert len(CAPABILITIES) == len(set(CAPABILITIES)) == 41
    known = {
        "cap_chown": 0, "cap_setpcap": 8, "cap_net_admin": 12, "cap_sys_module": 16,
        "cap_sys_ptrace": 19, "cap_sys_admin": 21, "cap_sys_resource": 24, "cap_sys_time": 25,
        "cap_mac_override": 32, "cap_syslog": 34, "cap_audit_read": 37, "cap_bpf": 39,
    }  # fmt: skip
    for name, bit in known.items():
        assert parse_mask(f"{1 << bit:x}") == {name}


def test_bits_newer_than_the_names() -> None:
    assert parse_mask("8000020000000001") == {"cap_chown", "cap_41", "cap_63"}


@pytest.mark.parametrize("mask", ["00000000a80425fb", "0" * 16, "000001ffffffffff", "f" * 16])
def test_mask_there_and_back(mask: str) -> None:
    assert to_mask(parse_mask(mask)) == mask


@pytest.mark.parametrize("mask", ["", "0x1", "g", "1_0", "-1", "0" * 17, "1\n"])
def test_malformed_mask(mask: str) -> None:
    with pytest.raises(BadValueError):
        parse_mask(mask)


@pytest.mark.parametrize("name", ["NET_ADMIN", "CAP_NET_ADMIN", "cap_40", "cap_64", "cap_"])
def test_unknown_name(name: str) -> None:
    with pytest.raises(BadValueError) as caught:
        to_mask([name])
    assert name in str(caught.value)


@pytest.mark.parametrize("line", ["CapBnd:", "CapAmb:", "NoNewPrivs:"])
def test_missing_line(recorded: type[Machine], line: str) -> None:
    status = recorded("v2").proc("confined", "status")
    assert line in status
    with pytest.raises(BadValueError):
        parse_capability_sets(status.replace(line, "Other:"))


def test_seccomp(recorded: type[Machine]) -> None:
    status = recorded("v2").proc("confined", "status")
    assert parse_capability_sets(status.replace("Seccomp:\t0", "Seccomp:\t2")).seccomp == 2
    assert parse_capability_sets(status.replace("Seccomp:\t0", "")).seccomp == 0
    with pytest.raises(BadValueError):
        parse_capability_sets(status.replace("Seccomp:\t0", "Seccomp:\tx"))
