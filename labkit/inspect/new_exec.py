"""What a new `docker exec` gets: the container's own, whatever its first process gave up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.kernel import CAPABILITIES

# Source: Docker Engine, oci/caps/defaults.go.
DEFAULT = frozenset(
    f"cap_{name}"
    for name in (
        "chown", "dac_override", "fsetid", "fowner", "mknod", "net_raw", "setgid", "setuid",
        "setfcap", "setpcap", "net_bind_service", "sys_chroot", "kill", "audit_write",
    )
)  # fmt: skip
ENGINE_SOCKETS = ("/run/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock")


@dataclass(frozen=True)
class NewExec:
    """The rights and the things of the host's that every new program in a container has."""

    capabilities: frozenset[str]  # at most: a user other than root has them only to pass on
    is_privileged: bool  # all devices and capabilities, and no filters
    folders: tuple[str, ...]  # of the host, mounted in it
    devices: tuple[str, ...]  # of the host, given to it, by path or by a rule
    has_engine_socket: bool  # whoever has it can do all that the engine can

    @property
    def beyond(self) -> tuple[str, ...]:
        """In words, what of it is more than any container gets that was started without options."""
        if self.is_privileged:
            return ("all rights and devices (`privileged`)",)
        rights = sorted(self.capabilities - DEFAULT)
        return (
            *(name.removeprefix("cap_").upper() for name in rights),
            *(f"the host's folder {folder}" for folder in self.folders),
            *(f"the device {device}" for device in self.devices),
        )


def new_exec_of(
    inspected: Mapping[str, Any],
    *,
    volumes: Iterable[Mapping[str, Any]] = (),
    sockets: Iterable[str] = ENGINE_SOCKETS,
) -> NewExec:
    """Tell it from what `docker inspect` says of it, and of its volumes.

    `sockets` is where the engine listens on its host.

    Shell: `docker exec NAME grep Cap /proc/self/status`. Source: docker-run(1), --cap-add.
    """
    host = inspected["HostConfig"]
    privileged = bool(host.get("Privileged"))
    folders = tuple(
        str(one["Source"]) for one in inspected.get("Mounts") or () if one.get("Type") == "bind"
    )
    # A local volume may be anything that mount(8) can mount, a folder of the host's too.
    options = [one.get("Options") or {} for one in volumes]
    folders += tuple(str(one["device"]) for one in options if one.get("device"))
    return NewExec(
        capabilities=frozenset(CAPABILITIES) if privileged else _capabilities(inspected),
        is_privileged=privileged,
        folders=folders,
        devices=(
            *(str(one["PathOnHost"]) for one in host.get("Devices") or ()),
            *(f"rule {rule!r}" for rule in host.get("DeviceCgroupRules") or ()),
            *(f"request {one.get('Driver')!r}" for one in host.get("DeviceRequests") or ()),
        ),
        has_engine_socket=any(
            f"{socket}/".startswith(folder.rstrip("/") + "/")
            for folder in folders
            for socket in sockets
        ),
    )


def _capabilities(inspected: Mapping[str, Any]) -> frozenset[str]:
    if told := inspected.get("BoundingCaps"):  # Podman says what it came to
        return frozenset(str(name).lower() for name in told)
    add, drop = (
        {_named(name) for name in inspected["HostConfig"].get(key) or ()}
        for key in ("CapAdd", "CapDrop")
    )
    every = frozenset(CAPABILITIES)
    if "all" in add:
        return every - drop
    return frozenset(({*()} if "all" in drop else DEFAULT - drop) | add)


def _named(name: str) -> str:
    low = name.lower()
    return low if low == "all" or low.startswith("cap_") else f"cap_{low}"
