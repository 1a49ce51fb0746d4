"""Find a Docker-compatible engine on this machine, or start one."""

from labkit.engine.connecting import connect
from labkit.engine.discovery import Attempt
from labkit.engine.endpoint import Endpoint
from labkit.engine.engine import Engine
from labkit.engine.facts import EngineFacts
from labkit.engine.private import PrivateEngine
from labkit.engine.virtual import VmEngine, start_vm, the_vm

__all__ = [
    "Attempt",
    "Endpoint",
    "Engine",
    "EngineFacts",
    "PrivateEngine",
    "VmEngine",
    "connect",
    "start_vm",
    "the_vm",
]
