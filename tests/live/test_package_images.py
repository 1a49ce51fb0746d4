"""The lab images of packages with maintainer scripts: made on the engine, and of use."""

from __future__ import annotations

import pytest
from services import SERVICES

from labkit.engine import Engine
from labkit.images import build_images, lab_images
from labkit.lab import Lab

LEFT = (
    "find / -xdev -name '*.deb' -o -xdev -path '/var/lib/apt/lists/*' -type f; "
    "ls /usr/sbin/policy-rc.d /etc/dpkg/dpkg.cfg.d/labkit 2>/dev/null; "
    "dpkg-query --show --showformat='${Package} ${Status}\\n' | grep -v 'ok installed$'"
)
pytestmark = pytest.mark.timeout(600)  # where none is there all six are built, in two minutes


@pytest.fixture(scope="module", autouse=True)
def _built(engine: Engine) -> None:
    build_images(engine, on_message=print, names=set(SERVICES))


def test_every_image_that_waits_to_be_asked_for_is_proved() -> None:
    assert {image.name for image in lab_images() if not image.is_needed} == set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_it_does_what_it_is_for(lab: Lab, name: str) -> None:
    prove, answer = SERVICES[name]
    assert answer in prove(lab)
    # No package, list of packages or configuration of the building stays, and dpkg is content.
    assert lab.once(name, ["sh", "-c", LEFT], user="root").stdout == ""
    # Nothing of the packages is in a layer below either: its files are in one layer of their own.
    layers = len(lab.image(name).diff_ids) - len(lab.image("toolbox").diff_ids)
    assert 1 <= layers <= 4
