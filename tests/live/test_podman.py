"""Podman answers to Docker's API: what a lab needs of it works, and what differs is known."""

from __future__ import annotations

import pytest

from labkit.engine import Engine
from labkit.errors import BadValueError, ImageNotFoundError, NameTakenError
from labkit.images import is_built, needed_images
from labkit.lab import Lab


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
