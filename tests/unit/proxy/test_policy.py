"""What a grader's policy refuses, in whatever way it is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labkit.errors import BadValueError
from labkit.proxy.fields import spelled
from labkit.proxy.policy import Policy

STRICT = Policy(
    privileged=False,
    host_paths=("/srv/data",),
    devices=False,
    capabilities=("NET_ADMIN",),
    host_namespaces=("pid",),
    security_options=False,
    refused=("POST /swarm/.*",),
)
CREATE = "/containers/create"


def asked(host: dict[str, Any]) -> str | None:
    return STRICT.why_not("POST", CREATE, spelled({"HostConfig": host}))


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ({"Privileged": True}, "a privileged container"),
        ({"privileged": True}, "a privileged container"),
        ({"CapAdd": ["SYS_ADMIN"]}, "SYS_ADMIN"),
        ({"CapAdd": ["NET_ADMIN", "cap_sys_ptrace"]}, "cap_sys_ptrace"),
        ({"CapAdd": ["all"]}, "all"),
        ({"Devices": [{"PathOnHost": "/dev/sda"}]}, "a device"),
        ({"DeviceRequests": [{"Count": -1}]}, "a device"),
        ({"DeviceCgroupRules": ["a *:* rwm"]}, "devices"),
        ({"SecurityOpt": ["seccomp=unconfined"]}, "seccomp=unconfined"),
        ({"NetworkMode": "host"}, "net namespace"),
        ({"IpcMode": "host"}, "ipc namespace"),
        ({"UsernsMode": "host"}, "user namespace"),
        ({"CgroupnsMode": "host"}, "cgroup namespace"),
        ({"UTSMode": "host"}, "uts namespace"),
        ({"Binds": ["/:/host"]}, "the host's /"),
        ({"Binds": ["/srv/data/../../etc:/e:ro"]}, "/etc"),
        ({"Binds": ["/srv//data/./../database:/e"]}, "/srv/database"),
        ({"Binds": ["/srv/database:/e"]}, "/srv/database"),
        ({"Mounts": [{"Type": "bind", "Source": "/var/run", "Target": "/r"}]}, "/var/run"),
        (
            {"Mounts": [{"Type": "volume", "VolumeOptions": {"DriverConfig": {
                "Options": {"type": "none", "o": "bind", "device": "/root"}}}}]},
            "/root",
        ),
    ],
)  # fmt: skip
def test_what_a_container_asks_for(host: dict[str, Any], named: str) -> None:
    why = asked(host)
    assert why is not None
    assert named in why
    assert "no exercise here needs" in why


@pytest.mark.parametrize(
    "host",
    [
        {},
        {"CapAdd": ["NET_ADMIN"]},
        {"CapAdd": ["cap_net_admin"]},
        {"PidMode": "host"},
        {"NetworkMode": "container:web"},
        {"Binds": ["data:/d", "/srv/data:/d", "/srv/data/below:/d"]},
        {"Mounts": [{"Type": "tmpfs", "Target": "/t"}, {"Type": "volume", "Source": "v"}]},
    ],
)
def test_what_is_allowed(host: dict[str, Any]) -> None:
    assert asked(host) is None


def test_the_ways_round_it() -> None:
    volume = {"Name": "v", "driveropts": {"type": "none", "o": "bind", "device": "/"}}
    assert STRICT.why_not("POST", "/volumes/create", spelled(volume))
    mount = {"Type": "bind", "Source": "/", "Target": "/h"}
    for spec in ({"Mounts": [mount]}, {"CapabilityAdd": ["CAP_SYS_ADMIN"]}):
        service = spelled({"TaskTemplate": {"ContainerSpec": spec}})
        assert STRICT.why_not("POST", "/services/create", service)
        assert STRICT.why_not("POST", "/services/abc/update", service)
    assert STRICT.why_not("POST", "/containers/abc/exec", {"Privileged": True})
    assert STRICT.why_not("POST", "/swarm/init", {})
    assert STRICT.why_not("GET", "/swarm", {}) is None


def test_without_a_word_all_is_allowed() -> None:
    assert Policy().why_not("POST", CREATE, {"HostConfig": {"Privileged": True}}) is None


@pytest.mark.parametrize(
    "text", ["", "[]", '{"nonsense": 1}', '{"refused": ["("]}', '{"privileged": false']
)
def test_a_file_that_is_no_policy(tmp_path: Path, text: str) -> None:
    (tmp_path / "policy").write_text(text)
    with pytest.raises(BadValueError, match="no policy"):
        Policy.read(tmp_path / "policy")


def test_a_file(tmp_path: Path) -> None:
    said = {"privileged": False, "capabilities": ["NET_ADMIN"], "refused": []}
    (tmp_path / "policy").write_text(json.dumps(said))
    assert Policy.read(tmp_path / "policy") == Policy(
        privileged=False, capabilities=("NET_ADMIN",), refused=()
    )
