"""What a plain user needs to run labkit: an interpreter and packages that everybody may read."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

USER = 4242  # a uid and gid that nobody has
# The interpreter of these tests, and the checkout, may be in a folder that only root may enter.
PYTHON = "/usr/bin/python3"
NEEDED = ["labkit", "docker", "requests", "urllib3", "idna", "certifi", "charset_normalizer",
          "psutil"]  # fmt: skip


def copy_packages(place: Path) -> Path:
    """Copy what labkit needs into a folder that is there; return it."""
    for name in NEEDED:
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.origin is not None
        shutil.copytree(Path(spec.origin).parent, place / name)
    subprocess.run(["chmod", "-R", "a+rX", place], check=True)
    return place
