"""A running machine: its engine, its doors, its ports, its network."""

from __future__ import annotations

import http.server
import os
import socket
import ssl
import stat
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
from conftest import client_of

from labkit.engine.vm import MicroVM
from labkit.errors import EngineRefusedError


def test_the_engine_has_cgroup_v2_and_the_preloaded_image(client: docker.DockerClient) -> None:
    facts = client.info()
    assert (facts["CgroupVersion"], facts["DefaultRuntime"], facts["Driver"]) == (
        "2",
        "crun",
        "overlay2",
    )
    assert (
        client.containers.run("base", "cat /sys/fs/cgroup/memory.max", mem_limit="64m", remove=True)
        == b"67108864\n"
    )


def test_a_restored_guest_knows_the_time(vm: MicroVM) -> None:
    assert abs(float(vm.door.run("import time; print(time.time())")) - time.time()) < 3


def test_restored_guests_share_no_random_numbers(
    vm: MicroVM, make_vm: Callable[[str], MicroVM], base_tar: Path
) -> None:
    other = make_vm("other")
    other.start(accelerator="tcg", images=[base_tar])
    assert other.pid() != vm.pid()  # several at once
    draw = "import os; print(os.urandom(32).hex())"
    assert vm.door.run(draw) != other.door.run(draw)


def test_the_door_runs_a_program_as_a_stream_and_ends_it_with_the_connection(vm: MicroVM) -> None:
    program = (
        "import sys, os\nprint(os.getpid(), flush=True)\n"
        "for line in sys.stdin: print(line.upper(), end='', flush=True)"
    )
    with vm.door.open(program) as tls, tls.makefile("rwb", buffering=0) as stream:
        pid = int(stream.readline())
        for word in (b"one\n", b"two\n"):
            stream.write(word)
            assert stream.readline() == word.upper()
        assert vm.door.run(f"import os; print(os.path.exists('/proc/{pid}'))") == "True\n"
    deadline = time.monotonic() + 10
    while vm.door.run(f"import os; print(os.path.exists('/proc/{pid}'))") == "True\n":
        assert time.monotonic() < deadline


def test_the_door_sees_the_processes_of_containers(
    vm: MicroVM, client: docker.DockerClient
) -> None:
    container = client.containers.run("base", "sleep 1000", detach=True)
    container.reload()
    pid = container.attrs["State"]["Pid"]
    said = vm.door.run(f"print(open('/proc/{pid}/cmdline').read().split(chr(0))[:2])")
    assert said == "['sleep', '1000']\n"
    container.remove(force=True)


def test_a_published_port_is_forwarded_and_taken_back(
    vm: MicroVM, client: docker.DockerClient
) -> None:
    container = client.containers.run(
        "base",
        ["sh", "-c", "echo hello > /index.html; exec httpd -f -p 80 -h /"],
        ports={"80/tcp": 8080},
        detach=True,
    )
    port = vm.forward(8080)
    assert vm.forward(8080) == port
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                assert answer.read() == b"hello\n"
            break
        except OSError:
            assert time.monotonic() < deadline
    vm.unforward(port)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    container.remove(force=True)


def test_a_taken_port_is_an_error_that_names_it(vm: MicroVM) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(EngineRefusedError, match=str(port)):
            vm.forward(8081, host_port=port)
    assert vm.forward(8081, host_port=port) == port
    vm.unforward(port)


def test_udp_is_forwarded_too(vm: MicroVM) -> None:
    port = vm.forward(5353, "udp")
    program = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.bind(('0.0.0.0', 5353)); print('ready', flush=True); print(s.recv(100))"
    )
    with vm.door.open(program) as tls, tls.makefile("rb") as stream:
        assert stream.readline() == b"ready\n"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"ping", ("127.0.0.1", port))
        assert stream.readline() == b"b'ping'\n"
    vm.unforward(port, "udp")


@pytest.mark.parametrize("which", ["engine", "door"])
def test_nobody_without_our_certificate_passes_a_door(vm: MicroVM, which: str) -> None:
    port = vm.door.port if which == "door" else int(vm.endpoint.url.rpartition(":")[2])
    context = ssl.create_default_context(cafile=str(Path(str(vm.endpoint.cert_path), "ca.pem")))
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as tls,
        # Under TLS 1.3 a client learns from its first read that it was refused.
        pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"),
    ):
        tls.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        tls.recv(100)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a second user")
def test_a_second_user_reaches_neither_certificate_nor_monitor(vm: MicroVM) -> None:
    certificates = Path(str(vm.endpoint.cert_path))
    assert (
        stat.S_IMODE(vm.folder.stat().st_mode) == stat.S_IMODE(certificates.stat().st_mode) == 0o700
    )
    for path in (certificates / "key.pem", vm.folder / "qmp.sock"):
        done = subprocess.run(
            ["setpriv", "--reuid", "1001", "--regid", "1001", "--clear-groups", "stat", path],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Permission denied" in done.stderr


def test_containers_do_not_reach_the_loopback_of_the_machine(client: docker.DockerClient) -> None:
    with _web_server() as port:
        command = f"wget -T 3 -q -O - http://10.0.2.2:{port}/"
        for network in ("bridge", "host"):
            with pytest.raises(docker.errors.ContainerError):
                client.containers.run("base", command, network_mode=network, remove=True)


def test_a_guest_without_network_reaches_nothing(
    make_vm: Callable[[str], MicroVM], base_tar: Path, vm: MicroVM
) -> None:
    alone = make_vm("alone")
    alone.start(accelerator="tcg", images=[base_tar], network=False)
    assert client_of(alone.endpoint).ping()
    # The nameserver that QEMU plays answers one guest and not the other.
    ask = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(3)\n"
        "s.sendto(bytes.fromhex('0001010000010000000000000161016200001000 01'.replace(' ','')),"
        " ('10.0.2.3', 53))\n"
        "print(len(s.recv(512)) > 0)"
    )
    assert alone.door.run(ask) == ""
    assert "10.0.2.2" in vm.door.run("import os; print(os.popen('ip route').read())")


class _web_server:  # noqa: N801  used as a context manager
    def __enter__(self) -> int:
        self.server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self.server.server_port

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
