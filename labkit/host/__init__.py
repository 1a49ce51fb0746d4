"""The machine on which an engine's processes live, and what can be read of it."""

from labkit.host.answers import Entry, Ran, Sample, host_error
from labkit.host.conversation import HostRestartedWarning
from labkit.host.guest import GuestHost
from labkit.host.host import Host
from labkit.host.local import LocalHost
from labkit.host.probe import ProbeHost
from labkit.host.remembered import RememberedHost
from labkit.host.stream import Stream

__all__ = [
    "Entry",
    "GuestHost",
    "Host",
    "HostRestartedWarning",
    "LocalHost",
    "ProbeHost",
    "Ran",
    "RememberedHost",
    "Sample",
    "Stream",
    "host_error",
]
