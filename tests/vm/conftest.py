"""Real images, snapshots and machines; one cache for the session, emulated so that all agree."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from docker.tls import TLSConfig

from labkit.engine.endpoint import Endpoint
from labkit.engine.vm import Image, MicroVM, build_image


class _Tls(TLSConfig):
    def configure_client(self, client: docker.APIClient) -> None:
        super().configure_client(client)
        client.trust_env = False  # REQUESTS_CA_BUNDLE would replace our authority


def client_of(endpoint: Endpoint) -> docker.DockerClient:
    folder = Path(str(endpoint.cert_path))
    tls = _Tls(
        client_cert=(str(folder / "cert.pem"), str(folder / "key.pem")),
        ca_cert=str(folder / "ca.pem"),
        verify=True,
    )
    return docker.DockerClient(base_url=endpoint.url, version="auto", timeout=60, tls=tls)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def image(cache: Path) -> Image:
    return build_image(cache, on_progress=lambda stage, done: None)


@pytest.fixture(scope="session")
def base_tar(cache: Path, image: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image `base` of BusyBox, in the format of `docker save`."""
    vm = MicroVM(tmp_path_factory.mktemp("donor"), cache=cache)
    vm.start(accelerator="tcg")
    read = "import base64; print(base64.b64encode(open('/usr/bin/busybox','rb').read()).decode())"
    busybox = base64.b64decode(vm.door.run(read))
    vm.remove()
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        _add(tar, "bin/busybox", busybox, mode=0o755)
        for name in ("sh", "sleep", "httpd", "wget", "cat", "nc"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    diff_id = "sha256:" + hashlib.sha256(layer.getvalue()).hexdigest()
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": ["base:latest"], "Layers": ["layer.tar"]}]
    path = tmp_path_factory.mktemp("images") / "base.tar"
    with tarfile.open(path, mode="w") as tar:
        _add(tar, "manifest.json", json.dumps(manifest).encode())
        _add(tar, name, config)
        _add(tar, "layer.tar", layer.getvalue())
    return path


def _add(tar: tarfile.TarFile, name: str, data: bytes, *, mode: int = 0o644) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), mode
    tar.addfile(info, io.BytesIO(data))


@pytest.fixture
def make_vm(cache: Path, image: Image, tmp_path: Path) -> Iterator[Callable[[str], MicroVM]]:
    made: list[MicroVM] = []

    def make(name: str) -> MicroVM:
        made.append(MicroVM(tmp_path / name, cache=cache))
        return made[-1]

    yield make
    for vm in made:
        vm.remove()


@pytest.fixture(scope="module")
def vm(cache: Path, base_tar: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MicroVM]:
    """A machine with the image `base`, restored."""
    machine = MicroVM(tmp_path_factory.mktemp("vm"), cache=cache)
    machine.start(accelerator="tcg", images=[base_tar])
    yield machine
    machine.remove()


@pytest.fixture(scope="module")
def client(vm: MicroVM) -> Iterator[docker.DockerClient]:
    sdk = client_of(vm.endpoint)
    yield sdk
    sdk.close()
