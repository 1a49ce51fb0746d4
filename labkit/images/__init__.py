"""The lab images, and the roots that they are made from."""

from labkit.images.lab_images import (
    LabImage,
    build_images,
    is_built,
    lab_images,
    needed_images,
    packages_on,
    recipe_of_all,
)
from labkit.images.roots import ensure_root

__all__ = [
    "LabImage",
    "build_images",
    "ensure_root",
    "is_built",
    "lab_images",
    "needed_images",
    "packages_on",
    "recipe_of_all",
]
