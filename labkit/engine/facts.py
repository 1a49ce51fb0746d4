"""What an engine is and can do, asked of the engine itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.sdk import translated

if TYPE_CHECKING:
    import docker


@dataclass(frozen=True)
class EngineFacts:
    """An engine's own description. Shell: `docker version`, `docker info`."""

    product: str  # "Docker Engine", "Podman", or what the engine calls itself
    version: str
    api_version: str
    operating_system: str
    kernel: str
    architecture: str
    cgroup_version: int  # 1 or 2: which hierarchy limits are set in
    cgroup_driver: str
    storage_driver: str
    swap_limit: bool  # whether a swap limit can be set
    pids_limit: bool
    cpu_quota: bool
    rootless: bool
    security: tuple[str, ...]  # "seccomp", "apparmor", "selinux", "userns", ...
    data_root: str
    cpus: int
    memory: int  # bytes

    @property
    def is_podman(self) -> bool:
        """Whether Podman answers to Docker's API here."""
        return self.product.startswith("Podman")


def read_facts(client: docker.DockerClient) -> EngineFacts:
    """Ask an engine what it is. Raises EngineError. Shell: `docker version; docker info`."""
    with translated("describe itself"):
        version: dict[str, Any] = client.version()
        info: dict[str, Any] = client.info()
    components = version.get("Components") or []
    engine = components[0].get("Name", "") if components else ""
    options = tuple(
        option.split(",")[0].removeprefix("name=") for option in info.get("SecurityOptions") or ()
    )
    return EngineFacts(
        product={"Engine": "Docker Engine", "Podman Engine": "Podman"}.get(engine, engine or "?"),
        version=version.get("Version", "?"),
        api_version=version.get("ApiVersion", "?"),
        operating_system=info.get("OperatingSystem", "?"),
        kernel=info.get("KernelVersion", "?"),
        architecture=info.get("Architecture", "?"),
        cgroup_version=int(str(info.get("CgroupVersion") or "1").removeprefix("v")),
        cgroup_driver=info.get("CgroupDriver", "?"),
        storage_driver=info.get("Driver", "?"),
        swap_limit=bool(info.get("SwapLimit")),
        pids_limit=bool(info.get("PidsLimit")),
        cpu_quota=bool(info.get("CpuCfsQuota", info.get("CPUCfsQuota"))),
        rootless="rootless" in options,
        security=options,
        data_root=info.get("DockerRootDir", "?"),
        cpus=int(info.get("NCPU") or 0),
        memory=int(info.get("MemTotal") or 0),
    )
