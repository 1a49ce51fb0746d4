"""What a notebook holds: containers, networks, volumes and images that go when it goes."""

from labkit.lab.compose import Compose
from labkit.lab.container import Container
from labkit.lab.execution import Output
from labkit.lab.image import Image
from labkit.lab.lab import Lab
from labkit.lab.network import Network
from labkit.lab.volume import Volume

__all__ = ["Compose", "Container", "Image", "Lab", "Network", "Output", "Volume"]
