"""Where ports are published and reached, of an engine that is spoken to by ssh."""

from __future__ import annotations

import socket

import pytest

from labkit.engine.endpoint import Endpoint
from labkit.engine.publishing import address_for, reached_at

NAMES = {
    "lab.example": ["2001:db8::7", "192.0.2.7"],
    "six.example": ["2001:db8::7"],
    "localhost": ["::1", "127.0.0.1"],
}


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """What names mean here; all others are known to ssh alone. No name server is asked."""
    resolve = socket.getaddrinfo

    def known(host: str, port: None, *, type: int) -> list[object]:
        if host not in NAMES and not host[0].isdigit():
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        numbers = NAMES.get(host, [host])
        return [
            one
            for number in numbers
            for one in resolve(number, port, type=type, flags=socket.AI_NUMERICHOST)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", known)


@pytest.mark.parametrize(
    ("url", "bound_to", "reached"),
    [
        ("ssh://me@lab.example:2222", "192.0.2.7", "192.0.2.7"),  # IPv4 where there are both
        ("ssh://six.example", "2001:db8::7", "2001:db8::7"),
        ("ssh://192.0.2.9", "192.0.2.9", "192.0.2.9"),
        # Of a name that only ssh knows nothing is opened; a tunnel may have it.
        ("ssh://me@only-ssh", "127.0.0.1", "only-ssh"),
        ("ssh://me@localhost:2222", "127.0.0.1", "localhost"),
        ("ssh://127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("unix:///run/docker.sock", "127.0.0.1", "127.0.0.1"),
    ],
)
def test_no_more_can_reach_a_port_than_should(url: str, bound_to: str, reached: str) -> None:
    assert address_for(Endpoint(url)) == bound_to
    assert reached_at(Endpoint(url), bound_to) == reached


@pytest.mark.parametrize("bound_to", ["0.0.0.0", "::", ""])
def test_a_port_on_all_addresses_is_reached_by_the_engines_name(bound_to: str) -> None:
    for name in ("lab.example", "only-ssh", "localhost"):
        assert reached_at(Endpoint(f"ssh://me@{name}"), bound_to) == name


def test_a_port_at_another_address_of_the_engines_is_reached_there() -> None:
    assert reached_at(Endpoint("ssh://lab.example"), "192.0.2.8") == "192.0.2.8"
    assert reached_at(Endpoint("ssh://lab.example"), "127.0.0.7") == "lab.example"
