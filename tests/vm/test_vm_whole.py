"""What a usual machine with Docker has, and the micro-VM must have too."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator

import pytest
from machines import Base

from labkit import Lab
from labkit.engine import VmEngine
from labkit.engine.virtual import PER_CONTAINER, ROOM_LEFT
from labkit.engine.vm import MicroVM
from labkit.errors import NoRoomError
from labkit.lab import Container

# A kernel loads what a command asks for. Each is the learner's own, and is taken back by the end.
BY_NEED = {
    "dummy": "ip link add d1 type dummy",
    "macvlan": "ip link add m0 link d0 type macvlan mode bridge",
    "ipvlan": "ip link add i0 link d2 type ipvlan",
    "vxlan": "ip link add v0 type vxlan id 5 dstport 4789 dev d0",
    "wireguard": "ip link add w0 type wireguard",
    "netem": "tc qdisc replace dev d0 root netem delay 10ms",
    "tbf": "tc qdisc replace dev d0 root tbf rate 1mbit burst 32kbit latency 400ms",
    "nftables": "nft add table inet mine",
    "iptables": "iptables -t nat -A POSTROUTING -j MASQUERADE",
    "overlay": "mkdir -p /tmp/o && mount -t tmpfs o /tmp/o && cd /tmp/o && mkdir l u w m && "
    "mount -t overlay -o lowerdir=l,upperdir=u,workdir=w overlay m",
    "sctp": "python3 -c 'import socket; socket.socket(2, 1, 132)'",
    "tun": "ip tuntap add dev tun0 mode tap",
}


@pytest.fixture(scope="module")
def box(engine: VmEngine) -> Iterator[Container]:
    """A container that may do all of it in namespaces of its own."""
    with Lab(engine=engine) as lab:
        made = lab.run("toolbox", "sleep infinity", name="box", privileged=True)
        made.exec(["sh", "-c", "ip link add d0 type dummy; ip link add d2 type dummy"])
        yield made


@pytest.mark.parametrize("what", BY_NEED)
def test_the_kernel_loads_what_is_needed(box: Container, what: str) -> None:
    done = box.exec(["sh", "-c", BY_NEED[what]], timeout=120)
    assert (done.exit_code, done.stderr) == (0, "")


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_networks_that_are_bridges_of_no_kind(lab: Lab, vm: MicroVM, driver: str) -> None:
    parent = f"d{secrets.token_hex(3)}"
    run(vm, f"ip link add {parent} type dummy && ip link set {parent} up")
    subnet = "198.18.5.0/24"
    net = lab.network("net", driver=driver, options={"parent": parent}, subnet=subnet)
    one, two = (lab.run("toolbox", "sleep infinity", name=name, network=net) for name in "ab")
    assert one.exec("ping -c 1 -W 5 b", timeout=60).exit_code == 0
    for each in (one, two):
        each.remove()
    net.remove()
    run(vm, f"ip link delete {parent}")


def run(vm: MicroVM, line: str) -> str:
    """What a shell prints in the guest's own namespaces."""
    code = f"import subprocess; print(subprocess.run({line!r}, shell=True, capture_output=True, " \
           "text=True, check=True).stdout)"  # fmt: skip
    return vm.runner.run(code, timeout=60)


@pytest.mark.parametrize("how", ["rshared", "rslave"])
def test_a_folder_comes_with_what_is_mounted_in_it_later(lab: Lab, vm: MicroVM, how: str) -> None:
    folder = f"/srv/{secrets.token_hex(3)}"
    run(vm, f"mkdir -p {folder}/in")
    box = lab.run("base", "sleep infinity", name="box", volumes={folder: f"/x:{how}"})
    run(vm, f"mount -t tmpfs -o size=1m later {folder}/in && touch {folder}/in/seen")
    assert box.exec("ls /x/in").stdout == "seen\n"
    run(vm, f"umount {folder}/in")


def test_limits_are_those_of_a_usual_engine(lab: Lab) -> None:
    box = lab.run("base", "sleep infinity", name="box")
    asked = "ulimit -n; ulimit -H -n; ulimit -u; ulimit -c"
    assert box.exec(["sh", "-c", asked]).stdout.split() == ["1048576"] * 2 + ["unlimited"] * 2
    assert box.exec("cat /proc/self/oom_score_adj").stdout == "0\n"


def test_the_engine_is_the_last_that_the_kernel_would_kill(vm: MicroVM) -> None:
    names = "dockerd containerd python3"
    lines = run(vm, f"for p in $(pidof {names}); do cat /proc/$p/oom_score_adj; done").split()
    assert len(lines) >= 3
    assert max(map(int, lines)) < -800
    reserved = int(run(vm, "cat /sys/fs/cgroup/system/memory.min"))
    assert reserved > 64 << 20


# --- memory --------------------------------------------------------------------------------------

# Takes all that there is, a good deal at a time.
GREEDY = ["python3", "-c", "import time; time.sleep(SECONDS)\nall = []\n"
          "while True: all.append(b'x' * (16 << 20))"]  # fmt: skip


def greedy(seconds: int) -> list[str]:
    """A program that does so after some seconds."""
    return [word.replace("SECONDS", str(seconds)) for word in GREEDY]


@pytest.fixture(scope="module")
def small(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VmEngine]:
    """The engine of a machine that is filled."""
    vm = MicroVM(tmp_path_factory.mktemp("vm"), cache=base.cache)
    engine = VmEngine(vm, vm.start())
    yield engine
    engine.close()
    vm.remove()


@pytest.mark.timeout(240)
def test_a_full_machine_refuses_one_more_and_stays_quick(small: VmEngine) -> None:
    with Lab(engine=small) as lab:
        before = small.room()
        assert before > 20
        # What programs want is left for them; here one takes nearly all of it, at once: a kernel
        # without swap that is filled slowly reads its programs' pages again and again.
        size = before * PER_CONTAINER + (12 << 20)
        eat = f"fallocate -l {size} /dev/shm/x && echo fed && sleep infinity"
        eater = lab.run("base", ["sh", "-c", eat], name="eater", shm_size="2g")
        eater.wait_log("fed", timeout=60)
        with pytest.raises(NoRoomError) as raised:
            lab.run("base", "sleep infinity")
        assert "--memory" in raised.value.do
        assert "no more container fits" in raised.value.seen
        assert 0 < raised.value.available < ROOM_LEFT
        begin = time.monotonic()
        small.client.containers.list()
        assert time.monotonic() - begin < 5
        lab.container("eater").remove()
        lab.run("base", "true")


@pytest.mark.timeout(240)
def test_what_a_full_machine_has_killed_is_told_as_that(small: VmEngine) -> None:
    with Lab(engine=small) as lab:
        box = lab.run("toolbox", "sleep infinity", name="box")
        limited = lab.run("toolbox", "sleep infinity", name="limited", memory="64m")
        for _ in range(2):  # its own limit is no want of the machine's
            assert limited.exec(greedy(0), timeout=60).exit_code == 137
        with pytest.raises(NoRoomError, match="killed a process of the container's") as raised:
            box.exec(greedy(0), timeout=120)
        assert re.search(r"\d+ more containers fit", raised.value.seen)
        assert "--memory" in raised.value.do
        assert box.exec("sh -c 'kill -9 $$'").exit_code == 137  # as before, for another reason
        main = lab.run("toolbox", greedy(1), name="main")
        with pytest.raises(NoRoomError, match="of the container's: 'python3'"):
            main.wait_exit(timeout=120)
        with pytest.raises(NoRoomError):
            main.exec("true")
        # The engine goes last; here it is made to go first.
        first = "echo 1000 >/proc/$(cat /run/docker.pid)/oom_score_adj"
        run(small.vm, first)
        with pytest.raises(NoRoomError, match="of the engine's own: 'dockerd'"):
            box.exec(greedy(0), timeout=120)
    small.vm.start()  # waits for another
