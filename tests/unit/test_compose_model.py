"""A Compose project's model made a lab's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labkit.lab.compose_model import Owner, owned

MODEL: dict[str, Any] = {
    "services": {
        "web": {
            "build": {"context": "/work"},
            "labels": {"own": "1"},
            "ports": [{"target": 80}, {"target": 81, "host_ip": "0.0.0.0"}],
            "volumes": [
                {"type": "bind", "source": "/work/conf", "target": "/etc/conf", "read_only": True},
                {"type": "bind", "source": "/srv", "target": "/srv"},
                {"type": "volume", "source": "data", "target": "/data"},
            ],
        },
        "db": {"image": "mine", "container_name": "thedb", "networks": {"app": None}},
    },
    "networks": {"default": None, "app": {"ipam": {"config": [{"subnet": "10.1.0.0/24"}]}},
                 "theirs": {"external": True, "name": "theirs"}},
    "volumes": {"data": {"name": "fixed"}},
}  # fmt: skip
OWNER = Owner(
    project="shop",
    labels_of=lambda name: {"labkit.name": name},
    engine_name=lambda name: f"labkit-1-{name}",
    image_name=lambda name: f"labkit-1:{name}",
    known_image=lambda name: f"known-{name}",
    subnet=lambda name: f"subnet of {name}",
    address="127.0.0.1",
    files={"conf/a.txt": "costs $5", "conf/sub/b.txt": b"b", "other": "x"},
    folder=Path("/work"),
)


def test_everything_bears_the_learners_name() -> None:
    made = owned(MODEL, OWNER)
    web, db = made["services"]["web"], made["services"]["db"]
    assert web["labels"] == {"own": "1", "labkit.name": "web"}
    assert web["build"]["labels"] == {"labkit.name": "web"}
    assert (web["image"], db["image"]) == ("labkit-1:web", "known-mine")
    assert db["labels"] == {"labkit.name": "thedb"}
    assert db["container_name"] == "labkit-1-thedb"
    assert db["networks"] == {"app": {"aliases": ["thedb"]}}
    assert made["volumes"]["data"]["name"] == "labkit-1-data"
    assert made["networks"]["default"] == {
        "name": "labkit-1-shop_default",
        "labels": {"labkit.name": "shop_default"},
        "ipam": {"config": [{"subnet": "subnet of shop_default"}]},
    }
    assert made["networks"]["app"]["ipam"] == {"config": [{"subnet": "10.1.0.0/24"}]}
    assert made["networks"]["theirs"] == {"external": True, "name": "theirs"}
    assert MODEL["services"]["web"]["labels"] == {"own": "1"}  # the model given is as it was


def test_a_port_without_an_address_is_published_where_the_lab_says() -> None:
    ports = owned(MODEL, OWNER)["services"]["web"]["ports"]
    assert [port["host_ip"] for port in ports] == ["127.0.0.1", "0.0.0.0"]


def test_files_beside_the_compose_file_are_copied_in() -> None:
    made = owned(MODEL, OWNER)
    web = made["services"]["web"]
    assert [one["source"] for one in web["volumes"]] == ["/srv", "data"]
    assert web["configs"] == [
        {"source": "conf_a_txt", "target": "/etc/conf/a.txt"},
        {"source": "conf_sub_b_txt", "target": "/etc/conf/sub/b.txt"},
    ]
    assert made["configs"]["conf_a_txt"] == {"content": "costs $$5"}
    assert made["configs"]["conf_sub_b_txt"] == {"content": "b"}
