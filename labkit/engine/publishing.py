"""At which address an engine publishes a container's ports, and where we reach them."""

from __future__ import annotations

import ipaddress
import socket
import warnings
from urllib.parse import urlsplit

from labkit.engine.endpoint import Endpoint

LOOPBACK, EVERYWHERE = "127.0.0.1", "0.0.0.0"
DISTANT = ("tcp", "ssh", "http", "https")
CANNOT_BIND = "cannot assign requested address"  # bind(2), EADDRNOTAVAIL


class PublishWarning(UserWarning):
    """Ports are published where more can reach them than should."""


def address_for(endpoint: Endpoint) -> str:
    """Loopback, or the address at which we reach a distant engine, so that no more can."""
    host = _host(endpoint)
    if host is None:
        return LOOPBACK
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:  # a name that only ssh knows: a tunnel to the engine's loopback is left
        return LOOPBACK
    addresses = sorted((one[0] == socket.AF_INET6, str(one[4][0])) for one in found)
    address = addresses[0][1]
    return address if is_distant(address) else LOOPBACK


def is_distant(address: str) -> bool:
    """Whether it is neither loopback nor "all addresses"."""
    known = ipaddress.ip_address(address.partition("%")[0])
    return not known.is_loopback and not known.is_unspecified


def warn(endpoint: Endpoint, address: str) -> None:
    """Say who can reach the ports now."""
    warnings.warn(
        f"The engine at {endpoint.url} has not the address {address} and publishes ports on all "
        "of its addresses: whoever reaches that machine, from any network, reaches them. "
        "A firewall there can keep others out.",
        PublishWarning,
        stacklevel=4,
    )


def reached_at(endpoint: Endpoint, bound_to: str) -> str:
    """The address at which we reach a port that the engine has bound to an address of its own."""
    host = _host(endpoint)
    # A distant engine's own loopback is not ours; a tunnel may lead there by the engine's name.
    if bound_to and (is_distant(bound_to) or (host is None and _is_one(bound_to))):
        return bound_to
    return LOOPBACK if host is None else host


def _is_one(address: str) -> bool:
    return not ipaddress.ip_address(address).is_unspecified


def _host(endpoint: Endpoint) -> str | None:
    address = urlsplit(endpoint.url)
    return address.hostname if address.scheme in DISTANT else None
