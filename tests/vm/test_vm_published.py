"""What the machine's containers publish: there when a start says so, and whole in bursts."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psutil
import pytest
from machines import followers

from labkit import Lab
from labkit.engine import VmEngine
from labkit.engine.vm import MicroVM
from labkit.errors import EngineRefusedError
from labkit.waiting import wait_until

WEB = ["sh", "-c", "echo hello > /index.html; exec httpd -f -p 80 -h /"]
# Answers each datagram with itself.
ECHO = """
import socket
port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
port.bind(("", 5353))
print("ready", flush=True)
while True:
    port.sendto(*port.recvfrom(100))
"""


def free_port(address: str = "127.0.0.1") -> int:
    """A port that nobody has, a moment ago."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as holder:
        return int(holder.getsockname()[1])


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return bytes(answer.read())


def listens(port: int, address: str = "127.0.0.1") -> bool:
    """Whether somebody listens at this port now."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as caller:
        return caller.connect_ex((address, port)) != errno.ECONNREFUSED


def gone(port: int, address: str = "127.0.0.1") -> None:
    wait_until(lambda: not listens(port, address), timeout=10, what="the port's end")


@contextmanager
def busy_machine() -> Iterator[None]:
    """Every CPU of this machine has something else to do."""
    burn = [sys.executable, "-c", "while True: pass"]
    hogs = [subprocess.Popen(burn) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


@pytest.fixture
def idle_or_busy(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.param == "idle":
        yield
    else:
        with busy_machine():
            yield


both = pytest.mark.parametrize("idle_or_busy", ["idle", "busy"], indirect=True)


# --- when it is there ----------------------------------------------------------------------------


def test_when_a_start_has_said_so_the_port_is_there(engine: VmEngine) -> None:
    box = engine.client.containers.create("labkit/base", WEB, ports={"80/tcp": None})
    try:
        for _ in range(5):
            box.start()
            box.reload()
            port = int((box.ports["80/tcp"] or [])[0]["HostPort"])
            assert listens(port)
            box.kill()
            gone(port)
    finally:
        box.remove(force=True)


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "127.0.0.2", "::1"])
def test_it_is_reached_where_it_was_asked_for(engine: VmEngine, address: str) -> None:
    here = "127.0.0.1" if address == "0.0.0.0" else address
    port = free_port(here)
    box = engine.client.containers.run(  # as a terminal's `docker run -p` does
        "labkit/base", WEB, ports={"80/tcp": (address, port)}, detach=True
    )
    url = f"http://{f'[{here}]' if ':' in here else here}:{port}"
    try:
        wait_until(lambda: answers(url), timeout=30, what=url)
        assert listens(port, "127.0.0.1") == (here == "127.0.0.1")
        box.restart(timeout=0)
        assert listens(port, here)
        wait_until(lambda: answers(url), timeout=30, what=url)
    finally:
        box.remove(force=True)
    gone(port, here)


def answers(url: str) -> bool:
    try:
        return get(url) == b"hello\n"
    except OSError:
        return False


def test_by_its_own_number_and_again_after_another_network(lab: Lab) -> None:
    port = free_port()
    web = lab.run("base", WEB, name="web", ports={"80": port}).wait_port(80)
    assert web.url(80) == f"http://127.0.0.1:{port}"
    assert get(web.url(80)) == b"hello\n"
    more = lab.run("base", WEB, name="more", ports=[80]).wait_port(80)
    assert get(more.url(80)) == b"hello\n"
    net = lab.network("net")
    bridge = lab.engine.client.networks.get("bridge")
    net.docker.connect(more.id)
    bridge.disconnect(more.id)
    wait_until(lambda: answers(more.url(80)), timeout=10, what="the port, in another network")


# --- when it cannot be had -----------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_that_this_machine_has_given_away_is_refused_until_it_is_free(
    lab: Lab, protocol: str
) -> None:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", 0))
        if protocol == "tcp":
            holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(EngineRefusedError, match=re.escape(f"127.0.0.1:{port}")) as raised:
            lab.run("base", WEB, name="first", ports={f"80/{protocol}": port})
        assert "on the machine outside the micro-VM" in raised.value.seen
    lab.run("base", WEB, name="second", ports={f"80/{protocol}": port})
    assert lab.container("second").published(f"80/{protocol}") == ("127.0.0.1", port)


def test_a_random_port_is_one_that_is_free_here_too(lab: Lab) -> None:
    first = lab.run("base", WEB, name="first", ports=[80])
    number = first.published(80)[1]
    first.remove()
    with socket.create_server(("127.0.0.1", number + 1)):
        second = lab.run("base", WEB, name="second", ports=[80]).wait_port(80)
        assert second.published(80)[1] not in (number, number + 1)
        assert get(second.url(80)) == b"hello\n"


# --- bursts --------------------------------------------------------------------------------------


@both
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("idle_or_busy")
def test_of_a_hundred_requests_at_once_none_is_lost(lab: Lab) -> None:
    url = lab.run("base", WEB, name="web", ports=[80]).wait_port(80).url(80)
    with ThreadPoolExecutor(100) as pool:
        assert list(pool.map(get, [url] * 100)) == [b"hello\n"] * 100


@both
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("idle_or_busy")
def test_of_a_hundred_questions_to_the_engine_none_is_lost(vm: MicroVM) -> None:
    def ping(_: int) -> bytes:
        with socket.socket(socket.AF_UNIX) as end:
            end.settimeout(30)
            end.connect(vm.endpoint.url.removeprefix("unix://"))
            end.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            answer = b""
            while part := end.recv(4096):
                answer += part
            return answer.rpartition(b"\r\n\r\n")[2]

    with ThreadPoolExecutor(100) as pool:
        assert list(pool.map(ping, range(100))) == [b"OK"] * 100


@both
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("idle_or_busy")
def test_of_a_hundred_datagrams_at_once_none_is_lost(lab: Lab) -> None:
    box = lab.run("toolbox", ["python3", "-c", ECHO], name="udp", ports=["5353/udp"])
    box.wait_log("ready", timeout=60)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(30)
        sender.connect(box.published("5353/udp"))
        for number in range(100):
            sender.send(f"{number}".encode())
        answers = [int(sender.recv(100)) for _ in range(100)]
    assert sorted(answers) == list(range(100))


# --- who carries it ------------------------------------------------------------------------------


@pytest.mark.timeout(180)
def test_a_killed_helper_is_started_again_and_leads_to_what_runs(
    make_vm: Callable[[str], MicroVM],
) -> None:
    vm = make_vm("helped")
    engine = VmEngine(vm, vm.start())
    with Lab(engine=engine) as lab:
        always = {"Name": "always"}
        web = lab.run("base", WEB, name="web", ports=[80], restart_policy=always).wait_port(80)
        port = web.published(80)[1]
        (follower,) = followers(vm)
        follower.kill()
        psutil.wait_procs([follower], timeout=10)
        assert not listens(port)
        vm.start()
        assert followers(vm) not in ([], [follower])
        assert get(web.url(80)) == b"hello\n"  # the same container: it has noticed nothing

        before = dockerd(vm)
        vm.runner.run(f"import os; os.kill({before}, 9)")
        begin = time.monotonic()
        vm.start()  # waits until the engine answers again
        assert time.monotonic() - begin < 60
        wait_until(lambda: dockerd(vm) not in (0, before), timeout=30, what="another dockerd")
        engine.client.ping()
        wait_until(lambda: answers(lab.container("web").url(80)), timeout=60, what="the web again")
    engine.close()

    os.kill(vm.pid() or 0, signal.SIGKILL)
    wait_until(lambda: not followers(vm), timeout=10, what="the helper's end", interval=0.1)


def dockerd(vm: MicroVM) -> int:
    """The pid of the guest's engine, or 0."""
    look = "import os\nprint(next((p for p in os.listdir('/proc') if p.isdigit() and " \
           "open(f'/proc/{p}/comm').read() == 'dockerd\\n'), 0))"  # fmt: skip
    return int(vm.runner.run(look))
