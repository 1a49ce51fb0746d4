"""The kernel's text files as records: text in, frozen records out, no input or output.

    namespaces     /proc/PID/ns/*                     capabilities   CapEff and the like
    processes      /proc/PID/stat, status, cmdline    mounts         /proc/PID/mountinfo
    idmaps         /proc/PID/uid_map, gid_map         cgroups        /proc/PID/cgroup, mounts
    signals        SigCgt and the like                sockets        /proc/PID/net/tcp, fib_trie
    time_offsets   /proc/PID/timens_offsets
    memory, cpu, cpuset, pids, freezer, io, pressure  the files of a cgroup, v1 or v2
    cgroup_files   the names of these files in v1 and in v2
    overlay        what the files in an overlay's layers mean

A text that is not what the kernel writes raises `BadValueError`, and a text may be read from
anywhere: this machine, an agent's answer, a recorded tree.
"""

from labkit.kernel.capabilities import (
    CAPABILITIES,
    CapabilitySets,
    parse_capability_sets,
    parse_mask,
    to_mask,
)
from labkit.kernel.cgroup_files import CGROUP_FILES, CgroupFile, to_write
from labkit.kernel.cgroups import (
    CgroupEntry,
    CgroupMounts,
    cgroup_dirs,
    cgroup_mounts,
    parse_proc_cgroup,
)
from labkit.kernel.cpu import CPU_FILES_V1, CPU_FILES_V2, CpuState, cpu_state
from labkit.kernel.cpuset import CPUSET_FILES_V1, CPUSET_FILES_V2, CpusetState, cpuset_state
from labkit.kernel.freezer import FREEZER_FILES_V1, FREEZER_FILES_V2, FreezerState, freezer_state
from labkit.kernel.idmaps import IdMap, IdRange, parse_id_map
from labkit.kernel.io import IO_FILES_V1, IO_FILES_V2, IoLimit, IoState, io_state
from labkit.kernel.memory import (
    MEMORY_FILES_V1,
    MEMORY_FILES_V2,
    MemoryState,
    lowest_limit,
    memory_stat,
    memory_state,
    program_memory,
)
from labkit.kernel.mounts import Mount, OverlayDirs, overlay_dirs, parse_mountinfo
from labkit.kernel.namespaces import KINDS, Namespace, Namespaces
from labkit.kernel.oom import Victim, parse_victims
from labkit.kernel.overlay import Change, Marks, differs, is_whiteout, overlay_marks
from labkit.kernel.pids import PIDS_FILES_V1, PIDS_FILES_V2, PidsState, pids_state
from labkit.kernel.pressure import PRESSURE_FILES, Pressure, Stall, pressures
from labkit.kernel.processes import Process, parse_process
from labkit.kernel.signals import SignalSets, parse_signal_sets
from labkit.kernel.sockets import (
    parse_interface_addresses,
    parse_listening,
    parse_listening_sockets,
    parse_local_addresses,
)
from labkit.kernel.time_offsets import TimeOffsets, parse_time_offsets

__all__ = [
    "CAPABILITIES",
    "CGROUP_FILES",
    "CPUSET_FILES_V1",
    "CPUSET_FILES_V2",
    "CPU_FILES_V1",
    "CPU_FILES_V2",
    "FREEZER_FILES_V1",
    "FREEZER_FILES_V2",
    "IO_FILES_V1",
    "IO_FILES_V2",
    "KINDS",
    "MEMORY_FILES_V1",
    "MEMORY_FILES_V2",
    "PIDS_FILES_V1",
    "PIDS_FILES_V2",
    "PRESSURE_FILES",
    "CapabilitySets",
    "CgroupEntry",
    "CgroupFile",
    "CgroupMounts",
    "Change",
    "CpuState",
    "CpusetState",
    "FreezerState",
    "IdMap",
    "IdRange",
    "IoLimit",
    "IoState",
    "Marks",
    "MemoryState",
    "Mount",
    "Namespace",
    "Namespaces",
    "OverlayDirs",
    "PidsState",
    "Pressure",
    "Process",
    "SignalSets",
    "Stall",
    "TimeOffsets",
    "Victim",
    "cgroup_dirs",
    "cgroup_mounts",
    "cpu_state",
    "cpuset_state",
    "differs",
    "freezer_state",
    "io_state",
    "is_whiteout",
    "lowest_limit",
    "memory_stat",
    "memory_state",
    "overlay_dirs",
    "overlay_marks",
    "parse_capability_sets",
    "parse_id_map",
    "parse_interface_addresses",
    "parse_listening",
    "parse_listening_sockets",
    "parse_local_addresses",
    "parse_mask",
    "parse_mountinfo",
    "parse_proc_cgroup",
    "parse_process",
    "parse_signal_sets",
    "parse_time_offsets",
    "parse_victims",
    "pids_state",
    "pressures",
    "program_memory",
    "to_mask",
    "to_write",
]
