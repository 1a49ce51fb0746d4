"""Where ports are published, and for whom: on loopback, or where a distant engine is reached."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from other import OtherEngine, shell

from labkit.engine import Endpoint, Engine
from labkit.engine.publishing import PublishWarning
from labkit.lab import Lab
from labkit.waiting import wait_until

# RFC 2544: nobody's. Another worker may run a test of these at the same time: it draws its own.
CABLE = f"198.18.{128 + secrets.randbelow(128)}.{{}}"
FIRST = 4 * secrets.randbelow(64)
OURS, THEIRS = CABLE.format(FIRST + 1), CABLE.format(FIRST + 2)
RELAY = """
import select, socket, socketserver, sys
where, port, target = sys.argv[1], int(sys.argv[2]), sys.argv[3]

class Relay(socketserver.BaseRequestHandler):
    def handle(self):
        if target.startswith("/"):
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(target)
        else:
            engine = socket.create_connection((target, 2375))
        other = {engine: self.request, self.request: engine}
        while True:
            for ready in select.select(list(other), [], [])[0]:
                if not (data := ready.recv(1 << 16)):
                    return
                other[ready].sendall(data)

socketserver.ThreadingTCPServer.daemon_threads = True
socketserver.ThreadingTCPServer.allow_reuse_address = True
with socketserver.ThreadingTCPServer((where, port), Relay) as server:
    print("listening", server.server_address[1], flush=True)
    server.serve_forever()
"""


@contextmanager
def relay(where: str, port: int, target: str, *within: str) -> Iterator[int]:
    """Another address of an engine's; its port."""
    words = [*within, sys.executable, "-c", RELAY, where, str(port), target]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline().split()[1])
        finally:
            process.kill()


@pytest.fixture
def distant(other_engine: OtherEngine) -> Iterator[OtherEngine]:
    """An engine in a network of its own, with a cable to it: it listens at THEIRS:2375."""
    ours, theirs = f"lk{secrets.token_hex(3)}", f"lk{secrets.token_hex(3)}"
    shell("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs,
          "netns", other_engine.name)  # fmt: skip
    shell("ip", "address", "add", f"{OURS}/30", "dev", ours)
    shell("ip", "link", "set", ours, "up")
    shell("ip", "-n", other_engine.name, "address", "add", f"{THEIRS}/30", "dev", theirs)
    shell("ip", "-n", other_engine.name, "link", "set", theirs, "up")
    socket, inside = str(other_engine.private.socket), ("nsenter", netns(other_engine))
    with relay(THEIRS, 2375, socket, *inside), relay("127.0.0.1", 2375, socket, *inside):
        yield other_engine
    shell("ip", "link", "delete", ours)


def netns(engine: OtherEngine) -> str:
    return f"--net=/run/netns/{engine.name}"


def listening(engine: OtherEngine, port: int) -> list[str]:
    """The addresses at which something there listens on a port, by `ss`."""
    told = shell("nsenter", netns(engine), "ss", "-Htln", f"sport = :{port}")
    return [line.split()[3].rpartition(":")[0] for line in told.splitlines()]


def fetched(url: str) -> str:
    """What is there, once the server in the container listens."""

    def text() -> str:
        with suppress(OSError), urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())
        return ""

    return wait_until(text, timeout=10, what=url)


SERVE = "sh -c 'echo hello > /index.html; exec httpd -f -p 80 -h /'"


def test_a_distant_engine_publishes_at_the_address_where_we_reach_it(distant: OtherEngine) -> None:
    engine = Engine("docker", Endpoint(f"tcp://{THEIRS}:2375"))
    with Lab(engine=engine) as lab:
        web = lab.run("base", SERVE, name="web", ports=[80])
        host, port = web.published(80)
        assert host == THEIRS
        assert listening(distant, port) == [THEIRS]
        assert fetched(web.url(80)) == "hello\n"
        refused = subprocess.run(
            ["nsenter", netns(distant), "curl", "-s", f"http://127.0.0.1:{port}"], check=False
        )
        assert refused.returncode == 7
    engine.close()


AT_LOOPBACK = f"""
import json, sys
sys.path.append({str(Path(__file__).parent)!r})
from test_publishing import fetched
from labkit import Lab
with Lab() as lab:
    web = lab.run("base", {SERVE!r}, name="web", ports=[80])
    bound = web.inspect()["NetworkSettings"]["Ports"]["80/tcp"]
    text = fetched(web.url(80))
print(json.dumps([lab.engine.endpoint.url, [one["HostIp"] for one in bound], text]))
"""


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_an_engine_on_loopback_publishes_on_loopback(distant: OtherEngine, name: str) -> None:
    url = f"tcp://{name}:2375"
    seen = distant.call(AT_LOOPBACK, DOCKER_HOST=url, LABKIT_ENGINE="docker")
    assert seen == [url, ["127.0.0.1"], "hello\n"]


def test_an_engine_behind_anothers_address_says_who_can_reach_its_ports(
    distant: OtherEngine,
) -> None:
    """The relay is at an address of ours, which the engine cannot bind."""
    with relay(OURS, 0, THEIRS) as port:
        engine = Engine("docker", Endpoint(f"tcp://{OURS}:{port}"))
        with Lab(engine=engine) as lab:
            with pytest.warns(PublishWarning, match=f"{OURS} and publishes ports on all"):
                web = lab.run("base", SERVE, name="web", ports=[80])
            _, number = web.published(80)
            assert "0.0.0.0" in listening(distant, number)
            assert fetched(f"http://{THEIRS}:{number}") == "hello\n"
            with warnings.catch_warnings():  # it is said once
                warnings.simplefilter("error")
                lab.run("base", SERVE, name="more", ports=[80])
            assert [one.name for one in lab.containers()] == ["more", "web"]
            # An address that was asked for is not replaced.
            with pytest.raises(Exception, match="cannot assign requested address"):
                lab.run("base", SERVE, name="asked", ports={"80/tcp": (OURS, None)})
        engine.close()


@pytest.mark.root  # on this kernel: the guest's loopback is reached at 127.0.0.1 alone
def test_a_port_at_an_address_of_its_own_is_reached_there(engine: Engine, lab: Lab) -> None:
    web = lab.run("base", SERVE, name="web", ports={"80/tcp": ("127.0.0.7", None)})
    assert fetched(web.url(80)) == "hello\n"
    found = json.dumps(web.inspect()["NetworkSettings"]["Ports"])
    assert "127.0.0.7" in found
