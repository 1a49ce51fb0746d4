"""A swarm of one: overlay networks, and services with ports that this machine reaches."""

from __future__ import annotations

import ipaddress
import socket
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from docker.types import EndpointSpec, ServiceMode

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


def test_a_port_of_a_service_that_is_taken_here_is_served_when_it_is_free(swarm: Any) -> None:
    with socket.create_server(("127.0.0.1", PORT)):
        service = swarm.services.create(
            "labkit/base",
            command=PAGES,
            name="late",
            stop_grace_period=0,
            endpoint_spec=published(PORT),
        )
        wait_until(lambda: _tasks_run(service), timeout=60, what="the service's task")
    wait_until(lambda: page(PORT), timeout=60, what="the service's page")
    service.remove()


def _listens(port: int) -> bool:
    with socket.socket() as end:
        return end.connect_ex(("127.0.0.1", port)) == 0


def _tasks_run(service: Any) -> bool:
    return any(task["Status"]["State"] == "running" for task in service.tasks())
