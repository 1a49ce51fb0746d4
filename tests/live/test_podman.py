"""Podman answers to Docker's API: what a lab needs of it works, and what differs is known."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from labkit.engine import Endpoint, Engine, discovery
from labkit.errors import BadValueError, ImageNotFoundError, NameTakenError
from labkit.images import is_built, needed_images
from labkit.lab import Lab
from labkit.waiting import wait_until

# Podman raises these limits, which needs CAP_SYS_RESOURCE; without it, the machine's own do.
CONFIGURATION = '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'


@pytest.fixture(scope="module")
def podman(engine: Engine) -> Iterator[Engine]:
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


def test_it_says_that_it_is_podman(podman: Engine) -> None:
    assert podman.facts.is_podman
    assert podman.facts.cgroup_version in (1, 2)
    assert podman.host.how == "through a probe container"
    assert all(is_built(podman, image) for image in needed_images())  # by names without localhost/


def test_a_lab_on_podman(podman: Engine) -> None:
    with Lab(engine=podman) as lab:
        volume = lab.volume("data")
        web = lab.run("base", "httpd -f -p 80", name="web", memory="64m", cpus=0.5, ports=[80],
                      volumes={volume: "/data"})  # fmt: skip
        side = lab.run("base", name="side", network="container:web")
        web.wait_port(80)
        assert web.exec(["sh", "-c", "echo a; echo b >&2; exit 3"]).stderr == "b\n"
        web.put("/data/note", "kept")
        assert web.get("/data/note") == b"kept"
        assert side.namespaces().relation("net") == "shared with web"
        assert web.namespaces().relation("net") == "shared with side"
        assert web.cgroup().memory().max == 64 << 20
        assert [p.comm for p in web.processes()] == ["httpd"]
        assert "overlay" in {mount.fs_type for mount in web.mounts()}
        net = lab.network("app", subnet="10.77.2.0/28")
        db = lab.run("base", name="db", network=net)
        assert db.address("app").startswith("10.77.2.")
        image = lab.build("img", "FROM labkit/base\nRUN echo built > /note\n")
        assert lab.once(image, "cat /note").stdout == "built\n"
        assert image.build is not None
        assert image.build.builder == "Podman"
        assert [step.instruction.split()[0] for step in image.build.steps] == ["FROM", "RUN"]
        with pytest.raises(BadValueError, match="secret"):
            lab.build("img", "FROM labkit/base\n", secrets={"token": "hunter2"})
        with pytest.raises(NameTakenError):
            lab.run("base", name="web")
        with pytest.raises(ImageNotFoundError):
            lab.run("basse")
        assert [c.name for c in lab.containers()] == ["db", "side", "web"]
    api = podman.client.api
    only = {"label": [f"labkit.lab={lab.id}"]}
    left = (api.containers(all=True, filters=only), api.networks(filters=only),
            api.volumes(filters=only)["Volumes"], api.images(filters=only))  # fmt: skip
    assert not any(left)
