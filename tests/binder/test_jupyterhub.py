"""The spawners' example configurations load, and grant a pod no more than the twin has."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import twin
import yaml
from dockerspawner import DockerSpawner  # type: ignore[import-untyped]  # ships no types
from jupyterhub.objects import Hub, Server  # type: ignore[import-untyped]  # ships no types
from kubernetes_asyncio.config import kube_config
from kubespawner import KubeSpawner  # type: ignore[import-untyped]  # ships no types
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

EXAMPLES = twin.ROOT / "docs/jupyterhub"


def load(name: str) -> Config:
    config: Config = PyFileConfigLoader(str(EXAMPLES / name)).load_config()
    return config


def spawner(kind: Any, config: Config) -> Any:
    """One learner's spawner, as the hub would make it; nothing is spawned."""
    learner = SimpleNamespace(
        id=1, name="ada", escaped_name="ada", url="/user/ada/", server=Server(), settings={}
    )
    return kind(config=config, user=learner, hub=Hub(), orm_spawner=None)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster's address, which a KubeSpawner wants even to say what it would ask for."""
    kubeconfig = tmp_path / "kubeconfig.yaml"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "current-context": "here",
                "clusters": [{"name": "here", "cluster": {"server": "https://127.0.0.1:1"}}],
                "contexts": [{"name": "here", "context": {"cluster": "here", "user": "hub"}}],
                "users": [{"name": "hub", "user": {}}],
            }
        )
    )
    # $KUBECONFIG was read when the module was imported.
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig))


@pytest.mark.usefixtures("cluster")
def test_the_pod_of_kubespawner_is_the_twin() -> None:
    config = load("kubespawner_config.py")
    assert config.JupyterHub.spawner_class == "kubespawner.KubeSpawner"

    async def manifest() -> Any:
        asking = spawner(KubeSpawner, config)
        async with asking.api.api_client as client:
            pod = await asking.get_pod_manifest()
            return client.sanitize_for_serialization(pod)  # as it would be sent

    pod = asyncio.run(manifest())["spec"]
    (container,) = pod["containers"]
    user = int(twin.SANDBOX["user"].partition(":")[0])
    assert container["securityContext"] == {
        "runAsUser": user,
        "runAsGroup": user,
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,  # Docker's no-new-privileges
        "capabilities": {"drop": twin.SANDBOX["cap_drop"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    limits = container["resources"]["limits"]
    assert limits["cpu"] * 1_000_000_000 == twin.SANDBOX["nano_cpus"]
    assert limits["memory"] == twin.SANDBOX["mem_limit"]
    assert not pod.get("volumes")
    assert not pod["automountServiceAccountToken"]
    assert container["args"][0] == "jupyterhub-singleuser"
    assert "command" not in container, "the image's entrypoint starts the micro-VM"


def test_the_container_of_dockerspawner_is_the_twin() -> None:
    config = load("dockerspawner_config.py")
    assert config.JupyterHub.spawner_class == "dockerspawner.DockerSpawner"
    made = spawner(DockerSpawner, config)
    assert made.extra_create_kwargs == {"user": twin.SANDBOX["user"]}
    assert made.extra_host_config == {
        name: twin.SANDBOX[name] for name in ("cap_drop", "security_opt")
    }
    assert made.cpu_limit * 1_000_000_000 == twin.SANDBOX["nano_cpus"]
    assert int(made.mem_limit) == twin.SANDBOX["mem_limit"]
    assert made.cmd == ["jupyterhub-singleuser"]
    assert made.volumes == {}


def test_no_example_sets_what_its_spawner_does_not_know() -> None:
    for name, kind in (("kubespawner", KubeSpawner), ("dockerspawner", DockerSpawner)):
        config = load(f"{name}_config.py")
        assert set(config[kind.__name__]) <= set(kind.class_trait_names())


def test_the_document_shows_the_examples() -> None:
    text = (EXAMPLES.parent / "jupyterhub.md").read_text()
    for example in EXAMPLES.glob("*.py"):
        assert f"(jupyterhub/{example.name})" in text
        assert Path(example).stat().st_size > 0
