"""Who gets in, and what gets out: other users, and the network."""

from __future__ import annotations

import http.server
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from machines import followers

from labkit import Lab, debian
from labkit.engine import VmEngine
from labkit.engine.vm import MicroVM

USER = 4242  # a uid and gid that nobody has

# Whether another user can connect to a Unix socket.
CLIENT = """
import os, socket, sys
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[1])
    print(os.getuid(), "is in")
except OSError as err:
    print(os.getuid(), err.strerror)
"""


def as_user(*argv: object) -> subprocess.CompletedProcess[str]:
    """Run a program as that user."""
    become = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    return subprocess.run(
        [*become, *map(str, argv)], capture_output=True, text=True, check=False, cwd="/"
    )


# --- who gets in -------------------------------------------------------------------------------


@pytest.mark.root  # who alone can become another user
@pytest.mark.parametrize("name", ["docker.sock", "runner.sock", "wire.sock", "qmp.sock"])
def test_a_second_user_is_refused(vm: MicroVM, name: str) -> None:
    path = next(place / name for place in sockets_of(vm) if (place / name).exists())
    said = as_user("/usr/bin/python3", "-c", CLIENT, path)
    assert said.stdout == f"{USER} Permission denied\n", said.stderr


def sockets_of(vm: MicroVM) -> set[Path]:
    """Where a machine's sockets are: in its folder, or where a shorter path leads."""
    return {vm.folder, vm.runner.path.parent}


def test_what_is_not_published_listens_on_no_port(vm: MicroVM) -> None:
    ours = [psutil.Process(vm.pid()), *followers(vm)]
    assert len(ours) == 2
    assert [one for process in ours for one in process.net_connections(kind="inet")] == []


@pytest.mark.root  # who alone can become another user
def test_a_second_user_reads_neither_monitor_nor_memory(vm: MicroVM) -> None:
    snapshots = vm.cache / "snapshots"
    secrets = {vm.folder: vm.folder / "qmp.sock", snapshots: next(snapshots.glob("*/memory"))}
    for folder, path in secrets.items():
        assert path.exists()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
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
