"""Podman, started for a test."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from labkit.engine import Endpoint, Engine, discovery
from labkit.images import needed_images
from labkit.waiting import wait_until

# Podman raises these limits, which needs CAP_SYS_RESOURCE; without it, the machine's own do.
CONFIGURATION = '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'


@contextmanager
def podman_service(engine: Engine) -> Iterator[Engine]:
    """Podman's service on a socket and in a folder of its own, with the lab images."""
    assert shutil.which("podman"), "these tests need Podman: apt-get install podman"
    with tempfile.TemporaryDirectory(prefix="lk-", dir="/tmp") as name:
        folder = Path(name)
        (folder / "containers.conf").write_text(CONFIGURATION)
        endpoint = Endpoint(f"unix://{folder}/podman.sock")
        own = ["podman", f"--root={folder}/root", f"--runroot={folder}/run",
               f"--tmpdir={folder}/tmp",
               "--cgroup-manager=cgroupfs"]  # fmt: skip
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": name,
            "CONTAINERS_CONF": str(folder / "containers.conf"),
        }
        with (folder / "log").open("w") as log:
            service = subprocess.Popen(
                [*own, "system", "service", "--time=0", endpoint.url],
                env=environment,
                stdout=log,
                stderr=log,
            )
        try:
            wait_until(
                lambda: discovery.why_not(endpoint) is None,
                timeout=20,
                what="Podman's service",
                saw=(folder / "log").read_text,
            )
            found = Engine("docker", endpoint)
            for image in needed_images():
                saved = engine.client.images.get(image.reference).save(named=True)
                found.client.images.load(b"".join(saved))
            yield found
            found.close()
        finally:
            for words in (["rm", "--all", "--force", "--time=0"], ["system", "prune", "-af"]):
                subprocess.run([*own, *words], env=environment, capture_output=True, check=True)
            # An exec's monitor stays for five minutes, for a client that asks how it ended.
            for process in psutil.process_iter(["cmdline"]):
                if (
                    f"{folder}/" in " ".join(process.info["cmdline"] or ())
                    and process.name() == "conmon"
                ):
                    process.kill()
            service.terminate()
            service.wait(timeout=20)
            subprocess.run(["umount", f"{folder}/root/overlay"], capture_output=True, check=False)
