"""A Compose project of a lab: a real one, found like anything else, and gone with the lab."""

from __future__ import annotations

import os
import urllib.request

import pytest
from owners import environ_of, remains, start_owner

from labkit import labels
from labkit.checks.evidence import Evidence
from labkit.checks.look import Look, Memory
from labkit.engine import Engine
from labkit.errors import BadValueError, ComposeError, NotFoundError
from labkit.lab import Lab
from labkit.waiting import wait_until

PATIENCE = 40.0 if os.environ.get("LABKIT_ENGINE") == "vm" else 15.0
SHOP = """
services:
  web:
    build: .
    init: true
    command: httpd -f -p 80 -h /www
    ports: ["80"]
    environment: {PRICE: "5$$"}
    volumes: ["./page.html:/www/index.html:ro", "data:/data"]
    networks: [app]
    depends_on: [db]
  db:
    image: labkit/base
    stop_signal: KILL
    networks: [app]
volumes: {data: }
networks: {app: }
"""
FILES = {
    "Dockerfile": "FROM labkit/base\nRUN mkdir /www && echo built > /note\n",
    "page.html": "costs $5 and ${no} more\n",
}
MADE = {"container web", "container db", "network app", "volume data", "image web"}
OWNER = f"""
import time
from labkit import Lab
lab = Lab()
lab.compose("shop", {SHOP!r}, files={FILES!r}).up()
print(lab.id, flush=True)
time.sleep(1000)
"""


def evidence(engine: Engine) -> Evidence:
    return Evidence(Look(engine, Memory()), session=labels.session(), answers={}, variant={})


def test_a_project_is_the_labs(engine: Engine) -> None:
    with Lab(engine=engine) as lab:
        shop = lab.compose("shop", SHOP, files=FILES)
        assert shop.services() == ["db", "web"]
        assert lab.containers() == []  # nothing before it is asked for
        web = shop.up().container("web")
        assert set(remains(engine, [lab.id])) == MADE

        # The learner's names, in the lab and for a check.
        see = evidence(engine)
        assert see.container("web").id == lab.container("web").id == web.id
        assert see.network("app").id == lab.networks("app")[0].id
        assert see.volume("data").name == "data"
        assert see.image("web").id == lab.image("web").id
        assert [one.name for one in lab.containers()] == ["shop-db-1", "shop-web-1"]

        # It is a real project: names resolve, files are there, a port is published on loopback.
        web.wait_port(80)
        assert web.exec("ping -c1 -W2 db").exit_code == 0
        assert web.exec("cat /note").stdout == "built\n"
        assert web.exec(["sh", "-c", "echo $PRICE"]).stdout == "5$\n"
        assert urllib.request.urlopen(web.url(80)).read().decode() == FILES["page.html"]
        bound = web.inspect()["NetworkSettings"]["Ports"]["80/tcp"][0]["HostIp"]
        assert bound == engine.publish_address
        guest = lab.run("base", name="guest", network="app")
        assert guest.exec("ping -c1 -W2 web").exit_code == 0
        guest.remove()

        # Again, with one more; what is there already is left as it is.
        first = shop.container("web").id
        shop.up(scale={"web": 2})
        assert [one.name for one in shop.containers("web")] == ["shop-web-1", "shop-web-2"]
        assert shop.container("web").id == first != shop.container("web", 2).id
        with pytest.raises(NotFoundError) as raised:
            shop.container("web", 3)
        assert "web 2" in raised.value.seen

        shop.down()
        assert set(remains(engine, [lab.id])) == {"volume data", "image web"}
        shop.up()
    assert remains(engine, [lab.id]) == []


def test_a_mapping_and_two_labs_with_the_same_names(engine: Engine, lab: Lab) -> None:
    command = ["sh", "-c", "echo hello; exec sleep 60"]
    file = {
        "services": {"one": {"image": "labkit/base", "stop_signal": "KILL", "command": command}}
    }
    with Lab(engine=engine) as other:
        boxes = [each.compose("same", file).up().container("one") for each in (lab, other)]
        assert boxes[0].id != boxes[1].id
        assert boxes[0].wait_log("hello") == "hello"
        assert lab.compose("same", file).logs("one") == "hello\n"
        assert lab.networks()[0].name == "same_default"
    assert boxes[0].status == "running"
    assert remains(engine, [other.id]) == []


def test_what_is_wrong_is_said(lab: Lab) -> None:
    with pytest.raises(BadValueError) as invalid:
        lab.compose("bad", "services: {a: {imag: x}}")
    assert "imag" in invalid.value.seen
    nowhere = lab.compose("bad", {"services": {"a": {"image": "nosuch.invalid/x"}}})
    with pytest.raises(ComposeError) as failed:
        nowhere.up()
    assert "nosuch.invalid" in failed.value.log
    assert failed.value.exit_code
    assert failed.value.do


def test_the_reaper_removes_the_project_of_a_killed_owner(engine: Engine) -> None:
    owner = start_owner(OWNER, environ_of(engine.endpoint))
    assert owner.stdout is not None
    lab = owner.stdout.readline().strip()
    assert set(remains(engine, [lab])) == MADE
    owner.kill()
    owner.communicate()
    wait_until(
        lambda: not remains(engine, [lab]),
        timeout=PATIENCE,
        what="the end of the project",
        saw=lambda: remains(engine, [lab]),
    )
