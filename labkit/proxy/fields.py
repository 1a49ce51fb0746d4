"""The fields of Docker's JSON, spelled as in its manual: the engine reads them whatever their case.

Source: Go's encoding/json, which prefers an exact match and else takes one that differs in case.
"""

from __future__ import annotations

from typing import Any

from labkit.proxy.refusal import Refusal

# Those that are looked at, or changed, on the way.
SPELLED = {
    name.casefold(): name
    for name in (
        "Aliases", "Binds", "CapAdd", "Capabilities", "CapabilityAdd", "CgroupParent",
        "CgroupnsMode", "ClusterVolumeSpec", "Config", "ConfigFrom", "ConfigID", "ConfigName",
        "Configs", "Container", "ContainerSpec", "CredentialSpec", "DeviceCgroupRules",
        "DeviceRequests", "Devices",
        "Driver", "DriverConfig", "DriverOpts", "EndpointConfig", "EndpointsConfig", "Force",
        "HostConfig", "IPAM", "Image", "IpcMode", "Labels", "Links", "LogConfig", "LogDriver",
        "MaskedPaths", "Mounts", "Name", "Network", "NetworkID", "NetworkMode", "NetworkingConfig",
        "Networks", "Options", "PidMode", "PidsLimit", "PluginSpec", "Privileged", "Privileges",
        "ReadonlyPaths", "RestartPolicy", "Runtime", "SecretID", "SecretName", "Secrets",
        "SecurityOpt", "Source", "Target", "TaskTemplate", "Type", "UTSMode", "Ulimits",
        "UsernsMode", "VolumeDriver", "VolumeOptions", "VolumesFrom",
    )
}  # fmt: skip
# In these the keys are anybody's own words.
FREE = frozenset({
    "annotations", "driveropts", "endpointsconfig", "exposedports", "labels", "options",
    "portbindings", "storageopt", "sysctls", "tmpfs", "volumes",
})  # fmt: skip


def spelled(value: Any, *, free: bool = False) -> Any:
    """The same, with its fields as the manual spells them. Raises Refusal if one is there twice."""
    if isinstance(value, list):
        return [spelled(one) for one in value]
    if not isinstance(value, dict):
        return value
    made: dict[str, Any] = {}
    for key, one in value.items():
        folded = key.casefold()
        name = str(key) if free else SPELLED.get(folded, str(key))
        if name in made:
            raise Refusal(400, f"invalid JSON: the field {name} is there twice")
        # "Config" is a map in a log's options, and a list in an address plan.
        is_map = folded in FREE or (folded == "config" and isinstance(one, dict))
        made[name] = spelled(one, free=not free and is_map)
    return made
