"""A lab's networks, volumes and images, its names, and what its containers share."""

from __future__ import annotations

import pytest

from labkit.engine import Engine
from labkit.errors import EngineRefusedError, ImageBuildError, NameTakenError
from labkit.lab import Lab


def test_names_resolve_in_a_network(lab: Lab) -> None:
    app = lab.network("app", subnet="10.77.0.0/28")
    assert app.subnet == "10.77.0.0/28"
    db = lab.run("base", name="db", network=app)
    api = lab.run("base", name="api", network="app")
    assert api.exec("ping -c1 -W2 db").exit_code == 0
    assert db.address("app").startswith("10.77.0.")
    looked_up = api.exec("ping -c1 -W2 db").stdout
    assert db.address() in looked_up

    other = lab.network("other")
    alone = lab.run("base", name="alone", network=other)
    assert alone.exec("ping -c1 -W1 db").exit_code != 0
    app.connect(alone)
    assert alone.exec("ping -c1 -W2 db").exit_code == 0
    assert api.exec("ping -c1 -W2 alone").exit_code == 0
    app.disconnect(alone)
    assert alone.exec("ping -c1 -W1 db").exit_code != 0
    with pytest.raises(EngineRefusedError):
        other.remove()
    alone.remove()
    other.remove()
    assert [net.name for net in lab.networks()] == ["app"]


def test_there_are_networks_enough(lab: Lab) -> None:
    subnets = {lab.network(f"n{number}").subnet for number in range(35)}
    assert len(subnets) == 35


def test_a_taken_subnet_is_refused(lab: Lab) -> None:
    lab.network("a", subnet="10.77.1.0/28")
    with pytest.raises(EngineRefusedError, match=r"(?i)overlap"):
        lab.network("b", subnet="10.77.1.0/28")
    assert [net.name for net in lab.networks()] == ["a"]


def test_a_volume_outlives_its_containers(lab: Lab) -> None:
    data = lab.volume("data")
    first = lab.run("base", "sh -c 'echo kept > /data/note'", name="a", volumes={data: "/data"})
    first.wait_exit()
    first.remove()
    assert lab.once("base", "cat /data/note", volumes={data: "/data:ro"}).stdout == "kept\n"
    refused = lab.once("base", "touch /data/note", volumes={data: "/data:ro"})
    assert refused.exit_code != 0
    assert "Read-only" in refused.stderr
    assert [one.name for one in lab.volumes()] == ["data"]
    data.remove()
    assert lab.volumes() == []


def test_an_image_is_built_and_run(lab: Lab) -> None:
    dockerfile = 'FROM labkit/base\nCOPY note /note\nRUN echo more >> /note\nCMD ["cat", "/note"]\n'
    image = lab.build("Reader", dockerfile, files={"note": "from a file\n"})
    assert image.diff_ids[: len(lab.image("base").diff_ids)] == lab.image("base").diff_ids
    assert len(image.diff_ids) == len(lab.image("base").diff_ids) + 2
    assert any("echo more" in step.created_by for step in image.history())
    box = lab.run(image, name="box")
    box.wait_exit()
    assert box.logs() == "from a file\nmore\n"


def test_an_image_that_cannot_be_built_says_why(engine: Engine) -> None:
    with Lab(engine=engine) as lab:
        with pytest.raises(ImageBuildError) as raised:
            lab.build("broken", "FROM labkit/base\nRUN true\nRUN echo the reason; exit 3\n")
        assert "broken" in raised.value.what
        assert "the reason" in raised.value.seen
        assert raised.value.do
        assert lab.containers() == []
    # The steps that did succeed had no name, and are gone with the lab.
    only = {"label": [f"labkit.lab={lab.id}"]}
    assert engine.client.api.images(all=True, filters=only) == []


def test_names_of_one_character(lab: Lab) -> None:
    net, volume = lab.network("n"), lab.volume("v")
    box = lab.run("base", name="b", network=net, volumes={volume: "/v"})
    assert box.exec("hostname").stdout == "b\n"
    assert lab.container("b").id == box.id
    assert lab.build("i", "FROM labkit/base\nRUN true\n").name == "i"


def test_two_labs_with_the_same_names_never_meet(engine: Engine, lab: Lab) -> None:
    with Lab(engine=engine) as other:
        boxes = []
        for one in (lab, other):
            net = one.network("app")
            one.volume("data")
            one.build("img", f"FROM labkit/base\nRUN echo {one.id} > /id\n")
            boxes.append(one.run("base", name="web", network=net))
            one.run("base", name="only-mine" if one is lab else "only-theirs", network=net)
        assert boxes[0].id != boxes[1].id
        assert boxes[0].exec("ping -c1 -W2 only-mine").exit_code == 0
        assert boxes[0].exec("ping -c1 -W1 only-theirs").exit_code != 0
        assert [c.name for c in other.containers()] == ["only-theirs", "web"]
    assert [c.name for c in lab.containers()] == ["only-mine", "web"]
    assert [n.name for n in lab.networks()] == ["app"]
    assert [v.name for v in lab.volumes()] == ["data"]
    assert boxes[0].status == "running"
    found = engine.client.images.list(filters={"label": f"labkit.lab={lab.id}"})
    assert len(found) == 1


def test_a_taken_name_is_refused_and_the_first_stays(lab: Lab) -> None:
    first = lab.run("base", name="web")
    makers = (
        lambda: lab.run("base", name="web"),
        lambda: lab.network("net"),
        lambda: lab.volume("vol"),
    )
    lab.network("net")
    lab.volume("vol")
    for again in makers:
        with pytest.raises(NameTakenError) as raised:
            again()
        assert "another name" in raised.value.do
    assert [c.id for c in lab.containers()] == [first.id]
    assert len(lab.networks()) == len(lab.volumes()) == 1


def test_sharing_a_containers_namespaces(lab: Lab) -> None:
    web = lab.run("base", "httpd -f -p 80", name="web", ipc_mode="shareable")
    side = lab.run(
        "base", name="side", network="container:web", pid_mode="container:web",
        ipc_mode="container:web",
    )  # fmt: skip
    relations = {kind: side.namespaces().relation(kind) for kind in ("net", "pid", "ipc", "mnt")}
    assert relations == {"net": "shared with web", "pid": "shared with web",
                         "ipc": "shared with web", "mnt": "its own"}  # fmt: skip
    web.wait_port(80)
    assert "404" in side.exec("wget -O- http://127.0.0.1/").stderr
    assert "httpd" in side.exec("ps").stdout
    host = lab.run("base", name="host", network="host", uts_mode="host")
    assert host.namespaces().relation("net") == "shared with host"
    assert host.namespaces().relation("uts") == "shared with host"
    none = lab.run("base", name="none", network="none")
    assert none.exec("ls /sys/class/net").stdout.split() == ["lo"]
