"""A swarm of one: overlay networks, and services with ports that this machine reaches."""

from __future__ import annotations

import ipaddress
import json
import socket
import urllib.request
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from docker.errors import APIError
from docker.types import EndpointSpec, RestartPolicy, ServiceMode

from labkit.engine import VmEngine
from labkit.engine.vm import MicroVM
from labkit.labels import OWNER
from labkit.owner import this_process
from labkit.sdk import translated
from labkit.waiting import wait_until

PORT, OTHER_PORT = 28090, 28091
PAGES = ["httpd", "-f", "-p", "80", "-h", "/etc"]
# Answers each datagram in capitals.
SHOUT = """
import socket
port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
port.bind(("", 80))
while True:
    data, client = port.recvfrom(100)
    port.sendto(data.upper(), client)
"""


@pytest.fixture(scope="module")
def swarm(engine: VmEngine) -> Iterator[Any]:
    """The client of an engine that is a swarm's manager."""
    client: Any = engine.client
    client.swarm.init()
    yield client
    for service in client.services.list():
        service.remove()
    with translated("leave the swarm"):
        client.swarm.leave(force=True)


def published(port: int, protocol: str = "tcp") -> Any:
    """A service's port 80, by this number."""
    spec: Any = EndpointSpec  # its stubs know no numbers
    return spec(ports={port: (80, protocol)})


def page(port: int) -> bytes:
    """What a service's server answers on this machine, or nothing."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/hostname", timeout=5) as answer:
            return bytes(answer.read())
    except OSError:
        return b""


def shouted(port: int) -> bytes:
    """What the other server makes of a word, or nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.settimeout(2)
        end.connect(("127.0.0.1", port))
        try:
            end.send(b"hello")
            return end.recv(100)
        except OSError:
            return b""


@pytest.mark.parametrize("options", [{}, {"encrypted": ""}], ids=["plain", "encrypted"])
def test_containers_on_an_overlay_network_know_each_other(
    swarm: Any, options: dict[str, str]
) -> None:
    labels = {OWNER: this_process()}
    # Each has its name: a swarm removes networks at its leisure.
    name = "-".join(("overlay", *options))
    network = swarm.networks.create(name, "overlay", attachable=True, options=options)
    try:
        web = swarm.containers.run(
            "labkit/base", PAGES, detach=True, network=name, name="web", labels=labels
        )
        try:
            said = swarm.containers.run(
                "labkit/base", "wget -T 20 -qO- http://web/hostname",
                network=name, remove=True, labels=labels,
            )  # fmt: skip
            assert said.decode().strip() == web.short_id
        finally:
            web.remove(force=True)
    finally:
        network.remove()


def test_no_overlay_network_hides_the_guests_name_server(swarm: Any, vm: MicroVM) -> None:
    server = vm.runner.run("print(open('/etc/resolv.conf').read().split()[1])").strip()
    pools = swarm.swarm.attrs["DefaultAddrPool"]
    assert pools
    assert not any(ipaddress.ip_address(server) in ipaddress.ip_network(pool) for pool in pools)


def test_a_services_ports_are_reached_from_this_machine_while_it_has_them(swarm: Any) -> None:
    web = swarm.services.create(
        "labkit/base",
        command=PAGES,
        name="web",
        stop_grace_period=0,
        endpoint_spec=published(PORT),
        mode=ServiceMode("replicated", 1),
    )
    answer = wait_until(lambda: page(PORT), timeout=60, what="the service's page")
    (task,) = web.tasks({"desired-state": "running"})
    assert task["Status"]["ContainerStatus"]["ContainerID"].startswith(answer.decode().strip())
    web.update(endpoint_spec=published(OTHER_PORT))
    wait_until(lambda: page(OTHER_PORT), timeout=60, what="the page at its other port")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", PORT), timeout=5)
    web.remove()
    wait_until(lambda: not _listens(OTHER_PORT), timeout=20, what="the end of the port")


def test_datagrams_reach_a_service(swarm: Any) -> None:
    service = swarm.services.create(
        "labkit/toolbox",
        command=["python3", "-c", SHOUT],
        name="shout",
        stop_grace_period=0,
        endpoint_spec=published(PORT, "udp"),
    )
    answer = wait_until(lambda: shouted(PORT), timeout=60, what="the service's answer")
    assert answer == b"HELLO"
    service.remove()


# --- a port that something on this machine has ---------------------------------------------------


def test_a_services_port_that_is_taken_here_is_refused_until_it_is_free(swarm: Any) -> None:
    make = partial(
        swarm.services.create,
        "labkit/base",
        command=PAGES,
        name="refused",
        stop_grace_period=0,
        endpoint_spec=published(PORT),
    )
    with socket.create_server(("127.0.0.1", PORT)):
        with pytest.raises(APIError, match=f"127.0.0.1:{PORT}: address already in use") as raised:
            make()
        assert "on the machine outside the micro-VM" in str(raised.value)
        other = make(endpoint_spec=published(OTHER_PORT))
        with pytest.raises(APIError, match=f"127.0.0.1:{PORT}"):
            other.update(endpoint_spec=published(PORT))
        other.remove()
    service = make()
    wait_until(lambda: page(PORT), timeout=60, what="the service's page")
    service.update(labels={"its own port": "is not taken"})
    service.remove()
    wait_until(lambda: not _listens(PORT), timeout=20, what="the end of the port")


# As one who is in the guest would: past this machine's end of the wire.
INSIDE = """
import socket
body = {body!r}
end = socket.socket(socket.AF_UNIX)
end.connect("/run/docker.sock")
head = "POST /services/create HTTP/1.0\\r\\nContent-Type: application/json\\r\\n"
end.sendall(f"{{head}}Content-Length: {{len(body)}}\\r\\n\\r\\n{{body}}".encode())
print(end.recv(20))
"""


def test_one_that_could_not_be_refused_is_told_and_served_when_it_is_free(
    swarm: Any, vm: MicroVM
) -> None:
    spec = {
        "Name": "inside",
        "EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": PORT}]},
        "TaskTemplate": {"ContainerSpec": {"Image": "labkit/base", "Command": PAGES}},
    }
    with socket.create_server(("127.0.0.1", PORT)):
        assert "201" in vm.runner.run(INSIDE.format(body=json.dumps(spec)))
        wait_until(vm.awaited_ports, timeout=20, what="to be told of the port")
        assert vm.awaited_ports() == [f"{PORT}/tcp"]
    wait_until(lambda: page(PORT), timeout=60, what="the service's page")
    assert vm.awaited_ports() == []
    swarm.services.get("inside").remove()
    wait_until(lambda: not _listens(PORT), timeout=20, what="the end of the port")


def test_a_port_of_a_task_that_is_taken_here_is_its_error_until_it_is_free(swarm: Any) -> None:
    spec: Any = EndpointSpec()
    spec["Ports"] = [{"TargetPort": 80, "PublishedPort": OTHER_PORT, "PublishMode": "host"}]
    with socket.create_server(("127.0.0.1", OTHER_PORT)):
        service = swarm.services.create(
            "labkit/base",
            command=PAGES,
            name="host-mode",
            stop_grace_period=0,
            endpoint_spec=spec,
            restart_policy=RestartPolicy("any", delay=10**9),
        )
        told = wait_until(lambda: _errors(service), timeout=60, what="the task's error")
        assert f"127.0.0.1:{OTHER_PORT}: address already in use, on the machine outside" in told[0]
    wait_until(lambda: page(OTHER_PORT), timeout=60, what="the task's page")
    service.remove()


def _errors(service: Any) -> list[str]:
    return [error for task in service.tasks() if (error := task["Status"].get("Err"))]


def _listens(port: int) -> bool:
    with socket.socket() as end:
        return end.connect_ex(("127.0.0.1", port)) == 0
