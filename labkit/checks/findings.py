"""What several exercises ask for."""

from __future__ import annotations

from labkit.checks.evidence import Evidence
from labkit.checks.outcome import Finding


def made_from(see: Evidence, name: str, image: str) -> Finding:
    """A container that was made from one of the lab's images, by whatever name it was called."""
    container, wanted = see.container(name), see.lab_image(image)
    return Finding(
        passed=container.image_id == wanted.id,
        expected=f"the image {wanted.name}",
        observed=container.inspect()["Config"]["Image"],
        hint=f'the image is the first argument: `lab.run("{image}", ...)`',
    )
