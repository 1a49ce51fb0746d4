"""Find a Docker-compatible engine on this machine, or start one.

Imported when it is first used: the helper that serves a lab's socket needs only an address.
"""

from typing import TYPE_CHECKING

from labkit.lazily import lazily

if TYPE_CHECKING:
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

__getattr__ = lazily(
    __name__,
    {
        "Attempt": "labkit.engine.discovery",
        "Endpoint": "labkit.engine.endpoint",
        "Engine": "labkit.engine.engine",
        "EngineFacts": "labkit.engine.facts",
        "PrivateEngine": "labkit.engine.private",
        "VmEngine": "labkit.engine.virtual",
        "connect": "labkit.engine.connecting",
        "start_vm": "labkit.engine.virtual",
        "the_vm": "labkit.engine.virtual",
    },
)
