"""What can be seen of an engine's objects: one noun a module; all of it reads and never changes.

    Container, Network, Volume, Image     what the engine says of one, and the kernel has of it
    Cgroup, Cgroups                       a control group, v1 or v2; those of many, read together
    read_...(host, pid)                   one thing of one process, or of all, as a frozen record

The records are those of `labkit.kernel`; they are here too, for whoever only looks.
"""

from labkit.inspect.capabilities import read_capabilities
from labkit.inspect.cgroup import Cgroup, CgroupFiles, Cgroups, Usage
from labkit.inspect.condition import Condition
from labkit.inspect.condition import Kind as ConditionKind
from labkit.inspect.container import Container, called, read_containers
from labkit.inspect.events import Events
from labkit.inspect.executable import Executable, read_executable
from labkit.inspect.hostname import read_hostname
from labkit.inspect.idmaps import read_id_maps
from labkit.inspect.image import HistoryStep, Image
from labkit.inspect.mounts import MountTable, read_mounts
from labkit.inspect.namespaces import (
    NamespaceTable,
    read_namespace_table,
    read_namespaces,
    read_namespaces_of,
)
from labkit.inspect.network import Network
from labkit.inspect.new_exec import NewExec
from labkit.inspect.overlay import Overlay, read_overlay
from labkit.inspect.processes import ProcessTable, read_process, read_processes
from labkit.inspect.signals import read_blocked, read_signals
from labkit.inspect.sockets import (
    read_interface_addresses,
    read_listening,
    read_local_addresses,
    read_served,
)
from labkit.inspect.source import Source
from labkit.inspect.stack import Stack, StackedFile
from labkit.inspect.time_offsets import read_time_offsets
from labkit.inspect.volume import Volume
from labkit.kernel import CapabilitySets, Change, IdMap, Mount, Namespaces, Process, SignalSets

__all__ = [
    "CapabilitySets",
    "Cgroup",
    "CgroupFiles",
    "Cgroups",
    "Change",
    "Condition",
    "ConditionKind",
    "Container",
    "Events",
    "Executable",
    "HistoryStep",
    "IdMap",
    "Image",
    "Mount",
    "MountTable",
    "NamespaceTable",
    "Namespaces",
    "Network",
    "NewExec",
    "Overlay",
    "Process",
    "ProcessTable",
    "SignalSets",
    "Source",
    "Stack",
    "StackedFile",
    "Usage",
    "Volume",
    "called",
    "read_blocked",
    "read_capabilities",
    "read_containers",
    "read_executable",
    "read_hostname",
    "read_id_maps",
    "read_interface_addresses",
    "read_listening",
    "read_local_addresses",
    "read_mounts",
    "read_namespace_table",
    "read_namespaces",
    "read_namespaces_of",
    "read_overlay",
    "read_process",
    "read_processes",
    "read_served",
    "read_signals",
    "read_time_offsets",
]
