"""What a policy may refuse: by which of its words, and where in a request it stands. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

NAMESPACES = {
    "pid": "PidMode", "net": "NetworkMode", "ipc": "IpcMode", "uts": "UTSMode",
    "user": "UsernsMode", "cgroup": "CgroupnsMode",
}  # fmt: skip
# Of which sort a request is; what a path names is read as a field. A body is that which goes on to
# the engine; to `build` its parameters are one, and `solve` is BuildKit's own, inside of /grpc.
KINDS = {
    "create": re.compile(r"POST /containers/create"),
    "exec": re.compile(r"POST /containers/[^/]+/exec"),
    "update": re.compile(r"POST /containers/[^/]+/update"),
    "service": re.compile(r"POST /services/(create|[^/]+/update)"),
    "volume": re.compile(r"POST /volumes/create"),
    "connect": re.compile(r"POST /networks/(?P<Network>[^/]+)/connect"),
    "build": re.compile(r"POST /build"),
    "plugin": re.compile(r"(?!GET|HEAD)\w+ /plugins/.*"),
    "swarm": re.compile(r"(?!GET|HEAD)\w+ /(swarm|nodes|services|secrets|configs)/.*"),
    "buildkit": re.compile(r"POST /(grpc|session)"),
}
BODIES = ("create", "exec", "update", "service", "volume", "connect")


def kinds(method: str, path: str) -> dict[str, dict[str, str]]:
    """Of which sorts a request is, each with what its path names."""
    found = {kind: pattern.fullmatch(f"{method} {path}") for kind, pattern in KINDS.items()}
    return {kind: one.groupdict() for kind, one in found.items() if one}


def values(said: Any, path: list[str]) -> Iterator[Any]:
    """The values at a path: `[]` is each one of a list or of a map, `{}` each key of a map.

    A single text is a list of one, as Docker takes it. Raises AttributeError, TypeError where the
    body has another shape; the engine could not read it either.
    """
    if not path:
        yield said
        return
    if said is None:
        return
    first, *rest = path
    if first == "{}":
        yield from said.keys()
    elif first == "[]":
        each = [said] if isinstance(said, str) else said
        for one in each.values() if isinstance(each, Mapping) else each:
            yield from values(one, rest)
    else:
        yield from values(said.get(first), rest)


# --- what is refused ------------------------------------------------------------------------------

Judge = Callable[[Any, Any], str | None]  # of a value, and of what is allowed: what is refused


def _given(said: Any) -> bool:
    return any(map(_given, said.values())) if isinstance(said, Mapping) else bool(said)


def _whole(what: str) -> Judge:
    return lambda said, _: what


def _any(what: str) -> Judge:
    return lambda said, _: what.format(said) if _given(said) else None


def _one_of(what: str, *words: str) -> Judge:
    return lambda said, _: what if str(said).partition("=")[0] in words else None


def _other_than(what: str, *usual: object) -> Judge:
    return lambda said, _: None if said in usual else what.format(said)


def _capability(said: Any, allowed: Any) -> str | None:
    names = {one.upper().removeprefix("CAP_") for one in allowed}
    return None if said.upper().removeprefix("CAP_") in names else f"the capability {said}"


def _hosts(kind: str) -> Judge:
    """The host's namespace, or any by its place: Podman's ns:/proc/1/ns/pid."""

    def judge(said: Any, allowed: Any) -> str | None:
        joins = str(said).partition(":")[0] in ("host", "ns", "network.host")
        return f"the host's {kind} namespace" if joins and kind not in allowed else None

    return judge


def _changed(said: Any, _: Any) -> str | None:
    """Without a value a limit stays as it is; 0 of processes is none."""
    for field, value in said.items():
        number = field == "PidsLimit" and value is not None
        if field != "RestartPolicy" and (number or _given(value)):
            return f"another {field} for a container"
    return None


VOLUME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")  # a name, and no path
PLAIN = frozenset({  # tmpfs(5)
    "ro", "rw", "nosuid", "nodev", "noexec", "noatime", "size", "mode", "uid", "gid", "nr_inodes",
    "nr_blocks",
})  # fmt: skip
LOGS = (None, "", "none", "local", "json-file", "journald", "k8s-file")
LOG_OPTIONS = frozenset({
    "max-size", "max-file", "max-buffer-size", "mode", "compress", "labels", "labels-regex", "env",
    "env-regex", "tag",
})  # fmt: skip


def _path(said: Any, allowed: Any) -> str | None:
    path = str(said)
    plain = _plain(path) if path.startswith("/") else path
    within = any(PurePosixPath(plain).is_relative_to(_plain(one)) for one in allowed)
    return None if within and path.startswith("/") else f"the host's {plain}"


def _plain(path: str) -> str:
    """As the kernel resolves it, where nothing is a link."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts[-1:] = []
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def _bind(said: Any, allowed: Any) -> str | None:
    source, colon, _ = said.partition(":")
    return None if not colon or VOLUME.fullmatch(source) else _path(source, allowed)


def _mount(said: Any, allowed: Any) -> str | None:
    if said.get("Type") == "bind":
        return _path(said.get("Source"), allowed)
    driver = (said.get("VolumeOptions") or {}).get("DriverConfig") or {}
    if said.get("Type") in ("volume", "tmpfs", "image"):
        return _volume({"Driver": driver.get("Name"), "DriverOpts": driver.get("Options")}, allowed)
    return f"a mount of the type {said.get('Type')}"


def _volume(said: Any, allowed: Any) -> str | None:
    """`local` hands its options to mount(2): they may name whatever the host has."""
    if said.get("Driver") not in (None, "", "local"):
        return f"a volume of the driver {said['Driver']}"
    if said.get("ClusterVolumeSpec"):
        return "a volume of the cluster's"
    given = said.get("DriverOpts") or {}
    options = {key.lower(): str(value) for key, value in given.items()}  # as Podman reads them
    words = {one.partition("=")[0].strip() for one in options.get("o", "").split(",")} - {""}
    kind = options.get("type", "")
    known = len(options) == len(given) and options.keys() <= {"type", "o", "device", "size"}
    if known and words <= PLAIN and (kind == "tmpfs" or options.keys() <= {"size"}):
        return None
    if known and words & {"bind", "rbind"} and words <= PLAIN | {"bind", "rbind"}:
        return _path(options.get("device"), allowed)
    return "a volume with the options " + ",".join(f"{k}={v}" for k, v in sorted(options.items()))


def _log(said: Any, _: Any) -> str | None:
    """Some write to a file of the host's, or to a socket."""
    for field in ("Type", "Name") if said else ():  # a container's, a service's
        if said.get(field) not in LOGS:
            return f"the log driver {said[field]}"
    for field in ("Config", "Options") if said else ():
        for option in said.get(field) or ():
            if option not in LOG_OPTIONS:
                return f"the log option {option}"
    return None


class Rule(NamedTuple):
    """What a policy's word refuses, and where it may stand: the request's kind, and a path."""

    word: str
    judge: Judge
    places: tuple[str, ...]


HOST, SERVICE = "create HostConfig", "service TaskTemplate.ContainerSpec"
RULES = (
    Rule("privileged", _any("a privileged container"), (f"{HOST}.Privileged",)),
    Rule("privileged", _any("a privileged program"), ("exec Privileged",)),
    Rule(
        "privileged", _one_of("a privileged build", "security.insecure"), ("solve Entitlements.[]",)
    ),
    Rule("privileged", _whole("a plugin"), ("plugin",)),
    Rule("privileged", _any("a plugin"), ("service TaskTemplate.PluginSpec",)),
    Rule(
        "capabilities",
        _capability,
        # The second is that of Docker 19.03 alone.
        (f"{HOST}.CapAdd.[]", f"{HOST}.Capabilities.[]", f"{SERVICE}.CapabilityAdd.[]"),
    ),
    Rule(
        "devices",
        _any("a device of the host's"),
        (f"{HOST}.Devices", f"{HOST}.DeviceRequests", "update Devices", "update DeviceRequests"),
    ),
    Rule("devices", _one_of("a device of the host's", "device"), ("solve Entitlements.[]",)),
    Rule(
        "devices",
        _any("a rule for devices"),
        (f"{HOST}.DeviceCgroupRules", "update DeviceCgroupRules"),
    ),
    Rule("security_options", _any("the security option {}"), (f"{HOST}.SecurityOpt.[]",)),
    Rule(
        "security_options",
        _other_than("paths of /proc and /sys unmasked", None),
        (f"{HOST}.MaskedPaths", f"{HOST}.ReadonlyPaths"),
    ),
    Rule(
        "security_options",
        _other_than("the runtime {}", None, "", "runc", "crun"),
        (f"{HOST}.Runtime",),
    ),
    Rule("security_options", _any("a service's privileges"), (f"{SERVICE}.Privileges",)),
    Rule(
        "limits",
        _any("the parent {} of a control group"),
        (f"{HOST}.CgroupParent", "update CgroupParent", "build cgroupparent.[]"),
    ),
    Rule(
        "limits",
        _any("ulimits of its own"),
        (f"{HOST}.Ulimits", f"{SERVICE}.Ulimits", "update Ulimits"),
    ),
    Rule("limits", _other_than("ulimits of its own", "", "null", "[]"), ("build ulimits.[]",)),
    Rule("limits", _changed, ("update",)),
    *(
        Rule("host_namespaces", _hosts(kind), (f"{HOST}.{field}",))
        for kind, field in NAMESPACES.items()
    ),
    Rule(
        "host_namespaces",
        _hosts("net"),
        (
            "create NetworkingConfig.EndpointsConfig.{}",
            "create NetworkingConfig.EndpointsConfig.[].NetworkID",
            "connect Network",
            "connect EndpointConfig.NetworkID",
            "service Networks.[].Target",
            "service TaskTemplate.Networks.[].Target",
            "build networkmode.[]",
            "solve Entitlements.[]",
        ),
    ),
    Rule("host_paths", _bind, (f"{HOST}.Binds.[]",)),
    Rule("host_paths", _mount, (f"{HOST}.Mounts.[]", f"{SERVICE}.Mounts.[]")),
    Rule("host_paths", _volume, ("volume",)),
    Rule(
        "host_paths",
        _other_than("a volume of the driver {}", None, "", "local"),
        (f"{HOST}.VolumeDriver", "create VolumeDriver"),
    ),
    Rule("host_paths", _log, (f"{HOST}.LogConfig", "service TaskTemplate.LogDriver")),
    Rule("swarm", _whole("a swarm"), ("swarm",)),
    Rule("buildkit", _whole("BuildKit"), ("buildkit",)),
    Rule("buildkit", _other_than("BuildKit", "", "1"), ("build version.[]",)),
)
