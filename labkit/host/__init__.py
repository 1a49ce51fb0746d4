"""The machine on which an engine's processes live, and what can be read of it."""

from labkit.host.guest import GuestHost
from labkit.host.host import Host, LocalHost, Ran, host_error
from labkit.host.probe import ProbeHost

__all__ = ["GuestHost", "Host", "LocalHost", "ProbeHost", "Ran", "host_error"]
