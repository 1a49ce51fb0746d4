"""What a grader's policy refuses, in whatever way it is asked for."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from labkit.errors import BadValueError
from labkit.proxy.fields import SPELLED, spelled
from labkit.proxy.policy import FIELDS, VARIABLE, Policy
from labkit.proxy.rules import RULES

STRICT = Policy(
    privileged=False,
    host_paths=("/srv/data",),
    devices=False,
    capabilities=("NET_ADMIN",),
    host_namespaces=("pid",),
    security_options=False,
    limits=False,
    refused=("POST /swarm/.*",),
)
CREATE = "/containers/create"


def asked(host: dict[str, Any]) -> str | None:
    return why(CREATE, {"HostConfig": host})


def why(path: str, body: dict[str, Any], policy: Policy = STRICT) -> str | None:
    return policy.why_not("POST", path, spelled(body))


def with_driver(kind: str, **driver: Any) -> dict[str, Any]:
    return {"Mounts": [{"Type": kind, "Target": "/v", "VolumeOptions": {"DriverConfig": driver}}]}


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
        # As Docker reads one text where a list is wanted.
        ({"CapAdd": "NET_RAW"}, "NET_RAW"),
        ({"capabilities": ["SYS_ADMIN"]}, "SYS_ADMIN"),
        ({"SecurityOpt": "seccomp=unconfined"}, "seccomp=unconfined"),
        ({"MaskedPaths": []}, "unmasked"),
        ({"maskedpaths": ["/proc/kcore"]}, "unmasked"),
        ({"ReadonlyPaths": []}, "unmasked"),
        ({"Runtime": "io.containerd.kata.v2"}, "the runtime io.containerd.kata.v2"),
        ({"CgroupParent": "/"}, "the parent /"),
        ({"Ulimits": [{"Name": "memlock", "Hard": -1, "Soft": -1}]}, "ulimits"),
        # Podman's: a namespace by its place, a path that begins where it runs, more sorts of mount.
        ({"PidMode": "ns:/proc/1/ns/pid"}, None),
        ({"IpcMode": "ns:/proc/1/ns/ipc"}, "ipc namespace"),
        ({"UTSMode": "ns:/proc/1/ns/uts"}, "uts namespace"),
        ({"UsernsMode": "ns:/proc/1/ns/user"}, "user namespace"),
        ({"CgroupnsMode": "ns:/proc/1/ns/cgroup"}, "cgroup namespace"),
        ({"NetworkMode": "ns:/proc/1/ns/net"}, "net namespace"),
        ({"Binds": ["./srv/data:/d"]}, "the host's ./srv/data"),
        ({"Binds": ["srv/data/../../../etc:/d"]}, "the host's srv/data/../../../etc"),
        ({"Mounts": [{"Type": "glob", "Source": "/etc/*", "Target": "/e"}]}, "the type glob"),
        ({"Mounts": [{"Source": "/etc", "Target": "/e"}]}, "the type None"),
        ({"Mounts": [{"Type": "bind", "Source": "srv/data", "Target": "/e"}]}, "srv/data"),
        # Other drivers, and what `local` can do.
        ({"VolumeDriver": "sshfs", "Binds": ["v:/v"]}, "the driver sshfs"),
        (with_driver("volume", Name="sshfs"), "the driver sshfs"),
        (with_driver("volume", Options={"type": "none", "o": "rbind", "device": "/etc"}), "/etc"),
        (with_driver("volume", Options={"o": "bind", "device": "/srv/data/.."}), "/srv"),
        (
            with_driver("volume", Options={
                "type": "overlay", "device": "overlay", "o": "lowerdir=/etc,upperdir=/u,workdir=/w"
            }),
            "lowerdir=/etc",
        ),
        (with_driver("volume", Options={"type": "tmpfs", "o": "bind", "device": "/etc"}), "/etc"),
        (with_driver("volume", Options={"type": "ext4", "device": "/dev/sda1"}), "/dev/sda1"),
        (with_driver("volume", Options={"type": "9p", "device": "share"}), "type=9p"),
        (with_driver("volume", Options={"Device": "/etc", "O": "bind"}), "/etc"),
        (
            with_driver("volume", Options={
                "o": "bind", "device": "/srv/data", "Device": "/etc", "type": "none"
            }),
            "a volume with the options",
        ),
        ({"LogConfig": {"Type": "fluentd", "Config": {}}}, "the log driver fluentd"),
        ({"LogConfig": {"Config": {"path": "/etc/cron.d/x"}}}, "the log option path"),
    ],
)  # fmt: skip
def test_what_a_container_asks_for(host: dict[str, Any], named: str | None) -> None:
    """None is what this policy allows, in whatever way."""
    why = asked(host)
    if named is None:
        assert why is None
        return
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
        {"Binds": ["/anonymous"]},
        with_driver("volume", Options={"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=7"}),
        with_driver("volume", Options={"type": "none", "o": "bind,ro", "device": "/srv/data/b"}),
        with_driver("volume", Name="local", Options={"size": "1m"}),
        {"LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}}},
        # What `docker run` always says.
        {
            "MaskedPaths": None,
            "ReadonlyPaths": None,
            "Runtime": "",
            "CgroupParent": "",
            "Ulimits": None,
            "UsernsMode": "",
            "LogConfig": {"Type": ""},
            "Devices": [],
            "DeviceCgroupRules": None,
            "VolumeDriver": "",
            "Privileged": False,
            "CgroupnsMode": "private",
            "IpcMode": "shareable",
        },
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


def test_the_hosts_network() -> None:
    ends: list[dict[str, Any]] = [{"bridge": {}, "host": {}}, {"net": {"networkID": "host"}}]
    for end in ends:
        said = why(CREATE, {"networkingConfig": {"endpointsConfig": end}})
        assert said and "net namespace" in said
    assert why(CREATE, {"NetworkingConfig": {"EndpointsConfig": {"net": None}}}) is None
    assert why("/networks/host/connect", {"Container": "c", "Network": "net"})
    assert why("/networks/net/connect", {"endpointConfig": {"networkID": "host"}})
    assert why("/networks/net/connect", {"Container": "c"}) is None
    for where in ({"Networks": [{"Target": "host"}]},
                  {"TaskTemplate": {"Networks": [{"Target": "host"}]}}):  # fmt: skip
        assert why("/services/create", where)
    for mode, refused in (("host", True), ("bridge", False)):
        said = STRICT.why_not("POST", "/build", {}, {"networkmode": ["none", mode]})
        assert bool(said) is refused
    assert not STRICT.entitles("network.host")
    assert Policy(host_namespaces=("net",)).entitles("network.host")


def test_a_volume_of_its_own() -> None:
    for body in (
        {"Driver": "sshfs"},
        {"Driver": "local", "DriverOpts": {"type": "nfs", "o": "addr=10.0.0.1", "device": ":/"}},
        {"DriverOpts": {"type": "overlay", "o": "lowerdir=/etc", "device": "overlay"}},
        {"ClusterVolumeSpec": {"Group": "g"}},
    ):
        assert why("/volumes/create", body), body
    plain: list[dict[str, Any]] = [
        {}, {"Driver": "local"}, {"DriverOpts": {"type": "tmpfs", "o": "size=1m"}}
    ]  # fmt: skip
    for body in plain:
        assert why("/volumes/create", body) is None, body
    assert why(CREATE, {"VolumeDriver": "sshfs"})  # where engines took it before


def test_a_services_own_words() -> None:
    def of(task: dict[str, Any]) -> str | None:
        return why("/services/abc/update", {"TaskTemplate": task})

    for container in (
        {"Privileges": {"Seccomp": {"Mode": "unconfined"}}},
        {"privileges": {"SELinuxContext": {"Disable": True}}},
        {"Ulimits": [{"Name": "nofile", "Hard": 9, "Soft": 9}]},
        with_driver("volume", Name="sshfs"),
    ):
        assert of({"ContainerSpec": container}), container
    assert of({"Runtime": "plugin", "PluginSpec": {"Remote": "vieux/sshfs"}})
    assert of({"LogDriver": {"Name": "syslog"}})
    assert of({"LogDriver": {"Type": "local", "Name": "json-file", "Options": {"path": "/x"}}})
    # As the engine tells one that has none.
    none = {"CredentialSpec": None, "SELinuxContext": None, "NoNewPrivileges": False}
    assert (
        of({"ContainerSpec": {"Privileges": none, "Ulimits": []}, "Runtime": "container"}) is None
    )


def test_an_update_of_a_container() -> None:
    path = "/containers/abc/update"
    for body in (
        {"Memory": 1 << 40}, {"memoryswap": -1}, {"pidsLimit": 0}, {"NanoCpus": 10**10},
        {"CgroupParent": "/"}, {"Devices": [{"PathOnHost": "/dev/sda"}]},
        {"DeviceCgroupRules": ["a *:* rwm"]}, {"Ulimits": [{"Name": "core"}]},
    ):  # fmt: skip
        assert why(path, body), body
    usual: dict[str, Any] = {
        "Memory": 0,
        "PidsLimit": None,
        "Devices": [],
        "RestartPolicy": {"Name": "always"},
    }
    assert why(path, usual) is None
    without = Policy(devices=False)
    assert why(path, {"Memory": 1 << 40}, without) is None
    assert why(path, {"DeviceRequests": [{"Count": -1}]}, without)


def test_the_engine_as_a_whole() -> None:
    for path in ("/plugins/pull", "/plugins/create", "/plugins/some/plug/enable"):
        assert STRICT.why_not("POST", path, {})
        assert Policy().why_not("POST", path, {}) is None
    assert STRICT.why_not("GET", "/plugins", {}) is None
    assert STRICT.why_not("GET", "/plugins/some/json", {}) is None
    none = Policy(swarm=False)
    for path in ("/swarm/join", "/services/create", "/secrets/create", "/configs/x/update"):
        assert none.why_not("POST", path, {}), path
    assert none.why_not("DELETE", "/nodes/abc", {})
    assert none.why_not("GET", "/services/abc", {}) is None


def test_builds() -> None:
    for said in ({"ulimits": ['[{"Name":"core"}]']}, {"cgroupparent": ["/"]}):
        assert STRICT.why_not("POST", "/build", {}, said)
    usual = {
        "ulimits": ["null"],
        "cgroupparent": [""],
        "networkmode": ["default"],
        "version": ["1"],
    }
    assert Policy(buildkit=False, limits=False).why_not("POST", "/build", {}, usual) is None
    assert Policy(buildkit=False).why_not("POST", "/build", {}, {"version": ["2"]})
    for path in ("/grpc", "/session"):
        assert Policy(buildkit=False).why_not("POST", path, {})
        assert STRICT.why_not("POST", path, {}) is None
    for one in ("security.insecure", "device", "device=vendor.com/x=all"):
        assert not STRICT.entitles(one)
        assert Policy().entitles(one)


def test_each_field_that_is_looked_for_is_spelled_as_in_the_manual() -> None:
    """The engine reads it whatever its case; a parameter is read as it stands."""
    places = [one.split(" ") for rule in RULES for one in rule.places if " " in one]
    fields = {
        part for kind, path in places if kind != "build" for part in path.split(".")
    } - {"[]", "{}", "Entitlements"}  # fmt: skip
    looked_at = fields | {"Type", "Name", "Source", "VolumeOptions", "DriverConfig", "Options",
                          "Driver", "DriverOpts", "ClusterVolumeSpec", "Config", "RestartPolicy",
                          "PidsLimit"}  # fmt: skip
    assert looked_at <= set(SPELLED.values())
    assert {rule.word for rule in RULES} | {"refused"} == set(FIELDS)
    assert set(FIELDS) == {one.name for one in dataclasses.fields(Policy)}


def test_a_body_of_another_shape_is_not_let_through() -> None:
    shapes: list[Any] = [[1], "x", {"Mounts": {"a": "b"}}, {"Binds": [1]}, {"CapAdd": [None]}]
    for host in shapes:
        with pytest.raises((AttributeError, TypeError)):
            why(CREATE, {"HostConfig": host})


def test_without_a_word_all_is_allowed() -> None:
    assert Policy().why_not("POST", CREATE, {"HostConfig": {"Privileged": True}}) is None


@pytest.mark.parametrize(
    ("text", "named", "seen", "do"),
    [
        ("", "no JSON", "Expecting value", "its fields are privileged, devices"),
        ('{"privileged": false', "no JSON", "Expecting", "its fields are"),
        ("[]", "no object", "[]", "its fields are"),
        ('{"nonsense": 1}', "no field 'nonsense'", "nonsense", "its fields are"),
        ('{"privileged": "no"}', "'privileged'", '"no"', "true or false"),
        ('{"swarm": 0}', "'swarm'", "0", "true or false"),
        ('{"devices": null}', "'devices'", "null", "true or false"),
        ('{"host_paths": "/srv"}', "'host_paths'", '"/srv"', "a list of absolute paths"),
        ('{"host_paths": ["srv"]}', "'host_paths'", '["srv"]', "a list of absolute paths"),
        ('{"capabilities": [1]}', "'capabilities'", "[1]", "a list of capabilities"),
        ('{"host_namespaces": ["mnt"]}', "'host_namespaces'", "mnt", "pid, net, ipc"),
        ('{"host_namespaces": true}', "'host_namespaces'", "true", "pid, net, ipc"),
        ('{"refused": ["("]}', "'refused'", '["("]', "regular expressions"),
        ('{"refused": null}', "'refused'", "null", "regular expressions"),
    ],
)
def test_a_file_that_is_no_policy(
    tmp_path: Path, text: str, named: str, seen: str, do: str
) -> None:
    """One message: the file, the field, what was seen, what is allowed."""
    (tmp_path / "policy").write_text(text)
    with pytest.raises(BadValueError, match="no policy for a lab's socket") as raised:
        Policy.read(tmp_path / "policy")
    assert str(tmp_path / "policy") in raised.value.what
    assert named in raised.value.what
    assert seen in raised.value.seen
    assert do in raised.value.do


def test_a_file_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    with pytest.raises(BadValueError, match=r"none is no policy .* cannot be read"):
        Policy.of_environ()
    monkeypatch.setenv(VARIABLE, "")
    assert Policy.of_environ() == Policy()


def test_a_file(tmp_path: Path) -> None:
    said = {"privileged": False, "capabilities": ["NET_ADMIN"], "refused": []}
    (tmp_path / "policy").write_text(json.dumps(said))
    assert Policy.read(tmp_path / "policy") == Policy(
        privileged=False, capabilities=("NET_ADMIN",), refused=()
    )


def test_as_it_is_handed_on() -> None:
    for policy in (STRICT, Policy(), Policy(host_paths=(), host_namespaces=None)):
        assert Policy.parse(policy.text()) == policy
