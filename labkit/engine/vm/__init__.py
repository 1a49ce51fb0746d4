"""A micro-VM with a real Docker Engine in it, for whoever has no privilege at all."""

from .base import Base, KvmWarning, choose_machine, hold_base
from .cache import cache_contents, machine_disks
from .image import Image, build_image, find_image
from .integrity import Change, Changes
from .machine import Machine, find_qemu, usual_memory, why_not_kvm
from .microvm import KEPT, MicroVM, SnapshotWarning
from .prepared import Preparation, find_disk
from .snapshot import Snapshot, find_snapshot

__all__ = [
    "KEPT",
    "Base",
    "Change",
    "Changes",
    "Image",
    "KvmWarning",
    "Machine",
    "MicroVM",
    "Preparation",
    "Snapshot",
    "SnapshotWarning",
    "build_image",
    "cache_contents",
    "choose_machine",
    "find_disk",
    "find_image",
    "find_qemu",
    "find_snapshot",
    "hold_base",
    "machine_disks",
    "usual_memory",
    "why_not_kvm",
]
