"""Requests on their way to an engine: what is refused in its place, and that all else passes."""

from __future__ import annotations

import json

import pytest

from labkit.engine.vm.gate import Gate, Port

TAKEN = {("tcp", 8080)}


def why_not(ports: set[Port]) -> str | None:
    return "taken" if ports & TAKEN else None


def create(*ports: dict[str, object], path: str = "/v1.45/services/create") -> bytes:
    """A request that makes a service."""
    body = json.dumps({"Name": "web", "EndpointSpec": {"Ports": list(ports)}}).encode()
    return f"POST {path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


WEB: dict[str, object] = {"PublishedPort": 8080, "TargetPort": 80}
PING = b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n"
# What this body says is no request.
LOAD = b"POST /images/load HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(create(WEB)) + create(WEB)


@pytest.mark.parametrize("size", [1, 7, 1 << 16], ids=["by byte", "by seven", "whole"])
@pytest.mark.parametrize(
    "request_",
    [create(WEB), create({**WEB, "Protocol": "tcp", "PublishMode": "ingress"}),
     create(WEB, path="/services/create"), create(WEB, path="/v1.41/services/x/update?version=7")],
    ids=["create", "said in full", "without a version", "update"],
)  # fmt: skip
def test_a_service_is_refused_and_nothing_of_it_passes(request_: bytes, size: int) -> None:
    gate = Gate(why_not)
    head, _, body = request_.partition(b"\r\n\r\n")
    assert gate.hear(PING) == (PING, b"")
    assert gate.hear(LOAD) == (LOAD, b"")
    pieces = [head + b"\r\n\r\n", *(body[at : at + size] for at in range(0, len(body), size))]
    *first, last = [gate.hear(piece) for piece in pieces]
    assert set(first) <= {(b"", b"")}
    passed, answer = last
    assert passed == b""
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"message": "taken"}


@pytest.mark.parametrize(
    "told",
    [
        create({**WEB, "PublishedPort": 8081}) + PING,
        create({**WEB, "Protocol": "udp"}) + PING,
        create({**WEB, "PublishMode": "host"}) + PING,  # its container asks
        create({"TargetPort": 80}) + PING,  # any port
        create(path="/services/x/update?version=7") + PING,
        create(WEB, path="/services/x/logs") + PING,
        b"POST /services/create HTTP/1.1\r\nContent-Length: 2\r\n\r\n[]" + PING,
        b"POST /services/create HTTP/1.1\r\n\r\n" + PING,
        b"POST /exec/x/start HTTP/1.1\r\nUpgrade: tcp\r\n\r\n" + create(WEB),
        b"POST /build HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n" + create(WEB),
        b"ls -l\n" + create(WEB),
        LOAD + PING,
    ],
)
def test_all_else_passes_as_it_came(told: bytes) -> None:
    assert Gate(why_not).hear(told) == (told, b"")
    gate = Gate(why_not)
    assert gate.hear(told[:5])[0] + gate.hear(told[5:])[0] == told
