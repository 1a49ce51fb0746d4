"""Find a Docker-compatible engine on this machine, or start one."""

from labkit.engine.discovery import Attempt
from labkit.engine.endpoint import Endpoint
from labkit.engine.engine import Engine, connect
from labkit.engine.facts import EngineFacts
from labkit.engine.private import PrivateEngine

__all__ = ["Attempt", "Endpoint", "Engine", "EngineFacts", "PrivateEngine", "connect"]
