"""What a socket refuses besides: a grader's word on what no exercise needs.

Pure: no I/O. A policy is a JSON file:
`{"privileged": false, "host_paths": [], "devices": false, "capabilities": ["NET_ADMIN"],
"host_namespaces": ["pid"], "security_options": false, "refused": ["POST /swarm/.*"]}`.
What it does not name is allowed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from labkit.errors import BadValueError

NAMESPACES = {
    "pid": "PidMode", "net": "NetworkMode", "ipc": "IpcMode", "uts": "UTSMode",
    "user": "UsernsMode", "cgroup": "CgroupnsMode",
}  # fmt: skip
BODIES = re.compile(
    r"/(containers/create|containers/[^/]+/exec|volumes/create|services/create|services/[^/]+/update)"
)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """None means: whatever is asked for."""

    privileged: bool = True
    host_paths: tuple[str, ...] | None = None  # that may be mounted, with all below
    devices: bool = True
    capabilities: tuple[str, ...] | None = None  # that may be added, without "CAP_"
    host_namespaces: tuple[str, ...] | None = None  # of the host that may be joined
    security_options: bool = True  # as seccomp=unconfined
    refused: tuple[str, ...] = ()  # "METHOD PATH", regular expressions

    @classmethod
    def read(cls, file: Path) -> Policy:
        """Raises BadValueError."""
        try:
            said = json.loads(file.read_text())
            made: dict[str, Any] = {
                key: tuple(v) if isinstance(v, list) else v for key, v in said.items()
            }
            policy = cls(**made)
            for pattern in policy.refused:
                re.compile(pattern)
        except (OSError, ValueError, TypeError, AttributeError, re.error) as err:
            raise BadValueError(
                "That is no policy for a lab's socket.",
                value=str(file),
                seen=str(err),
                do="write an object of JSON; its fields are in labkit/proxy/policy.py",
            ) from err
        return policy

    @staticmethod
    def judges(method: str, path: str) -> bool:
        """Whether it wants to see the body of such a request."""
        return method == "POST" and bool(BODIES.fullmatch(path))

    def why_not(self, method: str, path: str, body: Mapping[str, Any]) -> str | None:
        """Why a request is refused; None if it is not."""
        for pattern in self.refused:
            if re.fullmatch(pattern, f"{method} {path}"):
                return f"{method} {path} is not needed in any exercise here, and refused"
        if (method, path) == ("POST", "/containers/create"):
            found = next(self._of_container(body.get("HostConfig") or {}), None)
        elif (method, path) == ("POST", "/volumes/create"):
            mount = {"Type": "volume", "VolumeOptions": {"DriverConfig": {
                "Options": body.get("DriverOpts")}}}  # fmt: skip
            found = next(self._of_container({"Mounts": [mount]}), None)
        elif method == "POST" and path.startswith("/services/"):
            spec = (body.get("TaskTemplate") or {}).get("ContainerSpec") or {}
            asked = {"Mounts": spec.get("Mounts"), "CapAdd": spec.get("CapabilityAdd")}
            found = next(self._of_container(asked), None)
        elif method == "POST" and path.endswith("/exec"):
            found = (
                "a privileged program" if body.get("Privileged") and not self.privileged else None
            )
        else:
            found = None
        return found and f"no exercise here needs {found}: it is refused"

    def _of_container(self, host: Mapping[str, Any]) -> Iterator[str]:
        if host.get("Privileged") and not self.privileged:
            yield "a privileged container"
        if self.capabilities is not None:
            allowed = {one.upper().removeprefix("CAP_") for one in self.capabilities}
            for one in host.get("CapAdd") or ():
                if one.upper().removeprefix("CAP_") not in allowed:
                    yield f"the capability {one}"
        if not self.devices and (host.get("Devices") or host.get("DeviceRequests")):
            yield "a device of the host's"
        if not self.devices and host.get("DeviceCgroupRules"):
            yield "a rule for devices"
        if not self.security_options and host.get("SecurityOpt"):
            yield f"the security option {host['SecurityOpt'][0]}"
        if self.host_namespaces is not None:
            for kind, field in NAMESPACES.items():
                if host.get(field) == "host" and kind not in self.host_namespaces:
                    yield f"the host's {kind} namespace"
        if self.host_paths is not None:
            for path in _mounted(host):
                if not any(PurePosixPath(path).is_relative_to(one) for one in self.host_paths):
                    yield f"the host's {path}"


def _mounted(host: Mapping[str, Any]) -> Iterator[str]:
    """The paths of the host that a container asks for, as the kernel would resolve them."""
    for bind in host.get("Binds") or ():
        if str(bind).startswith("/"):
            yield _plain(str(bind).split(":")[0])
    for mount in host.get("Mounts") or ():
        if mount.get("Type") == "bind":
            yield _plain(str(mount.get("Source")))
        driver = ((mount.get("VolumeOptions") or {}).get("DriverConfig") or {}).get("Options") or {}
        if driver.get("device"):
            yield _plain(str(driver["device"]))


def _plain(path: str) -> str:
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts[-1:] = []
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)
