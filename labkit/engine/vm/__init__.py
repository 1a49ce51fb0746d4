"""A micro-VM with a real Docker Engine in it, for whoever has no privilege at all."""

from .base import KvmWarning, build_base, choose_machine
from .image import Image, build_image, find_image
from .integrity import Change, Changes
from .machine import MEMORY, Machine, find_qemu, why_not_kvm
from .microvm import MicroVM, SnapshotWarning
from .snapshot import Preparation, Snapshot, find_snapshot

__all__ = [
    "MEMORY",
    "Change",
    "Changes",
    "Image",
    "KvmWarning",
    "Machine",
    "MicroVM",
    "Preparation",
    "Snapshot",
    "SnapshotWarning",
    "build_base",
    "build_image",
    "choose_machine",
    "find_image",
    "find_qemu",
    "find_snapshot",
    "why_not_kvm",
]
