"""Who gets in, and what gets out: other users, and the network."""

from __future__ import annotations

import http.server
import socket
import ssl
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from labkit import Lab, debian
from labkit.engine import VmEngine
from labkit.engine.vm import MicroVM

USER = 4242  # a uid and gid that nobody has

# A request without a certificate, as another user makes it: the answer, or why there is none.
UNKNOWN_CLIENT = """
import os, socket, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
try:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) as raw:
        with context.wrap_socket(raw) as tls:
            tls.sendall(b"GET /_ping HTTP/1.0\\r\\n\\r\\n")
            print(os.getuid(), tls.recv(100))
except ssl.SSLError as err:
    print(os.getuid(), err.reason)
"""
PLAIN_CLIENT = """
import os, socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) as raw:
    raw.sendall(b'{"size": 8, "argv": []}\\nprint(1)')
    try:
        said = raw.recv(100)
    except ConnectionResetError:
        said = b""
    print(os.getuid(), b"1\\n" in said)
"""


def as_user(*argv: object) -> subprocess.CompletedProcess[str]:
    """Run a program as that user."""
    become = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    return subprocess.run(
        [*become, *map(str, argv)], capture_output=True, text=True, check=False, cwd="/"
    )


def port_of(vm: MicroVM, runner: str) -> int:
    port = urlsplit(vm.endpoint.url).port if runner == "engine" else vm.runner.port
    assert port is not None
    return port


# --- who gets in -------------------------------------------------------------------------------


@pytest.mark.parametrize("runner", ["engine", "runner"])
def test_nobody_without_our_certificate_passes(vm: MicroVM, runner: str) -> None:
    context = ssl.create_default_context(cafile=str(Path(str(vm.endpoint.cert_path), "ca.pem")))
    with (
        socket.create_connection(("127.0.0.1", port_of(vm, runner)), timeout=20) as raw,
        context.wrap_socket(raw, server_hostname="127.0.0.1") as tls,
        # Under TLS 1.3 a client learns from its first read that it was refused.
        pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"),
    ):
        tls.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        tls.recv(100)


@pytest.mark.root  # who alone can become another user
@pytest.mark.parametrize("runner", ["engine", "runner"])
def test_a_second_user_is_refused(vm: MicroVM, runner: str) -> None:
    port = port_of(vm, runner)
    said = as_user("/usr/bin/python3", "-c", UNKNOWN_CLIENT, port)
    assert said.stdout == f"{USER} TLSV13_ALERT_CERTIFICATE_REQUIRED\n", said.stderr
    said = as_user("/usr/bin/python3", "-c", PLAIN_CLIENT, port)
    assert said.stdout == f"{USER} False\n", said.stderr


@pytest.mark.root  # who alone can become another user
def test_a_second_user_reads_neither_keys_nor_monitor_nor_memory(vm: MicroVM) -> None:
    certificates = Path(str(vm.endpoint.cert_path))
    secrets = (certificates / "key.pem", vm.folder / "qmp.sock", vm.cache / "snapshots/lock")
    for path in secrets:
        assert path.exists()
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert "Permission denied" in as_user("stat", path).stderr
    memory = as_user("cat", f"/proc/{vm.pid()}/mem")
    assert "Permission denied" in memory.stderr


# --- what gets out -----------------------------------------------------------------------------


@contextmanager
def web_server() -> Iterator[tuple[int, list[str]]]:
    """A server on this machine's loopback: its port, and the requests that it saw."""
    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, seen
        server.shutdown()


def test_containers_do_not_reach_the_loopback_of_the_machine(lab: Lab) -> None:
    with web_server() as (port, seen):
        for network in ("bridge", "host"):
            box = lab.run("base", "sleep 600", name=network, network=network)
            got = box.exec(f"wget -T 3 -q -O - http://192.0.2.2:{port}/", timeout=30)
            assert got.exit_code != 0
    assert seen == []


def test_with_network_debians_mirror_answers_and_without_it_nothing_does(
    lab: Lab, vm: MicroVM, make_vm: Callable[[str], MicroVM]
) -> None:
    url = f"{debian.mirror()}/dists/{debian.SUITE}/Release"
    name = urlsplit(url).hostname
    assert name is not None
    spider = f"wget -q -T 20 --spider {url}"
    inside = lab.run("base", "sleep 600", name="inside")
    assert inside.exec(spider, timeout=60).exit_code == 0
    resolve = f"import socket; print(socket.gethostbyname({name!r}))"
    number = vm.runner.run(resolve).strip()

    alone = make_vm("alone")
    engine = VmEngine(alone, alone.start(network=False))
    try:
        with Lab(engine=engine) as shut:
            box = shut.run("base", "sleep 600", name="box")
            assert box.exec("echo works").stdout == "works\n"
            assert box.exec(spider, timeout=60).exit_code != 0
            assert box.exec(f"nslookup {name}", timeout=60).exit_code != 0
            assert (
                box.exec(["sh", "-c", f"nc -w 3 {number} 80 < /dev/null"], timeout=60).exit_code
                != 0
            )
            assert alone.runner.run(resolve, timeout=60) == ""
            # Between its own containers there is a network all the same.
            web = shut.run("base", "httpd -f -p 80", name="web", ports=[80])
            web.wait_port(80)
    finally:
        engine.close()
