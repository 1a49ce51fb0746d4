"""Images from Dockerfiles: by BuildKit, and what the build told."""

from labkit.builder.build import build_image
from labkit.builder.record import Build, Step

__all__ = ["Build", "Step", "build_image"]
