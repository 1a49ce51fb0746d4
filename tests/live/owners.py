"""Programs that own labs, to be killed: each prints its lab's id, then works until it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import psutil
from docker.types import ConfigReference, SecretReference, ServiceMode
from other import PACKAGES

from labkit.engine import Engine
from labkit.engine.endpoint import Endpoint
from labkit.lab import Lab
from labkit.labels import LAB, NAME

BUSY = """
import random, sys
from contextlib import suppress
from labkit import Lab, LabError
rng = random.Random(int(sys.argv[1]))
lab = Lab()
print(lab.id, flush=True)
number = 0
while True:
    number += 1
    what = rng.choice(["container", "network", "volume", "image", "both"])
    if what == "container":
        lab.run("base", name=f"c{number}", network="none", stop_signal="KILL")
    if what == "network":
        lab.network(f"n{number}")
    if what == "volume":
        lab.volume(f"v{number}")
    if what == "image":
        lab.build(f"i{number}", f"FROM labkit/base\\nENV N={lab.id}{number}\\n")
    if what == "both":
        net, volume = lab.network(f"n{number}"), lab.volume(f"v{number}")
        lab.run("base", name=f"c{number}", network=net, volumes={volume: "/v"})
"""

IDLE = """
import time
from labkit import Lab
lab = Lab()
net, volume = lab.network("net"), lab.volume("vol")
lab.run("base", name="box", network=net, volumes={volume: "/v"})
lab.build("img", f"FROM labkit/base\\nENV N={lab.id}\\n")
print(lab.id, lab.reaper.pid, flush=True)
time.sleep(1000)
"""


def fill_swarm(lab: Lab) -> None:
    """Two services of two tasks each, whose programs ignore TERM, and what they use."""
    client: Any = lab.engine.client  # the stubs lack a swarm's types
    name = f"s{lab.id}"
    net = lab.network("mesh", driver="overlay", attachable=True)
    config = client.configs.create(name=name, data=b"x", labels=lab.labels("config"))
    secret = client.secrets.create(name=name, data=b"x", labels=lab.labels("secret"))
    for service, more in (("one", {}), ("two", {"container_labels": lab.labels("two")})):
        client.services.create(
            "labkit/base",
            ["sleep", "1000"],
            name=f"{service}{lab.id}",
            labels=lab.labels(service),
            networks=[net.id],
            mode=ServiceMode("replicated", replicas=2),
            configs=[ConfigReference(config.id, name)],
            secrets=[SecretReference(secret.id, name)],
            **more,
        )
    lab.run("base", name="box", network=net)


def start_owner(
    code: str, environment: dict[str, str], *arguments: object
) -> subprocess.Popen[str]:
    """Start one; its first line says which lab is its own."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def ended(pid: int) -> bool:
    """Whether a process runs no more; its parent may not have asked yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def remains(engine: Engine, labs: Iterable[str]) -> list[str]:
    """What the engine still holds of these labs, as "container web"."""
    api, wanted = engine.client.api, set(labs)
    listed = [
        ("container", api.containers(all=True, filters={"label": LAB})),
        ("network", api.networks(filters={"label": LAB})),
        ("volume", api.volumes(filters={"label": LAB})["Volumes"] or []),
        ("image", api.images(all=True, filters={"label": LAB})),
    ]
    return [
        f"{kind} {item['Labels'].get(NAME, '?')}"  # "?": a step of a build
        for kind, items in listed
        for item in items
        if (item["Labels"] or {}).get(LAB) in wanted
    ]


def environ_of(endpoint: Endpoint) -> dict[str, str]:
    """This process's environment, with the engine chosen."""
    return {**os.environ, **endpoint.environ(), "PYTHONPATH": PACKAGES}
