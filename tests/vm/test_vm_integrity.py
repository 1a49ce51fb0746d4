"""Nothing of a guest's own changes in honest use; what root in it changes is told by name."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest
from docker.types import EndpointSpec, IPAMConfig, IPAMPool
from machines import Base

from labkit.engine import VmEngine
from labkit.engine.vm import Change, Changes, MicroVM
from labkit.engine.vm.integrity import altered
from labkit.waiting import wait_until

IMAGE = "labkit/base"
ENTER = ["nsenter", "-t", "1", "-m", "-u", "-i", "-n", "-p", "--", "sh", "-c"]


def run(client: docker.DockerClient, **how: Any) -> Any:
    made = client.containers.run(IMAGE, ["sleep", "600"], detach=True, **how)
    assert made.exec_run("true").exit_code == 0
    return made


# --- honest --------------------------------------------------------------------------------------


def use(client: docker.DockerClient) -> None:
    """All that an honest session may do with an engine."""
    limited = run(client, mem_limit="64m", nano_cpus=500_000_000, ports={"80/tcp": None})
    run(client, network_mode="host", pid_mode="host", ipc_mode="host", cgroupns="host")
    folders = {"mine": {"bind": "/v"}, "/srv/p": {"bind": "/p"}}
    root = run(client, privileged=True, volumes=folders)
    assert root.exec_run("ip link add d0 type dummy").exit_code == 0
    pools = [IPAMPool("fd00:77::/64")]
    client.networks.create("six", enable_ipv6=True, ipam=IPAMConfig(pool_configs=pools))
    linked = run(client, network="six")
    client.swarm.init(advertise_addr="192.0.2.15")
    secret = {"encrypted": ""}
    client.networks.create("my-overlay", driver="overlay", attachable=True, options=secret)
    for driver in ("bridge", "macvlan", "ipvlan"):
        client.networks.create(f"my-{driver}", driver=driver)
    for driver in ("bridge", "macvlan", "ipvlan", "overlay"):
        client.networks.get(f"my-{driver}").connect(linked)
    client.images.build(fileobj=io.BytesIO(f"FROM {IMAGE}\nRUN echo x >/x\n".encode()), tag="x")
    published: Any = EndpointSpec(ports={18091: 80})  # type: ignore[dict-item]  # as it is used
    services: Any = client.services
    services.create(IMAGE, ["sleep", "600"], name="service", endpoint_spec=published)
    assert limited.stats(stream=False)["pids_stats"]["limit"] > 0
    limited.restart(timeout=0)


def test_an_honest_session_changes_nothing(vm: MicroVM, engine: VmEngine) -> None:
    assert not vm.changes()
    client = engine.client
    use(client)
    assert list(vm.changes()) == []
    client.swarm.leave(force=True)
    for container in client.containers.list(all=True):
        container.remove(force=True)
    client.networks.prune()
    client.volumes.prune()
    assert list(vm.changes(contents=True)) == []
    assert "nothing of its own has changed" in repr(vm.changes())


def test_an_engine_that_its_own_loop_started_anew_is_told_as_that(
    vm: MicroVM, engine: VmEngine
) -> None:
    vm.runner.run("import os, signal; os.kill(int(open('/run/docker.pid').read()), signal.SIGKILL)")
    vm.start()  # waits for the engine

    def settled() -> list[Change]:
        found = list(vm.changes())  # its containerd may not be there yet
        return found if {one.kind for one in found} == {"restart"} else []

    found = wait_until(settled, timeout=60, what="the engine and nothing else to be new")
    assert [one.what.split()[0] for one in found] == ["containerd", "dockerd"]


# --- hostile -------------------------------------------------------------------------------------

SHELL = r"""
: >/etc/ld.so.preload
echo 'evil::0:0::/:/bin/sh' >>/etc/passwd
mkdir -p /usr/local/sbin; cp /bin/true /usr/local/sbin/dockerd
cp -p /usr/sbin/runc /usr/sbin/runc.new; mv /usr/sbin/runc.new /usr/sbin/runc
ln -sf /bin/true /usr/sbin/modprobe
mount --bind /usr/bin/true /usr/bin/lscpu
mkdir -p /mnt; mount -t tmpfs none /mnt
echo '|/tmp/x %p' >/proc/sys/kernel/core_pattern
hostname elsewhere
echo 0 >/sys/fs/cgroup/system/memory.min
iptables -t mangle -F OUTPUT
iptables -t mangle -I PREROUTING -j ACCEPT
ip address add 198.51.100.7/24 dev eth0
ip rule add from 198.51.100.7 lookup 77
rmmod nf_conntrack_netlink
mount -t tracefs none /sys/kernel/tracing
echo 'p:seen do_sys_openat2' >/sys/kernel/tracing/kprobe_events
echo 1 >/sys/kernel/tracing/events/kprobes/seen/enable
setsid sleep 4321 >/dev/null 2>&1 </dev/null &
setsid nc -l -p 4444 >/dev/null 2>&1 </dev/null &
exec python3 - 2>&1
"""
PYTHON = r"""
import ctypes, glob, os, socket, struct, subprocess, time

# The entrance's program is written over, and the clock set back to when it was made.
path = "/usr/lib/labkit/entrance.py"
made, now = os.stat(path), time.time_ns()
text = open(path).read().replace("0o600", "0o666")
with open(path, "r+") as file:
    for _ in range(200):
        time.clock_settime_ns(time.CLOCK_REALTIME, made.st_ctime_ns)
        file.seek(0)
        file.write(text)
        file.flush()
        if os.stat(path).st_ctime_ns == made.st_ctime_ns:
            break
os.utime(path, ns=(made.st_atime_ns, made.st_mtime_ns))
for _ in range(200):
    time.clock_settime_ns(time.CLOCK_REALTIME, made.st_ctime_ns)
    os.chmod(path, made.st_mode & 0o7777)
    if os.stat(path).st_ctime_ns == made.st_ctime_ns:
        break
print("forged", os.stat(path).st_ctime_ns == made.st_ctime_ns)
time.clock_settime_ns(time.CLOCK_REALTIME, now + 3600 * 10**9)

# A module that nobody signed.
[module] = glob.glob("/usr/lib/modules/*/kernel/drivers/net/dummy.ko")
signed = open(module, "rb").read()
size = struct.unpack(">I", signed[-32:-28])[0]
open("/tmp/d.ko", "wb").write(signed[: -40 - size])
print(subprocess.run(["insmod", "/tmp/d.ko"], capture_output=True))

# A program in the kernel, held by a process that is left behind.
def start(work):
    if os.fork() == 0:
        os.setsid()
        null = os.open("/dev/null", os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        work()
        time.sleep(4321)

def load():
    code = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)
    held, licence = ctypes.create_string_buffer(code), ctypes.create_string_buffer(b"GPL")
    told = struct.pack("<IIQQIIQ", 1, 2, ctypes.addressof(held), ctypes.addressof(licence), 0, 0, 0)
    told = ctypes.create_string_buffer(told + bytes(80))
    ctypes.CDLL(None).syscall(321, 5, told, 72)

def proxy():
    os.rename("/run/docker.sock", "/run/engine.sock")
    end = socket.socket(socket.AF_UNIX)
    end.bind("/run/docker.sock")
    end.listen()
    time.sleep(4321)

start(load)
start(proxy)

# A byte of the engine's own program is written over in its memory, and another program is traced.
pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
def named(name):
    for pid in sorted(pids)[1:]:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            if file.read().startswith(name):
                return pid
engine, loop = named(b"dockerd"), named(b"/bin/sh\0/sbin/init")
for line in open(f"/proc/{engine}/maps"):
    if "r-xp" in line and "dockerd" in line:
        place = int(line.split("-")[0], 16)
        with open(f"/proc/{engine}/mem", "r+b", buffering=0) as memory:
            memory.seek(place)
            byte = memory.read(1)
            memory.seek(place)
            memory.write(byte)
        break
start(lambda: ctypes.CDLL(None).ptrace(0x4206, loop, 0, 0))  # PTRACE_SEIZE
time.sleep(1)
print("done")
"""

ACTS = {
    "a library for every program": ("file", "/etc/ld.so.preload"),
    "a user": ("file", "/etc/passwd"),
    "a program that is found first": ("file", "/usr/local/sbin/dockerd"),
    "a program in another's place": ("file", "/usr/sbin/runc"),
    "a link turned elsewhere": ("file", "/usr/sbin/modprobe"),
    "a program written over, with its times": ("content", "/usr/lib/labkit/entrance.py"),
    "a mount over a program": ("mount", "/usr/bin/lscpu"),
    "a mount": ("mount", "/mnt"),
    "who takes cores": ("setting", "kernel/core_pattern"),
    "the machine's name": ("setting", "kernel/hostname"),
    "the engine's memory": ("setting", "/sys/fs/cgroup/system/memory.min"),
    "a tainted kernel": ("setting", "kernel/tainted"),
    "a rule removed": ("network", "first rules of mangle OUTPUT"),
    "a rule before ours": ("network", "first rules of mangle PREROUTING"),
    "an address": ("network", "address eth0 inet 198.51.100.7/24"),
    "a rule for routes": ("network", "rule .* from 198.51.100.7 lookup 77"),
    "a module removed": ("module", "nf_conntrack_netlink"),
    "a module of nobody's": ("module", "dummy"),
    "a probe in the kernel's code": ("kernel", "kernel code"),
    "a BPF program": ("BPF program", "number .*"),
    "a process left behind": ("process", r"process \d+: sleep 4321"),
    "a listener": ("process", r"process \d+: nc -l -p 4444"),
    "a proxy at the engine's socket": ("socket", "/run/docker.sock"),
    "an engine written over in memory": ("process", "dockerd .*: code that is no program's"),
    "a loop that is traced": ("process", "init, loop 1: traced"),
}


@pytest.fixture(scope="module")
def tampered(
    base: Base, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[MicroVM, str, Changes]]:
    """A machine to which all of this was done at once, what doing it said, and what is told."""
    vm = MicroVM(tmp_path_factory.mktemp("vm"), cache=base.cache)
    client = vm.start().client()
    try:
        box = run(client, privileged=True, pid_mode="host")
        # As a stream, after which the engine is asked nothing: it will not answer any more.
        script = f"{SHELL.rstrip()} <<'END'\n{PYTHON}\nEND\n"
        said = box.exec_run([*ENTER, script], stream=True).output
        yield vm, b"".join(said).decode(), vm.changes()
    finally:
        client.close()
        vm.remove()


def is_told(found: Changes, kind: str, what: str) -> list[Change]:
    return [one for one in found if one.kind == kind and re.fullmatch(what, one.what)]


@pytest.mark.parametrize("act", ACTS)
def test_a_hostile_act_is_told_by_name(act: str, tampered: tuple[MicroVM, str, Changes]) -> None:
    _, said, found = tampered
    assert is_told(found, *ACTS[act]), f"{said}\n{found!r}"


def test_what_was_forged_was_forged(tampered: tuple[MicroVM, str, Changes]) -> None:
    """Else the file's own times would tell, and its content need not be read."""
    _, said, found = tampered
    assert "forged True" in said
    assert not is_told(found, "file", "/usr/lib/labkit/entrance.py")


def test_no_more_is_told_than_was_done(tampered: tuple[MicroVM, str, Changes]) -> None:
    _, _, found = tampered
    beside = (  # of these acts; the clock is set right by our end of the wire, if it came to that
        *(("clock", ""), ("file", "/usr/lib/python3.*/__pycache__.*")),
        *(("file", "/usr/bin/lscpu"), ("file", "/usr/sbin")),
        *(("file", "/usr/local"), ("file", "/usr/local/sbin"), ("file", "/etc"), ("file", "/usr")),
        *(("mount", "/sys/kernel/.*"), ("process", r"process \d+: .*"), ("network", "route .*")),
    )
    known = [*ACTS.values(), *beside]
    assert not [one for one in found if not any(is_told(Changes((one,)), *act) for act in known)]


REPLACE = """
import os, signal, subprocess, time
engine = int(open("/run/docker.pid").read())
os.kill(int(open(f"/proc/{engine}/stat").read().split()[3]), signal.SIGSTOP)  # its loop
os.kill(engine, signal.SIGKILL)
os.unlink("/run/docker.pid")
time.sleep(0.5)
argv = ["dockerd", "--config-file", "/etc/labkit/daemon.json", "--debug"]
null = subprocess.DEVNULL
subprocess.Popen(argv, start_new_session=True, stdin=null, stdout=null, stderr=null)
"""


def test_an_engine_in_the_engines_place_is_told(make_vm: Callable[[str], MicroVM]) -> None:
    vm = make_vm("replaced")
    vm.start()
    vm.runner.run(REPLACE)
    found = vm.changes()
    assert is_told(found, "process", "dockerd --config-file /etc/labkit/daemon.json"), found
    assert is_told(found, "process", r"process \d+: dockerd .* --debug"), found


def test_a_guest_that_answers_nonsense_has_changed(vm: MicroVM) -> None:
    """An entrance of somebody else's, say."""
    vm.runner.run(
        "import os\nos.rename('/usr/bin/python3', '/usr/bin/python3.was')\n"
        "open('/usr/bin/python3', 'w').write('#!/bin/sh\\necho all is well\\n')\n"
        "os.chmod('/usr/bin/python3', 0o755)"
    )
    assert [one.kind for one in vm.changes()] == ["answer"]


# --- the kernel's code ---------------------------------------------------------------------------

NOP, JUMP = bytes.fromhex("0f1f440000"), bytes.fromhex("e910000000")


@pytest.mark.parametrize(
    ("was", "now", "count"),
    [
        (NOP, JUMP, 0),
        (JUMP, NOP, 0),
        (b"\x66\x90", b"\xeb\x10", 0),
        (b"\xe8\x10\x00\x00\x00", b"\xe8\x20\x00\x00\x00", 0),  # a call turned elsewhere
        (NOP, b"\xe9\x00\x00\x00\x40", 2),  # beyond the kernel's code
        (NOP, b"\xcc" + NOP[1:], 1),
        (b"\x31\xc0", b"\xeb\x10", 2),
    ],
)
def test_the_kernels_own_patches_are_no_changes(was: bytes, now: bytes, count: int) -> None:
    def code(site: bytes) -> bytes:
        return bytes(4094) + site + bytes(4098 - len(site))  # across the end of a page

    assert bool(altered(code(was), code(now), code=True)) == bool(count)
    assert altered(code(was), code(now), code=False)
    assert altered(code(was), code(was), code=True) == []
