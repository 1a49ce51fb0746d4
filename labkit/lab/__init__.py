"""What a notebook holds: containers, networks, volumes and images that go when it goes.

Imported when it is first used: the helper that serves a lab's socket runs from this folder too, and
needs none of it.
"""

from typing import TYPE_CHECKING

from labkit.lazily import lazily

if TYPE_CHECKING:
    from labkit.lab.compose import Compose
    from labkit.lab.container import Container
    from labkit.lab.execution import Output
    from labkit.lab.image import Image
    from labkit.lab.lab import Lab
    from labkit.lab.network import Network
    from labkit.lab.volume import Volume

__all__ = ["Compose", "Container", "Image", "Lab", "Network", "Output", "Volume"]

_HOMES = {name: f"labkit.lab.{name.lower()}" for name in __all__}
__getattr__ = lazily(__name__, _HOMES | {"Output": "labkit.lab.execution"})
