"""A micro-VM with a real Docker Engine in it, for whoever has no privilege at all."""

from .base import KvmWarning, build_base
from .image import Image, build_image, find_image
from .machine import Machine, why_not_kvm
from .microvm import MicroVM, SnapshotWarning
from .qmp import Forward
from .snapshot import Preparation

__all__ = [
    "Forward",
    "Image",
    "KvmWarning",
    "Machine",
    "MicroVM",
    "Preparation",
    "SnapshotWarning",
    "build_base",
    "build_image",
    "find_image",
    "why_not_kvm",
]
