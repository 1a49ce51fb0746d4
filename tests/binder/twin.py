"""The Binder twin: an image of Debian and a container, as Binder would make and run them.

What repo2docker takes from conda's channels comes from PyPI here, under the same names and bounds:
the tests need no other mirrors than Debian's and PyPI.
"""

from __future__ import annotations

import io
import ssl
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import yaml

from labkit.engine import Engine
from labkit.images import ensure_root, packages_on

ROOT = Path(__file__).parents[2]
HOME = "/home/jovyan"
IMAGE = "labkit-twin"
PYPI_NAMES = {"docker-py": "docker"}
GIB = 1 << 30
# What a Binder pod may do, and a pod of docs/jupyterhub: a test compares the two.
SANDBOX: dict[str, Any] = {
    "user": "1000:1000",
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "nano_cpus": 1_000_000_000,
    "mem_limit": 2 * GIB,
}
# In repo2docker's order: packages, environment, checkout, postBuild as the user, start.
DOCKERFILE = f"""
FROM labkit/root-debian
COPY authorities.pem /etc/labkit-twin/authorities.pem
ARG PIP_CERT=/etc/labkit-twin/authorities.pem
ARG PIP_DISABLE_PIP_VERSION_CHECK=1
ARG DEBIAN_FRONTEND=noninteractive
COPY src/binder/apt.txt /etc/labkit-twin/apt.txt
RUN apt-get -qq update \\
 && apt-get -qq install --yes --no-install-recommends \\
      python3-venv $(cat /etc/labkit-twin/apt.txt) \\
 && rm -rf /var/lib/apt/lists/*
RUN echo 'jovyan:x:1000:1000::{HOME}:/bin/bash' >>/etc/passwd \\
 && echo 'jovyan:x:1000:' >>/etc/group \\
 && install -d -o 1000 -g 1000 {HOME} /srv/venv
ENV HOME={HOME} USER=jovyan REPO_DIR={HOME} PATH=/srv/venv/bin:$PATH LC_ALL=C.UTF-8
USER 1000:1000
COPY requirements.txt /etc/labkit-twin/requirements.txt
RUN python3 -m venv /srv/venv \\
 && pip install --quiet --no-cache-dir --requirement /etc/labkit-twin/requirements.txt
WORKDIR {HOME}
COPY --chown=1000:1000 src/ {HOME}/
RUN pip install --quiet --no-cache-dir --no-deps --editable .
RUN ./binder/postBuild
ENTRYPOINT ["{HOME}/binder/start"]
"""


def build(engine: Engine) -> list[str]:
    """Make the image of the twin; return what the build said."""
    ensure_root(engine, "root-debian", packages=packages_on("root-debian"), on_message=print)
    for left in engine.client.containers.list(all=True, filters={"ancestor": IMAGE}):
        left.remove(force=True, v=True)  # of tests that were killed
    said: list[str] = []
    before = {one.id for one in engine.client.images.list(IMAGE)}
    client = engine.endpoint.client(timeout=900)
    try:
        events = client.api.build(
            fileobj=_context(), custom_context=True, decode=True, tag=IMAGE, rm=True, forcerm=True
        )
        for event in events:
            said += event.get("stream", event.get("error", "")).splitlines()
            assert "error" not in event, "\n".join(said[-40:])
        for old in before - {one.id for one in client.images.list(IMAGE)}:
            client.images.remove(str(old))  # gigabytes; what the two share stays
    finally:
        client.close()
    return said


def requirements() -> list[str]:
    """The packages of binder/environment.yml by their names on PyPI."""
    listed = yaml.safe_load((ROOT / "binder/environment.yml").read_text())["dependencies"]
    wanted = []
    for line in listed:
        if isinstance(line, str) and not line.startswith("python=") and line != "pip":
            for conda, pypi in PYPI_NAMES.items():
                line = line.replace(conda, pypi)
            wanted.append(line)
    return wanted


def _context() -> io.BytesIO:
    """What git would hand to Binder, with the changes not committed yet, and the Dockerfile."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--",
         ".", ":!tests", ":!docs"],  # a change in those need not make a new image
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    authorities = ssl.get_default_verify_paths().cafile
    assert authorities is not None
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).exists():
                tar.add(ROOT / name, f"src/{name}", recursive=False, filter=_ageless)
        for name, content in {
            "Dockerfile": DOCKERFILE.encode(),
            "requirements.txt": "\n".join(requirements()).encode(),
            "authorities.pem": Path(authorities).read_bytes(),
        }.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    packed.seek(0)
    return packed


def _ageless(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    return entry
