"""The machine on which an engine's processes live, and what can be read of it."""

from labkit.host.cgroup import Cgroup
from labkit.host.guest import GuestHost
from labkit.host.host import Host, LocalHost, Ran
from labkit.host.probe import ProbeHost
from labkit.host.readers import (
    read_capabilities,
    read_id_maps,
    read_mounts,
    read_namespace_table,
    read_namespaces,
    read_namespaces_of,
    read_process,
    read_processes,
)

__all__ = [
    "Cgroup",
    "GuestHost",
    "Host",
    "LocalHost",
    "ProbeHost",
    "Ran",
    "read_capabilities",
    "read_id_maps",
    "read_mounts",
    "read_namespace_table",
    "read_namespaces",
    "read_namespaces_of",
    "read_process",
    "read_processes",
]
