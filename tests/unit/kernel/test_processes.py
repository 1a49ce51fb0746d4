from __future__ import annotations

import pytest

from labkit.errors import BadValueError
from labkit.kernel import Process, parse_process

from .conftest import Machine


def process(machine: Machine, role: str) -> Process:
    return parse_process(*(machine.proc(role, file) for file in ("stat", "status", "cmdline")))


def test_container(machine: Machine) -> None:
    found = process(machine, "container")
    assert found.pid == machine.pid("container")
    assert found.comm == "my (odd) name"
    assert found.cmdline[0] == "./my (odd) name"
    assert found.cmdline[-2:] == ("", "last argument")
    assert found.nspid == (found.pid, 1)
    assert found.inside_pid == 1
    assert (found.uid, found.gid, found.threads) == (100000, 100000, 1)
    assert found.state == ("S" if machine.name == "v2" else "D")  # v1 freezes uninterruptibly
    assert found.rss_bytes is not None
    assert 100_000 < found.rss_bytes < 16 << 20
    assert found.rss_bytes % 1024 == 0


def test_host(machine: Machine) -> None:
    found = process(machine, "host")
    assert found.comm == "sleep"
    assert found.cmdline == ("/usr/bin/sleep", "1000")
    assert found.nspid == (found.pid,)
    assert found.inside_pid == found.pid
    assert (found.uid, found.gid) == (0, 0)
    assert 0 < found.ppid < found.pid
    # The host's process was started before the container's program was executed.
    assert 0 < found.start_time <= process(machine, "container").start_time


def test_kernel_thread(machine: Machine) -> None:
    found = process(machine, "kthread")
    assert (found.pid, found.ppid, found.comm) == (2, 0, "kthreadd")
    assert found.cmdline == ()
    assert found.rss_bytes is None


STAT = "7 ({}) S 1 7 7 0 -1 4194560 89 0 0 0 2 0 0 0 20 0 3 0 501 2551808 63 0\n"
STATUS = "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n"


@pytest.mark.parametrize("comm", ["a) S 9 (b", "(", ")", " ", "a\nb", "é", ""])
def test_comm_may_be_anything(comm: str) -> None:
    found = parse_process(STAT.format(comm), STATUS, "x\0")
    assert (found.comm, found.pid, found.ppid, found.state) == (comm, 7, 1, "S")
    assert (found.threads, found.start_time) == (3, 501)


def test_ids_are_the_effective_ones() -> None:
    found = parse_process(STAT.format("x"), STATUS, "")
    assert (found.uid, found.gid) == (2, 6)


def test_without_nspid() -> None:
    found = parse_process(STAT.format("x"), STATUS, "")
    assert found.nspid == ()
    assert found.inside_pid is None


@pytest.mark.parametrize(
    ("cmdline", "expected"),
    [("", ()), ("\0", ("",)), ("nginx: master", ("nginx: master",)), ("a\0\0", ("a", ""))],
)
def test_cmdline(cmdline: str, expected: tuple[str, ...]) -> None:
    assert parse_process(STAT.format("x"), STATUS, cmdline).cmdline == expected


@pytest.mark.parametrize(
    ("stat", "status"),
    [
        ("", STATUS),
        ("7 x S 1", STATUS),
        ("7 (x) S 1 7", STATUS),
        (STAT.format("x").replace(" S 1 ", " S one "), STATUS),
        (STAT.format("x"), ""),
        (STAT.format("x"), "Uid:\t1\nGid:\t1\n"),
        (STAT.format("x"), STATUS + "NSpid:\t7 one\n"),
        (STAT.format("x"), STATUS + "VmRSS:\tmuch\n"),
    ],
)
def test_malformed(stat: str, status: str) -> None:
    with pytest.raises(BadValueError):
        parse_process(stat, status, "")
