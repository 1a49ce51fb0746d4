"""What labkit reads is what the kernel's own instruments say, on the host and in containers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from labkit.engine import Engine
from labkit.host import Host
from labkit.inspect import (
    read_capabilities,
    read_hostname,
    read_id_maps,
    read_listening,
    read_local_addresses,
    read_mounts,
    read_namespace_table,
    read_process,
    read_processes,
    read_signals,
    read_time_offsets,
)
from labkit.kernel import CAPABILITIES, KINDS, Namespace, parse_mask, to_mask
from labkit.lab import Container, Lab
from labkit.waiting import wait_until

Shell = Callable[..., str]


@pytest.fixture(params=["local", "probe"])
def host(request: pytest.FixtureRequest, local: Host) -> Host:
    """The host, seen both ways."""
    found: Host = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def shell(local: Host) -> Shell:
    """Runs an instrument on the engine's machine, and returns what it printed."""

    def run(*argv: object) -> str:
        ran = local.run([str(word) for word in argv])
        assert ran.exit_code == 0, ran
        return ran.stdout

    return run


@pytest.fixture(scope="module")
def box(engine: Engine) -> Iterator[Container]:
    """A toolbox with some options that show."""
    with Lab(engine=engine) as lab:
        yield lab.run(
            "toolbox",
            name="box",
            memory="64m",
            cap_add=["NET_ADMIN", "SYS_PTRACE"],
            cap_drop=["MKNOD"],
            cgroupns="private",
            tmpfs={"/with space": ""},
        )


def test_namespaces_against_lsns(host: Host, box: Container, shell: Shell) -> None:
    listed = json.loads(shell("lsns", "--json", "--output", "NS,TYPE,PID,NPROCS"))["namespaces"]
    table = read_namespace_table(host)
    ours = {namespace for spaces in table.values() for namespace in spaces.values()}
    theirs = {Namespace(row["type"], int(row["ns"])): row for row in listed}
    mine = table[box.pid]
    assert set(mine) == set(KINDS)
    for kind, namespace in mine.items():
        members = [pid for pid, spaces in table.items() if spaces.get(kind) == namespace]
        if namespace in set(table[host.anchor].values()):
            continue  # the machine's own, in which processes come and go
        assert theirs[namespace]["pid"] == box.pid
        assert theirs[namespace]["nprocs"] == len(members)
    # The rest of the machine is in motion: nearly all of it is the same.
    assert len(ours & set(theirs)) >= 0.9 * len(set(theirs))


def test_namespaces_against_lsns_of_one_task(box: Container, shell: Shell) -> None:
    rows = json.loads(shell("lsns", "--json", "--task", box.pid))["namespaces"]
    assert {(row["type"], int(row["ns"])) for row in rows} == {
        (kind, namespace.inode) for kind, namespace in box.namespaces().items()
    }


def test_namespaces_against_the_container_itself(box: Container) -> None:
    for kind, namespace in box.namespaces().items():
        assert box.exec(f"readlink /proc/1/ns/{kind}").stdout == f"{namespace}\n"


def test_entering_namespaces_against_nsenter(host: Host, box: Container, shell: Shell) -> None:
    command = ["cat", "/proc/self/net/dev"]
    ran = host.run(command, pid=box.pid, namespaces=["net"])
    interfaces = [line.split(":")[0] for line in ran.stdout.splitlines()[2:]]
    entered = shell("nsenter", "--target", box.pid, "--net", *command)
    assert interfaces == [line.split(":")[0] for line in entered.splitlines()[2:]]
    inside = host.run(["hostname"], pid=box.pid, namespaces=["uts"])
    assert (
        inside.stdout.strip() == "box" == shell("nsenter", "-t", box.pid, "-u", "hostname").strip()
    )


def test_addresses_against_ip(host: Host, box: Container) -> None:
    ran = host.run(["ip", "-j", "addr"], pid=box.pid, namespaces=["net"])
    seen, inside = json.loads(ran.stdout), json.loads(box.exec("ip -j addr").stdout)
    assert [link["ifname"] for link in seen] == [link["ifname"] for link in inside]
    addresses = {a["local"] for link in seen for a in link["addr_info"]}
    assert box.address() in addresses


def test_local_addresses_and_listening_ports_against_ip_and_ss(host: Host, box: Container) -> None:
    server = "import socket, time; s = socket.create_server(('127.0.0.1', 8123)); time.sleep(99)"
    box.docker.exec_run(["python3", "-c", server], detach=True)
    box.wait_port(8123)
    enter: dict[str, Any] = {"pid": box.pid, "namespaces": ["net"]}
    ports = host.run(["ss", "-Htln"], **enter).stdout.splitlines()
    listening = {int(line.split()[3].rpartition(":")[2]) for line in ports}
    assert read_listening(host, box.pid) == listening >= {8123}
    links = json.loads(host.run(["ip", "-4", "-j", "addr"], **enter).stdout)
    addresses = {one["local"] for link in links for one in link.get("addr_info", ())}
    assert read_local_addresses(host, box.pid) == addresses >= {"127.0.0.1", box.address()}


@pytest.mark.parametrize("signal", ["USR1", "HUP"])
def test_signals_against_ps(host: Host, lab: Lab, signal: str, shell: Shell) -> None:
    line = f"trap 'true' {signal}; trap '' WINCH; echo set; while :; do sleep 1; done"
    traps = lab.run("base", ["sh", "-c", line], name="traps")
    traps.wait_log("set")
    found = read_signals(host, traps.pid)
    masks = shell("ps", "-o", "caught=,ignored=,blocked=", "-p", traps.pid).split()
    for mask, numbers in zip(masks, (found.caught, found.ignored, found.blocked), strict=True):
        assert int(mask, 16) == sum(1 << (number - 1) for number in numbers)
    assert {"USR1": 10, "HUP": 1}[signal] in found.caught
    assert 28 in found.ignored  # WINCH, signal(7)


def test_host_name_and_clocks_against_what_is_told_inside(
    host: Host, lab: Lab, shell: Shell
) -> None:
    unshared = ["unshare", "--uts", "--time", "--boottime", "864000", "--fork"]
    line = ["sh", "-c", "hostname ahead; exec sleep 1000"]
    moved = lab.run("toolbox", [*unshared, *line], name="moved", cap_add=["SYS_ADMIN", "SYS_TIME"],
                    security_opt=["seccomp=unconfined", "apparmor=unconfined"])  # fmt: skip
    found = moved.wait_until(
        lambda: [one.pid for one in moved.processes() if one.comm == "sleep"], what="the sleep"
    )
    enter = ("nsenter", "-t", found[0], "--uts", "--time")
    assert read_hostname(host, found[0]) == shell(*enter, "hostname").strip() == "ahead"
    offsets = read_time_offsets(host, found[0])
    assert (offsets.boottime, offsets.monotonic) == (864_000, 0)
    up = float(shell(*enter, "cat", "/proc/uptime").split()[0])
    assert up - float(shell("cat", "/proc/uptime").split()[0]) == pytest.approx(864_000, abs=10)
    assert read_time_offsets(host, moved.pid) == offsets  # of its children, who are there


def test_mounts_against_findmnt(host: Host, box: Container, shell: Shell) -> None:
    columns = "TARGET,SOURCE,FSTYPE,VFS-OPTIONS,FS-OPTIONS,MAJ:MIN,ID,PARENT"
    found = json.loads(
        shell(
            "findmnt",
            "--json",
            "--list",
            "--notruncate",
            "--nofsroot",
            "--task",
            box.pid,
            "--output",
            columns,
        )
    )["filesystems"]
    theirs = {
        (row["id"], row["parent"], row["target"], row["fstype"], row["maj:min"]) for row in found
    }
    mounts = read_mounts(host, box.pid)
    assert {(m.mount_id, m.parent_id, m.mount_point, m.fs_type, m.device) for m in mounts} == theirs
    options = {row["id"]: (row["vfs-options"], row["fs-options"]) for row in found}
    for mount in mounts:
        vfs, fs = options[mount.mount_id]
        assert set(vfs.split(",")) == set(mount.options)
        assert set(fs.split(",")) == set(mount.super_options)
    assert any(m.mount_point == "/with space" for m in mounts)


def test_mounts_against_the_container_itself(host: Host, box: Container) -> None:
    inside = box.exec("findmnt --json --list --output TARGET,FSTYPE").stdout
    assert [(row["target"], row["fstype"]) for row in json.loads(inside)["filesystems"]] == [
        (m.mount_point, m.fs_type) for m in read_mounts(host, box.pid)
    ]


@pytest.mark.root  # a guest of ours has no libcap2-bin
def test_capabilities_against_getpcaps_and_capsh(host: Host, box: Container, shell: Shell) -> None:
    sets = read_capabilities(host, box.pid)
    decoded = shell("capsh", f"--decode={to_mask(sets.effective)}").strip()
    assert decoded == f"0x{to_mask(sets.effective)}=" + ",".join(
        name for name in CAPABILITIES if name in sets.effective
    )
    assert "cap_net_admin" in sets.effective
    assert "cap_mknod" not in sets.bounding
    # getpcaps writes `PID: =` or `PID: cap_a,cap_b=ep`, as cap_to_text(3) does.
    said = shell("getpcaps", box.pid).strip()
    assert (
        said
        == f"{box.pid}: "
        + ",".join(name for name in CAPABILITIES if name in sets.effective)
        + "=ep"
    )
    printed = box.exec("grep CapEff /proc/self/status").stdout.split()[1]
    assert parse_mask(printed) == sets.effective


def test_id_maps_against_the_files_and_id(host: Host, box: Container, shell: Shell) -> None:
    uids, gids = read_id_maps(host, box.pid)
    text = shell("cat", f"/proc/{box.pid}/uid_map").split()
    assert [(r.inside, r.outside, r.count) for r in uids.ranges] == [tuple(map(int, text))]
    assert uids.to_outside(0) == int(shell("stat", "-c", "%u", f"/proc/{box.pid}"))
    assert gids.to_outside(0) == int(shell("stat", "-c", "%g", f"/proc/{box.pid}"))


def test_processes_against_ps(host: Host, box: Container, shell: Shell) -> None:
    pid = box.pid
    ours = read_process(host, pid)
    columns = ["pid", "ppid", "state", "nlwp", "euid", "egid", "rss", "comm", "args"]
    words = shell("ps", "-o", ",".join(f"{name}=" for name in columns), "-p", pid).split()
    assert [*words[:6], words[7], " ".join(words[8:])] == [
        str(ours.pid), str(ours.ppid), ours.state, str(ours.threads), str(ours.uid),
        str(ours.gid), ours.comm, " ".join(ours.cmdline),
    ]  # fmt: skip
    assert abs(int(words[6]) - (ours.rss_kib or 0)) < 1024
    listed = {int(line) for line in shell("ps", "-e", "-o", "pid=").split()}
    seen = read_processes(host).keys()
    assert len(listed & seen) >= 0.9 * len(listed)


def test_a_containers_processes_against_its_own_ps(box: Container) -> None:
    def listed() -> dict[int | None, str]:
        return {p.inside_pid: " ".join(p.cmdline) for p in box.processes()}

    box.docker.exec_run(["sleep", "77.5"], detach=True)
    # A process has no command line for as long as execve(2) makes its new memory.
    wait_until(lambda: "sleep 77.5" in listed().values(), timeout=20, what="sleep")
    table = listed()
    inside = box.exec("ps -e -o pid=,args=").stdout.splitlines()
    own = dict(line.split(None, 1) for line in inside if "ps -e" not in line)
    assert {int(pid): args for pid, args in own.items()} == table
    top = box.docker.top()
    assert {int(row[top["Titles"].index("PID")]) for row in top["Processes"]} == {
        p.pid for p in box.processes()
    }


def test_cgroup_files_against_cat(box: Container, shell: Shell) -> None:
    group = box.cgroup()
    for one, path, text in group.files(counters=False).read:
        assert text is None or text == shell("cat", path), one
    for kind, pressure in group.pressure().items():
        told = shell("cat", f"{group.directories['']}/{kind}.pressure").splitlines()[0]
        assert told.startswith("some avg10=")
        assert pressure.some.total_us <= int(told.rpartition("=")[2])


def test_cgroup_numbers_against_the_engines(box: Container) -> None:
    usage = box.cgroup().usage()
    stats: Any = box.docker.stats(stream=False)
    assert stats["memory_stats"]["limit"] == usage.memory.max == 64 << 20
    after = box.cgroup().usage()
    assert (
        usage.cpu.usage_ns <= stats["cpu_stats"]["cpu_usage"]["total_usage"] <= after.cpu.usage_ns
    )
