"""What lies beside a lab is not there for its socket: not seen, not changed, not joined."""

from __future__ import annotations

import json
import random
import re
import secrets
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from other import OtherEngine
from through import Answer, Foreign, ask, dial, docker, does, foreign, say, tags

from labkit import labels
from labkit.engine import Engine
from labkit.lab import Lab
from labkit.waiting import wait_until

DRAWN = secrets.randbelow(1 << 32)  # the seed of this run's own fuzzing
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def beside(engine: Engine) -> Iterator[Foreign]:
    """What must be the same at the end."""
    with foreign(engine) as made:
        yield made


@pytest.fixture(scope="module")
def lab(engine: Engine) -> Iterator[Lab]:
    """A lab in which something is."""
    with Lab(engine=engine) as made:
        made.run("base", "sleep 10000", name="own", network=made.network("net"), stop_signal="KILL")
        made.volume("vol")
        does(made, "tag", "labkit/base", "img")
        yield made


def knows(answer: Answer, beside: Foreign, *, besides: str = "") -> bool:
    """Whether an answer tells of them, other than by repeating a reference."""
    said = answer.text.replace(besides, "") if besides else answer.text
    return any(word in said for word in (beside.name, beside.id[:12], beside.network_id[:12]))


# --- by name and id ------------------------------------------------------------------------------

IN_CONTAINER = [
    ("GET", "/json"), ("GET", "/top"), ("GET", "/logs?stdout=1"), ("GET", "/changes"),
    ("GET", "/export"), ("GET", "/stats?stream=0"), ("POST", "/start"), ("POST", "/stop"),
    ("POST", "/restart"), ("POST", "/kill"), ("POST", "/pause"), ("POST", "/unpause"),
    ("POST", "/rename?name=stolen"), ("POST", "/update"), ("POST", "/wait"), ("DELETE", "?force=1"),
    ("POST", "/attach?stream=1&stdout=1&logs=1"), ("GET", "/attach/ws?stream=1&logs=1"),
    ("POST", "/resize?h=1&w=1"), ("POST", "/exec"), ("GET", "/archive?path=/etc/hostname"),
    ("PUT", "/archive?path=/"), ("HEAD", "/archive?path=/etc/hostname"),
]  # fmt: skip


def test_a_foreign_container_is_not_there(lab: Lab, beside: Foreign) -> None:
    for reference in beside.references:
        for method, what in IN_CONTAINER:
            body = {"Cmd": ["true"]} if method == "POST" else b"" if method == "PUT" else None
            answer = ask(lab, method, f"/v1.41/containers/{reference}{what}", body)
            assert answer.status == 404, f"{method} {what}: {answer}"
            assert method == "HEAD" or f"No such container: {reference}" in answer.text
        answer = ask(lab, "POST", "/commit", {}, container=reference, repo="stolen")
        assert answer.status == 404, answer


def test_nor_is_its_exec(lab: Lab, beside: Foreign) -> None:
    for method, what in [("GET", "json"), ("POST", "start"), ("POST", "resize?h=1&w=1")]:
        body: object = {} if method == "POST" else None
        answer = ask(lab, method, f"/exec/{beside.exec_id}/{what}", body)
        assert answer.status == 404, answer


def test_nor_are_a_foreign_network_and_volume(lab: Lab, beside: Foreign) -> None:
    for reference in (beside.name, beside.network_id, beside.network_id[:6]):
        assert ask(lab, "GET", f"/networks/{reference}").status == 404
        assert ask(lab, "DELETE", f"/networks/{reference}").status == 404
        for what in ("connect", "disconnect"):
            body = {"Container": "own", "Force": True}
            assert ask(lab, "POST", f"/networks/{reference}/{what}", body).status == 404
    for own in ("net", "bridge"):
        for container in beside.references:
            for what in ("connect", "disconnect"):
                body = {"Container": container, "Force": True}
                assert ask(lab, "POST", f"/networks/{own}/{what}", body).status == 404
    for method in ("GET", "DELETE", "PUT"):
        assert ask(lab, method, f"/volumes/{beside.name}").status == 404


def test_a_foreign_image_can_be_used_and_stays(lab: Lab, beside: Foreign) -> None:
    assert does(lab, "run", "--rm", beside.name, "echo", "used") == "used"
    for reference in (beside.name, beside.image_id, beside.image_id[7:19], f"{beside.name}:latest"):
        for force in ((), ("--force",)):
            done = docker(lab, "rmi", *force, reference)
            assert done.returncode and "not this lab's" in done.stderr
    # A name that is theirs: what the lab calls so is another image, and the lab's.
    does(lab, "tag", "labkit/base", beside.name)
    assert does(lab, "image", "inspect", beside.name, "-f", "{{.Id}}") != beside.image_id
    does(lab, "commit", "own", beside.name)
    does(lab, "build", "-t", beside.name, "-", stdin="FROM labkit/base\nENV A=1\n")
    saved = does_bytes(lab, beside.name)
    assert ask(lab, "POST", "/images/load", saved, headers=TAR).status == 200
    exported = ask(lab, "GET", "/containers/own/export").body
    said = {"fromSrc": "-", "repo": beside.name}
    assert ask(lab, "POST", "/images/create", exported, headers=TAR, **said).status == 200
    does(lab, "rmi", "--force", beside.name)
    assert does(lab, "image", "inspect", beside.name, "-f", "{{.Id}}") == beside.image_id


TAR = {"Content-Type": "application/x-tar"}


def does_bytes(lab: Lab, image: str) -> bytes:
    return ask(lab, "GET", "/images/get", names=image).body


# --- lists, events and filters -------------------------------------------------------------------


def test_no_list_tells_of_them_whatever_the_filter(lab: Lab, beside: Foreign) -> None:
    name, id = beside.name, beside.id
    filters: list[dict[str, Any]] = [
        {}, {"name": [name]}, {"id": [id]}, {"label": [f"who={name}"]}, {"label": ["who"]},
        {"label": [f"{labels.LAB}={lab.id}", f"who={name}"]}, {"label": {f"who={name}": True}},
        {"ancestor": [name]}, {"volume": [name]}, {"network": [name]}, {"status": ["running"]},
        {"network": [beside.network_id]}, {"ancestor": [beside.image_id]}, {"is-task": ["false"]},
        {"type": ["custom"]}, {"driver": ["bridge"]}, {"driver": ["local"]}, {"scope": ["local"]},
        {"dangling": ["0"]}, {"dangling": ["1"]}, {"before": [id]}, {"since": [id]},
        {"exited": ["0"]}, {"publish": ["80"]}, {"label!": ["nothing"]}, {"reference": ["*"]},
        {"name": ["."], "id": [id[:4]]}, {"name": ["("]}, {"label": []}, {"name": {name: False}},
        {"unknown": ["x"]}, {"label": "who"}, {"id": [id], "label": [""]},
    ]  # fmt: skip
    for one in filters:
        for path in ("/containers/json", "/networks", "/volumes"):
            answer = ask(lab, "GET", path, all="1", filters=one)
            assert answer.status in (200, 400, 404), answer
            assert answer.status != 200 or not knows(answer, beside), (path, one)
    for text in ("[]", "null", "{", '{"name":1}', "1", '"x"', '{"label":[1]}', "[" * 4000):
        for path in ("/containers/json", "/networks", "/volumes", "/images/json", "/events"):
            answer = ask(lab, "GET", path, filters=text, until="1", since="1", all="1")
            assert answer.status in (200, 400), (path, text[:20], answer)
            assert path == "/images/json" or not knows(answer, beside)
    usage = ask(lab, "GET", "/system/df").value
    assert beside.name not in str(usage["Containers"]) + str(usage["Volumes"])
    for words in (["ps", "-a"], ["network", "ls"], ["volume", "ls"]):
        assert name not in does(lab, *words)


def test_no_event_tells_of_them(lab: Lab, beside: Foreign, engine: Engine) -> None:
    box: Any = engine.client.containers.get(beside.id)
    # What the tests before did with its image is the lab's own, and was in an earlier second.
    since = now(lab) + 1
    wait_until(lambda: now(lab) >= since, timeout=10, what="the next second")
    box.pause()
    box.unpause()
    extra = engine.client.volumes.create(f"{beside.name}-more")
    extra.remove()
    other = engine.client.networks.create(f"{beside.name}-more")
    other.remove()
    does(lab, "volume", "create", "after")  # this one is seen
    until = now(lab) + 1
    for one in ({}, {"container": [beside.id]}, {"container": [beside.name]},
                {"network": [beside.name]}, {"volume": [beside.name]}, {"type": ["container"]},
                {"label": [f"who={beside.name}"]}, {"event": ["pause", "create"]}):  # fmt: skip
        answer = ask(lab, "GET", "/events", since=str(since), until=str(until), filters=one)
        assert answer.status == 200 and not knows(answer, beside), one
    everything = ask(lab, "GET", "/events", since=str(since), until=str(until))
    assert '"after"' in everything.text
    does(lab, "volume", "rm", "after")


def now(lab: Lab) -> int:
    """The engine's own time."""
    said = str(ask(lab, "GET", "/info").value["SystemTime"])
    return int(datetime.fromisoformat(said[:19] + "+00:00").timestamp())


# --- a new container that would join them --------------------------------------------------------


def test_nothing_joins_them(lab: Lab, beside: Foreign) -> None:
    tried: list[dict[str, Any]] = []
    for one in beside.references:
        tried += [
            {"HostConfig": {"PidMode": f"container:{one}"}},
            {"HostConfig": {"IpcMode": f"container:{one}"}},
            {"HostConfig": {"NetworkMode": f"container:{one}"}},
            {"HostConfig": {"VolumesFrom": [one]}},
            {"HostConfig": {"VolumesFrom": [f"{one}:ro"]}},
            {"HostConfig": {"Links": [f"{one}:db"]}},
            {"HostConfig": {"Links": [one]}},
            # Go reads fields whatever their case.
            {"hostconfig": {"PIDMODE": f"container:{one}"}},
            {"HOSTCONFIG": {"volumesfrom": [one]}},
            {"hoſtConfig": {"VolumesFrom": [one]}},
        ]
    for one in (beside.name, beside.network_id, beside.network_id[:8]):
        tried += [
            {"HostConfig": {"NetworkMode": one}},
            {"hostConfig": {"networkMode": one}},
            {"NetworkingConfig": {"EndpointsConfig": {one: {}}}},
            {"networkingconfig": {"endpointsconfig": {one: {}}}},
            {"NetworkingConfig": {"EndpointsConfig": {"net": {"NetworkID": one}}}},
        ]
    for body in tried:
        answer = ask(lab, "POST", "/containers/create", {"Image": "labkit/base", **body})
        assert answer.status == 400, (body, answer)  # as the engine itself: 404 is for images
    twice = b'{"Image":"labkit/base","HostConfig":{},"hostConfig":{"VolumesFrom":["%s"]}}'
    answer = ask(lab, "POST", "/containers/create", twice % beside.name.encode())
    assert answer.status == 400, answer
    swapped = {"HostConfig": {"NetworkMode": "container:own"},
               "NetworkingConfig": {"EndpointsConfig": {beside.name: {}}}}  # fmt: skip
    assert ask(lab, "POST", "/containers/create", {"Image": "labkit/base", **swapped}).status == 400


def test_a_link_in_a_network_is_to_who_may_come_to_be_in_the_lab(lab: Lab, beside: Foreign) -> None:
    does(lab, "network", "create", "own-net")
    for one in (beside.name, beside.references[-1]):
        end = {"Links": [f"{one}:db"]}
        body = {"HostConfig": {"NetworkMode": "own-net"},
                "NetworkingConfig": {"EndpointsConfig": {"own-net": end}}}  # fmt: skip
        id = ask(lab, "POST", "/containers/create", {"Image": "labkit/base", **body}).value["Id"]
        seen = lab.engine.client.api.inspect_container(id)["NetworkSettings"]["Networks"]
        (found,) = seen.values()
        assert found["Links"] == [f"labkit-{lab.id}-{one}:db"]
        does(lab, "rm", id)


def test_a_volume_of_their_name_is_another(lab: Lab, beside: Foreign) -> None:
    ways: list[dict[str, Any]] = [
        {"Binds": [f"{beside.name}:/v"]},
        {"binds": [f"{beside.name}:/v"]},
        {"Mounts": [{"Type": "volume", "Source": beside.name, "Target": "/v"}]},
        {"mounts": [{"type": "volume", "source": beside.name, "target": "/v"}]},
    ]
    for way in ways:
        body = {"Image": "labkit/base", "Cmd": ["true"], "hostConfig": way}
        id = ask(lab, "POST", "/containers/create", body).value["Id"]
        mounts = lab.engine.client.api.inspect_container(id)["Mounts"]
        assert [one["Name"] for one in mounts] == [f"labkit-{lab.id}-{beside.name}"], way
        does(lab, "rm", id)
    made = ask(lab, "POST", "/volumes/create", {"name": beside.name}).value
    assert made["Labels"] is None or "who" not in made["Labels"]
    does(lab, "volume", "rm", beside.name)
    assert ask(lab, "GET", f"/volumes/{beside.name}").status == 404


def test_a_start_in_the_old_way_brings_no_volume(lab: Lab, beside: Foreign) -> None:
    """Before API 1.24 a start took what belongs to the making."""
    id = does(lab, "create", "labkit/base", "true")
    body = {"Binds": [f"{beside.name}:/v"], "VolumesFrom": [beside.name]}
    for version in ("", "/v1.12", "/v1.23", "/v1.41"):
        ask(lab, "POST", f"{version}/containers/{id}/start", body)
        assert lab.engine.client.api.inspect_container(id)["Mounts"] == [], version
    does(lab, "rm", "-f", id)


# --- all at once ---------------------------------------------------------------------------------


def test_prune_and_rm_of_everything(engine: Engine, beside: Foreign) -> None:
    with Lab(engine=engine) as lab:
        box = does(lab, "run", "-d", "--stop-signal", "KILL", "labkit/base", "sleep", "1000")
        does(lab, "run", "labkit/base", "true")
        does(lab, "volume", "create", "vol")
        does(lab, "network", "create", "net")
        does(lab, "tag", "labkit/base", "img")
        every = does(lab, "ps", "-aq").split()
        assert len(every) == 2
        does(lab, "rm", "-f", *every)
        assert box not in does(lab, "ps", "-aq", "--no-trunc")
        said = does(lab, "system", "prune", "-af", "--volumes")
        assert beside.name not in said
        for what in ("containers", "networks", "volumes", "images", "build"):
            for filters in ({}, {"label": [f"who={beside.name}"]}, {"dangling": ["false"]},
                            {"label": [f"{labels.LAB}"]}, {"label!": [f"{labels.LAB}={lab.id}"]},
                            {"until": ["1s"]}, {"all": ["true"]}):  # fmt: skip
                answer = ask(lab, "POST", f"/{what}/prune", b"", filters=filters)
                assert answer.status in (200, 400), answer
                assert beside.name not in answer.text
        assert "labkit/base" in does(lab, "images", "--format", "{{.Repository}}")


def test_a_form_in_the_body_is_not_read(lab: Lab, beside: Foreign, engine: Engine) -> None:
    """Go takes a form's values before those of the query."""
    ended = f"{beside.name}-ended"
    stopped: Any = engine.client.containers.create("labkit/base", name=ended, labels={"who": ended})
    said = json.dumps({"label": [f"who={ended}"]}).encode()  # whatever happens, nobody else's
    try:
        for kind in (*FORM.values(), "Application/X-WWW-Form-URLencoded; charset=utf-8"):
            for path in ("containers", "networks", "images"):
                ask(
                    lab,
                    "POST",
                    f"/{path}/prune",
                    b"filters=" + said,
                    headers={"Content-Type": kind},
                )
        stopped.reload()
        steal = f"repo={beside.name}&tag=latest".encode()
        ask(lab, "POST", "/images/labkit/base/tag?repo=other", steal, headers=FORM)
        ask(lab, "POST", "/containers/own/rename?name=own", b"name=labkit-stolen", headers=FORM)
        assert lab.container("own").docker.name == f"labkit-{lab.id}-own"
    finally:
        stopped.remove()


# --- two labs ------------------------------------------------------------------------------------

ON_IMAGES = (
    ["image", "inspect"], ["history"], ["tag"], ["rmi", "-f"], ["save"],
    ["create", "--pull=never"], ["push"],
)  # fmt: skip


def test_two_labs_with_the_same_names(engine: Engine) -> None:
    with Lab(engine=engine) as one, Lab(engine=engine) as two:
        for lab in (one, two):
            does(lab, "network", "create", "net")
            does(lab, "volume", "create", "vol")
            does(lab, "build", "-t", "img", "-", stdin=f"FROM labkit/base\nENV WHOSE={lab.id}\n")
            does(lab, "run", "-d", "--name", "web", "--network", "net", "-v", "vol:/v",
                 "--stop-signal", "KILL", "img", "sleep", "10000")  # fmt: skip
        for lab, another in ((one, two), (two, one)):
            assert does(lab, "exec", "web", "sh", "-c", "echo $WHOSE") == lab.id
            assert does(lab, "ps", "--format", "{{.Names}}") == "web"
            theirs = another.container("web").id
            for reference in (theirs, f"labkit-{another.id}-web"):
                assert docker(lab, "inspect", reference).returncode
                assert "No such container" in docker(lab, "rm", "-f", reference).stderr
            assert another.id not in does(lab, "images", "-a", "--no-trunc")
            image = engine.client.images.get(f"labkit-{another.id}/img")
            theirs = f"labkit-{another.id}/img"
            names = (theirs, f"docker.io/{theirs}", f"index.docker.io/{theirs}:latest",
                     str(image.id), str(image.id)[7:19])  # fmt: skip
            for name in names:
                for words in ON_IMAGES:
                    more = ["stolen"] if words == ["tag"] else []
                    done = docker(lab, *words, name, *more)
                    assert re.search("o such image|does not exist", done.stderr), (words, name)
            assert another.id not in does(lab, "history", "--format", "{{json .}}", "img")
            assert another.id not in ask(lab, "GET", "/images/img/history").text
            assert another.id not in ask(lab, "GET", "/system/df").text
        does(one, "rm", "-f", "web")
        does(one, "system", "prune", "-af", "--volumes")
        assert does(two, "exec", "web", "sh", "-c", "echo $WHOSE") == two.id
        assert does(two, "volume", "ls", "-q") == "vol"


def test_one_image_with_names_of_two_labs(engine: Engine) -> None:
    """To remove it by its id, forced, would take the other's name along."""
    box = engine.client.containers.create("labkit/base", "true")
    image: Any = box.commit(repository=(name := f"foreign-{secrets.token_hex(3)}"))
    box.remove()
    with Lab(engine=engine) as one, Lab(engine=engine) as two:
        for lab in (one, two):
            does(lab, "tag", name, "mine")
        engine.client.images.remove(name)
        for words in (["rmi", "-f"], ["rmi"]):
            assert docker(one, *words, str(image.id)).returncode
        does(one, "rmi", "mine")
        assert does(two, "run", "--rm", "mine", "echo", "there") == "there"


def test_builds_of_two_labs_at_once_take_each_its_own(engine: Engine) -> None:
    """A Dockerfile's FROM names the lab's own image, by the name that both have."""
    with Lab(engine=engine) as one, Lab(engine=engine) as two:
        for lab in (one, two):
            does(lab, "build", "-t", "img", "-", stdin=f"FROM labkit/base\nENV WHOSE={lab.id}\n")
        found: dict[str, str] = {}

        def build(lab: Lab) -> None:
            said = f"FROM img\nRUN sleep 1; echo {lab.id}\n"
            does(lab, "build", "-t", "made", "-", stdin=said)
            found[lab.id] = does(lab, "run", "--rm", "made", "sh", "-c", "echo $WHOSE")

        threads = [threading.Thread(target=build, args=(lab,)) for lab in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == {lab.id: lab.id for lab in (one, two)}
    assert "img:latest" not in tags(engine)


def test_what_one_lab_lends_another_does_not_see(engine: Engine) -> None:
    """Names without labels: only the name beside it says whose a lent one is."""
    app = f"app-{secrets.token_hex(3)}"
    head = b"POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n"
    with Lab(engine=engine) as one, Lab(engine=engine) as two:
        does(one, "tag", "labkit/base", app)
        with dial(one) as build:
            build.sendall(head + b"xxx")

            wait_until(lambda: f"{app}:latest" in tags(engine), timeout=60, what="the name")
            assert does(one, "images").count(app) == 1
            assert app not in does(two, "images")
            mark = f"labkit-{one.id}/labkit.lent/{app}"
            for name in (app, f"docker.io/library/{app}:latest", mark, f"labkit-{one.id}/{app}"):
                for words in ON_IMAGES:
                    more = ["stolen"] if words == ["tag"] else []
                    done = docker(two, *words, name, *more)
                    assert re.search("o such image|does not exist", done.stderr), (words, name)
            assert app not in does(two, "image", "inspect", "labkit/base")
            assert app not in does(two, "history", "--format", "{{json .}}", "labkit/base")
            assert app not in ask(two, "GET", "/images/labkit/base/history").text
            assert app not in ask(two, "GET", "/system/df").text
            assert "labkit.lent" not in does(one, "image", "inspect", app)
            # Whoever has it may use it, and who makes one of that name has his own.
            assert does(one, "run", "--rm", app, "echo", "mine") == "mine"
            does(two, "tag", "labkit/toolbox", app)
            assert does(two, "run", "--rm", app, "bash", "-c", "echo $0") == "bash"
            does(two, "rmi", app)
        wait_until(lambda: f"{app}:latest" not in tags(engine), timeout=60, what="its end")
        assert not [tag for tag in tags(engine) if "labkit.lent" in tag and one.id in tag]


@pytest.mark.parametrize("kind", ["classic", "buildx"])
def test_a_build_begins_from_no_other_labs_image(engine: Engine, kind: str) -> None:
    words = ("build",) if kind == "classic" else ("buildx", "build")
    with Lab(engine=engine) as one, Lab(engine=engine) as two:
        own = f"FROM labkit/base\nRUN echo {one.id} >/whose\n"
        does(one, *words, "-t", "app", "-", stdin=own)
        does(one, "tag", "labkit/base", "tagged")
        app = f"labkit-{one.id}/app"
        for said in (
            f"FROM {app}\n", f"from --platform=linux/amd64 docker.io/{app}:latest AS x\n",
            f"ARG BASE={app}\nFROM $BASE\n", f"# {'x' * 3000}\nFROM {app}\n",
            f"FROM labkit/base\nCOPY --from={app} /whose /whose\n",
            f"FROM labkit-{one.id}/tagged\n",
        ):  # fmt: skip
            done = docker(two, *words, "-t", "made", "-", stdin=said)
            assert done.returncode, said
            assert "unknown.invalid" in done.stderr + done.stdout, (said, done)
        done = docker(two, *words, f"--build-arg=BASE={app}", "-", stdin="ARG BASE\nFROM $BASE\n")
        assert done.returncode
        assert "unknown.invalid" in done.stderr + done.stdout
        # One's own is there by that name too, and what only speaks of it passes as it is.
        does(two, "tag", "labkit/base", "mine")
        said = f"FROM labkit-{two.id}/mine\nRUN echo {app} >/note\n"
        does(two, *words, "-t", "made", "-", stdin=said)
        assert does(two, "run", "--rm", "made", "cat", "/note") == app


# --- paths, encodings and framing ----------------------------------------------------------------


def test_other_spellings_of_a_path(lab: Lab, beside: Foreign) -> None:
    name = beside.name
    for path in (
        f"/containers/own/../{name}/json", f"/containers/own/%2e%2e/{name}/json",
        f"/containers/own%2F..%2F{name}/json", f"/containers//{name}/json",
        f"//containers/{name}/json", f"/v1.41/v1.41/containers/{name}/json",
        f"/v1.41//containers/{name}/json", f"/containers/{name}%2Fjson",
        f"/./containers/{name}/json",
        f"/containers/%252e%252e/containers/{name}/json", f"/containers/{name}/json/",
        f"/v1.41/../containers/{name}/json", f"/containers/{name};x/json",
        f"/CONTAINERS/{name}/json",
        f"/networks/bridge%2F..%2F..%2Fcontainers%2F{name}%2Fjson", f"/containers/{name}%00/json",
        f"/images/x/../../containers/{name}/json", f"/images/a%3F/../../containers/{name}/json",
        f"/volumes/vol/../{name}", f"/networks/net/../{name}", f"/exec/x/../{beside.exec_id}/json",
        f"/distribution/../containers/{name}/json", f"/images/%2e%2e/containers/{name}/json",
        f"/nodes/../containers/{name}/json", f"/plugins/..%2fcontainers/{name}/json",
        f"/swarm/../containers/{name}/json", f"/secrets/../containers/{name}/json",
        f"http://docker/containers/{name}/json", f"/containers/json/../{name}/json",
    ):  # fmt: skip
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        [answer] = say(lab, request)
        assert answer.status in (400, 404, 405), (path, answer)
        assert not knows(answer, beside, besides=name), (path, answer)
    bodies: list[dict[str, Any]] = [
        {"Image": f"x/../../containers/{name}"},
        {"Image": f"x%2f..%2f..%2fcontainers%2f{name}"},
        {"Image": f"../containers/{name}"},
        {"Image": "labkit/base", "HostConfig": {"NetworkMode": f"../containers/{name}"}},
    ]
    for body in bodies:
        assert ask(lab, "POST", "/containers/create", body).status in (400, 404)


def test_a_parameter_that_is_there_twice(lab: Lab, beside: Foreign) -> None:
    name = beside.name
    theirs = f'{{"label":["who={name}"]}}'
    for path in (
        f"/commit?container=own&container={name}&repo=img&repo={name}",
        f"/commit?container={name}&container=own",
        f"/images/labkit/base/tag?repo=&repo={name}",
        f"/images/labkit/base/tag?repo=img&repo={name}&tag=latest&tag=latest",
        f"/containers/own/rename?name=own2&name={name}",
        f"/containers/prune?filters={{}}&filters={theirs}",
        f"/networks/prune?filters={theirs}&filters=",
    ):
        ask(lab, "POST", path, b"{}")
    does(lab, "rename", "own2", "own")
    listed = '/containers/json?filters={"name":["own"]}&filters={}&all=0&all=1'
    found = ask(lab, "GET", listed).value
    assert [one["Names"] for one in found] == [["/own"]]


def test_a_second_request_behind_the_first(lab: Lab, beside: Foreign) -> None:
    """What follows a stream, an upgrade or a refused upgrade never reaches the engine by itself."""
    second = f"GET /containers/{beside.id}/json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for first in (
        "GET /containers/own/logs?stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /containers/own/archive?path=/etc/hostname HTTP/1.1\r\nHost: x\r\n\r\n",
        "HEAD /containers/own/archive?path=/etc/hostname HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /containers/own/archive?path=/nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
        "PUT /containers/own/archive?path=/nowhere HTTP/1.1\r\nHost: x\r\n"
        "Content-Length: 0\r\n\r\n",
        "POST /containers/nobody/attach HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /containers/own/attach?stream=0&logs=1&stdout=1 HTTP/1.1\r\nHost: x\r\n"
        "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
        "GET /images/get?names=img HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /session HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /grpc HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n",
    ):  # fmt: skip
        with dial(lab) as line:
            line.sendall((first + second).encode())
            line.shutdown(1)
            heard = b""
            while part := line.recv(1 << 16):
                heard += part
        assert beside.name.encode() not in heard and b'"State"' not in heard, (first, heard[-500:])


def test_requests_that_are_framed_in_two_ways(lab: Lab, beside: Foreign) -> None:
    hidden = f"GET /containers/{beside.id}/json HTTP/1.1\r\nHost: x\r\n\r\n"
    size = len(hidden)
    chunk = f"{size:x}\r\n{hidden}\r\n0\r\n\r\n"
    for target in (
        "POST /containers/own/exec", "PUT /containers/own/archive?path=/nowhere",
        "POST /images/create?fromSrc=-&repo=img2", "GET /containers/own/logs?stdout=1",
    ):  # fmt: skip
        for heads, body in (
            (f"Content-Length: 0\r\nContent-Length: {size}\r\n", hidden),
            ("Content-Length: 0, 0\r\n", hidden),
            ("Content-Length: +0\r\n", hidden),
            ("Content-Length: -1\r\n", hidden),
            ("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", chunk),
            ("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", chunk),
            ("Transfer-Encoding: chunked, chunked\r\n", chunk),
            ("Transfer-Encoding: identity\r\n", hidden),
            ("Transfer-Encoding : chunked\r\n", chunk),
            ("Transfer-Encoding:\tchunked\r\nTransfer-Encoding: identity\r\n", chunk),
            ("X: a\r\n Transfer-Encoding: chunked\r\n", hidden),
            ("X: a\rTransfer-Encoding: chunked\r\n", chunk),
        ):
            request = f"{target} HTTP/1.1\r\nHost: x\r\n{heads}\r\n{body}"
            for answer in say(lab, request.encode(), end=True):
                assert not knows(answer, beside, besides=beside.id), (request, answer)


# --- a swarm -------------------------------------------------------------------------------------


@pytest.mark.timeout(250)
def test_a_swarms_secrets_and_configs_of_others_are_not_there(other_engine: OtherEngine) -> None:
    engine = other_engine.engine
    api: Any = engine.client  # the stubs lack a swarm's types
    api.swarm.init(advertise_addr="127.0.0.1", listen_addr="127.0.0.1:2377")
    with Lab(engine=engine) as one, Lab(engine=engine) as two:
        for kind in ("secrets", "configs"):
            made = getattr(api, kind).create(name="beside", data=b"beside")
            said = {"Name": "theirs", "Data": "eA==", "Labels": {labels.LAB: two.id}}
            theirs = str(ask(one, "POST", f"/{kind}/create", said).value["ID"])
            mine = str(
                ask(two, "POST", f"/{kind}/create", {"Name": "my-own", "Data": "eA=="}).value["ID"]
            )
            field = kind.capitalize()
            before = [each.attrs for each in getattr(api, kind).list()]
            assert len(before) == 3
            names = ("theirs", f"labkit-{one.id}-theirs", theirs, theirs[:8], "beside", made.id)
            for name in names:
                by: tuple[dict[str, list[str]], ...] = (
                    {"name": [name]}, {"id": [name]}, {},
                    {"label": [f"{labels.LAB}={one.id}"]}, {"label": []},
                )  # fmt: skip
                for filters in by:
                    answer = ask(two, "GET", f"/{kind}", filters=filters)
                    assert answer.status == 200, answer
                    assert {each["ID"] for each in answer.value} <= {mine}, (name, filters)
                assert ask(two, "GET", f"/{kind}/{name}").status == 404
                assert ask(two, "DELETE", f"/{kind}/{name}").status == 404
                spec = {"Name": "theirs", "Labels": {}}
                answer = ask(two, "POST", f"/{kind}/{name}/update?version=1", spec)
                assert answer.status == 404, answer
                for used in (
                    {f"{field[:-1]}ID": name, f"{field[:-1]}Name": "my-own"},
                    {f"{field[:-1]}Name": name}, {f"{field[:-1]}id".lower(): name},
                ):  # fmt: skip
                    file = {"Name": "/f", "UID": "0", "GID": "0", "Mode": 0o400}
                    for key in (field, kind):
                        spec = {"Name": "svc", "TaskTemplate": {"ContainerSpec": {
                            "Image": "labkit/base", key: [{**used, "File": file}]}}}  # fmt: skip
                        answer = ask(two, "POST", "/services/create", spec)
                        assert answer.status == 404, (spec, answer)
                if kind == "configs":
                    spec = {"Name": "svc", "TaskTemplate": {"ContainerSpec": {
                        "Image": "labkit/base", "Privileges": {"CredentialSpec": {
                            "Config": name}}}}}  # fmt: skip
                    answer = ask(two, "POST", "/services/create", spec)
                    assert answer.status == 404, answer
            assert [each.attrs for each in getattr(api, kind).list()] == before
            # One's own can be used.
            file = {"Name": "/f", "UID": "0", "GID": "0", "Mode": 0o400}
            used = {f"{field[:-1]}ID": mine, f"{field[:-1]}Name": "my-own", "File": file}
            spec = {"Name": kind, "TaskTemplate": {"ContainerSpec": {
                "Image": "labkit/base", "Command": ["sleep", "1000"], field: [used]}}}  # fmt: skip
            assert ask(two, "POST", "/services/create", spec).status == 201
            for path in (f"/services/{kind}", f"/{kind}/my-own"):
                assert ask(one, "GET", path).status == 404
                assert ask(one, "DELETE", path).status == 404
                assert ask(two, "DELETE", path).status in (200, 204)


# --- BuildKit and Compose ------------------------------------------------------------------------


def test_a_build_by_buildkit_names_its_own(lab: Lab, beside: Foreign) -> None:
    made = "FROM labkit/base\nENV BY=buildkit\n"
    for name in (beside.name, f"docker.io/library/{beside.name}", f"{beside.name}:latest"):
        claim = f"--label={labels.LAB}=another"
        does(lab, "buildx", "build", "-t", name, claim, "-", stdin=made)
        own = lab.engine.client.images.get(f"labkit-{lab.id}/{beside.name}")
        assert own.labels[labels.LAB] == lab.id
        does(lab, "rmi", "-f", beside.name)


COMPOSE = """
services:
  web: {image: labkit/base, command: sleep 10000, stop_signal: KILL, volumes: ["data:/d"]}
volumes: {data: {}}
"""


def test_one_project_name_in_two_labs_and_beside(engine: Engine, beside: Foreign) -> None:
    """Compose finds by labels what is of a project; the same one is on the engine itself, too."""
    project = f"p{secrets.token_hex(3)}"
    said = {"project": project, "service": "web", "oneoff": "False", "container-number": "1"}
    theirs = {f"com.docker.compose.{key}": value for key, value in said.items()}
    box = engine.client.containers.run(
        "labkit/base", "sleep 10000", detach=True, labels=theirs, name=f"{project}-web-1",
        stop_signal="KILL",
    )  # fmt: skip
    try:
        with Lab(engine=engine) as one, Lab(engine=engine) as two:
            for lab in (one, two):
                does(lab, "compose", "-p", project, "-f", "-", "up", "-d", stdin=COMPOSE)
            assert [c.name for c in two.containers()] == [f"{project}-web-1"]
            does(one, "compose", "-p", project, "-f", "-", "down", "-v", "-t0", stdin=COMPOSE)
            assert one.containers() == [] and one.volumes() == [] and one.networks() == []
            assert two.container(f"{project}-web-1").status == "running"
            box.reload()
            assert box.status == "running"
    finally:
        box.remove(force=True)


# --- fuzz ----------------------------------------------------------------------------------------

METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "get", "FOO"]
WORDS = [
    "containers", "networks", "volumes", "images", "exec", "services", "secrets", "configs",
    "tasks", "json", "create", "prune", "own", "net", "vol", "img", "start", "kill", "rename",
    "tag", "history", "get", "push", "load", "connect", "disconnect", "update", "logs", "archive",
    "attach", "stats", "commit", "build", "grpc", "session", "events", "info", "version", "_ping",
    "system", "df", "distribution", "nodes", "auth", "search", "..", ".", "",
    "%2e%2e", "%2f", "%00", "%ff",
    "v1.41", "v1.12", "v99.9", "labkit", "conversation", "\u0663", "a" * 300, "wait", "resize",
    "copy",
]  # fmt: skip
KEYS = [
    "name", "filters", "all", "limit", "force", "v", "repo", "tag", "container", "changes", "t",
    "fromImage", "fromSrc", "names", "stream", "since", "until", "path", "labels", "networkmode",
]  # fmt: skip
FIELDS = [
    "Image", "Cmd", "Labels", "HostConfig", "hostconfig", "NetworkingConfig", "EndpointsConfig",
    "Binds", "Mounts", "Type", "Source", "Target", "Links", "VolumesFrom", "NetworkMode", "PidMode",
    "Name", "Container", "EndpointConfig", "Aliases", "Driver", "IPAM", "Config", "Spec", "Detach",
    "TaskTemplate", "ContainerSpec", "Networks", "Secrets", "Data", "VolumeOptions", "Force",
]  # fmt: skip


class Fuzz:
    """Draws requests."""

    def __init__(self, seed: int, beside: Foreign, lab: Lab) -> None:
        self.draw = random.Random(seed)
        theirs = [*beside.references, beside.network_id, beside.image_id, beside.exec_id]
        self.names = [*theirs, lab.id, f"labkit-{lab.id}-own", "own", "net", "vol", "img"]

    def path(self) -> str:
        draw = self.draw
        parts = draw.choices([*WORDS, *self.names * 2], k=draw.randint(1, 5))
        if draw.random() < 0.6:
            parts[0] = draw.choice(WORDS[:9])
        query = "&".join(
            f"{draw.choice(KEYS)}={self.value()}" for _ in range(draw.choice([0, 0, 1, 2, 3]))
        )
        return "/" + "/".join(parts) + (f"?{query}" if query else "")

    def value(self) -> str:
        draw = self.draw
        named = draw.choice(self.names)
        return draw.choice([
            named, "1", "", "0", "-1", "9" * 30, "%7B%7D", "%5B", "null", "\u00e9",
            f"%7B%22label%22%3A%5B%22{named}%22%5D%7D", f"container:{named}",
        ])  # fmt: skip

    def json(self, depth: int = 0) -> Any:
        draw = self.draw
        if depth > 3 or draw.random() < 0.3:
            named = draw.choice(self.names)
            return draw.choice([
                None, True, 0, -1, 1e400, "", *self.names, f"{named}:/v", f"container:{named}",
                "volume", "labkit/base", "\ud800",
            ])  # fmt: skip
        if draw.random() < 0.3:
            return [self.json(depth + 1) for _ in range(draw.randint(0, 3))]
        return {draw.choice(FIELDS): self.json(depth + 1) for _ in range(draw.randint(0, 6))}

    def request(self) -> bytes:
        draw = self.draw
        body = b""
        if draw.random() < 0.7:
            body = json.dumps(self.json()).encode()
        if draw.random() < 0.1:
            body = draw.randbytes(draw.randint(0, 400))
        size = len(body) if draw.random() < 0.95 else draw.choice([0, len(body) // 2])
        kind = draw.choice(["application/json"] * 4 + ["application/x-tar", *FORM.values()])
        lines = [
            f"{draw.choice(METHODS[:4] * 5 + METHODS)} {self.path()} HTTP/1.1",
            "Host: x", "Connection: close", f"Content-Type: {kind}", f"Content-Length: {size}",
        ]  # fmt: skip
        if draw.random() < 0.1:
            lines += ["Connection: Upgrade", "Upgrade: tcp"]
        made = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        if draw.random() < 0.05:
            at = draw.randrange(len(made))
            made = made[:at] + draw.randbytes(3) + made[at + 3 :]
        return made


@pytest.mark.parametrize("seed", [20260727, DRAWN], ids=["fixed", "drawn"])
def test_fuzz(engine: Engine, beside: Foreign, seed: int) -> None:
    print(f"seed {seed}")
    with Lab(engine=engine) as lab:
        lab.run("base", "sleep 10000", name="own", stop_signal="KILL")
        fuzz = Fuzz(seed, beside, lab)
        statuses: dict[int, int] = {}
        for number in range(800):
            request = fuzz.request()
            with dial(lab) as line:
                line.sendall(request)
                line.shutdown(1)
                heard = b""
                while part := line.recv(1 << 16):
                    heard += part
            found = re.match(rb"HTTP/1\.\d (\d+)", heard)
            assert found or not heard, (number, request, heard[:200])
            status = int(found[1]) if found else 0
            statuses[status] = statuses.get(status, 0) + 1
            assert b"Traceback" not in heard
            assert b'"State"' not in heard or beside.id.encode() not in heard, (number, request)
        print(statuses)
        assert does(lab, "version", "-f", "{{.Server.APIVersion}}")
        assert docker(lab, "ps", "-a").returncode == 0
