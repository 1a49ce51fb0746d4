"""Every reader sees the same of the same containers, directly and through the probe."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from view import settle

from labkit.engine import Engine
from labkit.errors import ProcessGoneError
from labkit.host import Host, ProbeHost
from labkit.inspect import (
    Cgroup,
    read_capabilities,
    read_hostname,
    read_id_maps,
    read_listening,
    read_local_addresses,
    read_mounts,
    read_namespace_table,
    read_namespaces,
    read_namespaces_of,
    read_overlay,
    read_process,
    read_processes,
    read_signals,
    read_time_offsets,
)
from labkit.lab import Container, Lab

OPTIONS = {
    "plain": {},
    "limited": {
        "memory": "48m",
        "cpus": 0.5,
        "pids": 20,
        "cpuset_cpus": "0",
        "cpu_shares": 512,
        "cgroupns": "private",
        "cap_drop": ["ALL"],
        "cap_add": ["NET_ADMIN", "CHOWN"],
        "security_opt": ["no-new-privileges"],
        "tmpfs": {"/scratch": "size=1m,mode=1777"},
        "read_only": True,
        "user": "65534:65534",
    },
    "hostly": {"network": "host", "pid_mode": "host", "ipc_mode": "host", "uts_mode": "host"},
}
OF_A_PROCESS: dict[str, Callable[[Host, int], object]] = {
    "namespaces": read_namespaces,
    "process": read_process,
    "id maps": read_id_maps,
    "capabilities": read_capabilities,
    "mounts": read_mounts,
    "signals": read_signals,
    "host name": read_hostname,
    "time offsets": read_time_offsets,
    "overlay": lambda host, pid: repr(read_overlay(host, pid, root=host.anchor)),
    "changes": lambda host, pid: list(read_overlay(host, pid, root=host.anchor).changes()),
    "listening": read_listening,
    "local addresses": read_local_addresses,
    "cgroup directories": lambda host, pid: Cgroup(host, pid).directories,
    "cgroup version": lambda host, pid: Cgroup(host, pid).version,
    "memory": lambda host, pid: Cgroup(host, pid).memory(),
    "cpu": lambda host, pid: Cgroup(host, pid).cpu(),
    "usage": lambda host, pid: Cgroup(host, pid).usage(),
    "tasks": lambda host, pid: Cgroup(host, pid).tasks(),
    "cpuset": lambda host, pid: Cgroup(host, pid).cpuset(),
    "freezer": lambda host, pid: Cgroup(host, pid).freezer(),
    "io": lambda host, pid: Cgroup(host, pid).io(),
    "members": lambda host, pid: Cgroup(host, pid).pids(),
    "settings": lambda host, pid: Cgroup(host, pid).files(counters=False).read,
    "pressure": lambda host, pid: sorted(Cgroup(host, pid).pressure()),
}


@pytest.fixture(scope="module")
def subjects(engine: Engine, local: Host) -> Iterator[dict[str, Container]]:
    """Idle containers: nothing of them changes between two readings."""
    with Lab(engine=engine) as lab:
        made = {
            name: lab.run("base", "sleep infinity", name=name, **options)  # type: ignore[arg-type]
            for name, options in OPTIONS.items()
        }
        for container in made.values():
            settle(local, container.pid)
        yield made


@pytest.mark.parametrize("subject", OPTIONS)
@pytest.mark.parametrize("reader", OF_A_PROCESS)
def test_both_hosts_see_the_same(
    local: Host, probe: ProbeHost, subjects: dict[str, Container], reader: str, subject: str
) -> None:
    read = OF_A_PROCESS[reader]
    pid = subjects[subject].pid
    assert read(probe, pid) == read(local, pid)


def test_the_limits_are_those_that_were_asked_for(
    probe: ProbeHost, subjects: dict[str, Container]
) -> None:
    pid = subjects["limited"].pid
    cgroup = Cgroup(probe, pid)
    assert cgroup.memory().max == 48 << 20
    assert 0 < cgroup.memory().current < 48 << 20
    cpu = cgroup.cpu()
    assert cpu.quota_us is not None
    assert cpu.quota_us / cpu.period_us == 0.5
    assert cgroup.tasks().max == 20
    assert cgroup.tasks().current == len(cgroup.pids()) == 1
    assert cgroup.cpuset().cpus == {0}
    assert not cgroup.freezer().frozen
    capabilities = read_capabilities(probe, pid)
    assert capabilities.bounding == {"cap_net_admin", "cap_chown"}
    assert capabilities.effective == frozenset()  # it is not root
    assert capabilities.no_new_privs
    scratch = next(m for m in read_mounts(probe, pid) if m.mount_point == "/scratch")
    assert (scratch.fs_type, "size=1024k" in scratch.super_options) == ("tmpfs", True)
    assert read_process(probe, pid).uid == 65534


def test_a_frozen_container_is_frozen_to_both(
    local: Host, probe: ProbeHost, subjects: dict[str, Container]
) -> None:
    plain = subjects["plain"]
    plain.pause()
    try:
        assert [Cgroup(host, plain.pid).freezer().frozen for host in (local, probe)] == [True, True]
    finally:
        plain.unpause()


def test_a_process_that_waits_to_be_asked_after_is_in_no_namespace(
    engine: Engine, local: Host, probe: ProbeHost
) -> None:
    """As the first process of a container does for a moment, when it ends."""
    code = "import os, time\nos.fork() or os._exit(0)\nprint('left', flush=True)\ntime.sleep(999)"
    with Lab(engine=engine) as lab:
        parent = lab.run("toolbox", ["python3", "-c", code])
        parent.wait_log("left", timeout=60)

        def zombie() -> int | None:
            every = read_processes(local).values()
            return next((p.pid for p in every if p.ppid == parent.pid and p.state == "Z"), None)

        found = parent.wait_until(zombie, what="a zombie")
        assert found is not None
        for host in (local, probe):
            with pytest.raises(ProcessGoneError):
                read_namespaces(host, found)
            assert [*read_namespaces_of(host, [found, parent.pid], may_end=[found])] == [parent.pid]


@pytest.mark.alone  # a process that becomes a container's changes its namespaces between two looks
def test_both_hosts_see_the_same_processes_and_namespaces(
    local: Host, probe: ProbeHost, subjects: dict[str, Container]
) -> None:
    pids = {container.pid for container in subjects.values()}
    tables = [read_namespace_table(host) for host in (local, probe)]
    processes = [read_processes(host) for host in (local, probe)]
    assert pids <= tables[0].keys()
    for first, second in (tables, processes):
        common = first.keys() & second.keys()  # others come and go on this machine
        assert len(common) > 0.8 * max(len(first), len(second))
        assert {pid: first[pid] for pid in pids} == {pid: second[pid] for pid in pids}
    assert all(tables[0][pid] == tables[1][pid] for pid in tables[0].keys() & tables[1].keys())


def test_what_the_hosts_namespaces_are(
    local: Host, probe: ProbeHost, subjects: dict[str, Container]
) -> None:
    anchors = [read_namespaces(host, host.anchor) for host in (local, probe)]
    assert anchors[0] == anchors[1]
    shared = {
        name: read_namespaces(local, container.pid).shared_with(anchors[0])
        for name, container in subjects.items()
    }
    assert {"net", "pid", "ipc", "uts"} <= shared["hostly"]
    assert not {"net", "pid", "ipc", "uts", "mnt"} & shared["plain"]
    assert "cgroup" not in shared["limited"]


@pytest.mark.parametrize("pid", [2**22, 0])
def test_a_process_that_is_not_there_is_the_same_error(
    local: Host, probe: ProbeHost, pid: int
) -> None:
    errors = []
    for host in (local, probe):
        with pytest.raises(ProcessGoneError) as raised:
            read_namespaces(host, pid)
        errors.append(str(raised.value))
    assert errors[0] == errors[1]
