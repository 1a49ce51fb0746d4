"""A lab's containers: what they run, how they are spoken to, waited for and reached."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from typing import Any

import nbclient
import nbformat
import pytest

from labkit.engine import Engine
from labkit.errors import (
    BadValueError,
    ContainerExitedError,
    ExecTimeoutError,
    NotFoundError,
    WaitTimeoutError,
)
from labkit.lab import Container, Lab
from labkit.waiting import wait_until


def test_exec_tells_exit_code_stdout_and_stderr_apart(lab: Lab) -> None:
    box = lab.run("base", name="box")
    ended = box.exec(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (ended.exit_code, ended.stdout, ended.stderr) == (3, "out\n", "err\n")
    where = box.exec("sh -c 'id -u; pwd; echo $COLOUR'", user="65534", workdir="/tmp",
                     env={"COLOUR": "blue"})  # fmt: skip
    assert where.stdout == "65534\n/tmp\nblue\n"
    large = box.exec("sh -c 'yes 0123456789 | head -c 3000000'")
    assert len(large.stdout) == 3_000_000


def test_exec_that_takes_too_long_is_killed_for_real(lab: Lab) -> None:
    box = lab.run("base", name="box")
    started = time.monotonic()
    with pytest.raises(ExecTimeoutError) as raised:
        # It ignores TERM, and has a child; both must go.
        box.exec("sh -c \"trap '' TERM; echo begun; sleep 987 & wait; sleep 987\"", timeout=0.7)
    assert time.monotonic() - started < 15  # an emulated engine is slow
    assert "begun" in raised.value.seen
    wait_until(lambda: len(box.processes()) == 1, timeout=3, what="the end of the command")
    assert [p.cmdline for p in box.processes()] == [("sleep", "infinity")]
    assert box.status == "running"


def test_files_go_in_and_come_out(lab: Lab) -> None:
    box = lab.run("base", name="box")
    data = bytes(range(256)) * 5000
    box.put("/tmp/data", data)
    box.put("/run.sh", "#!/bin/sh\necho ran\n", mode=0o755)
    assert box.get("/tmp/data") == data
    assert box.exec("/run.sh").stdout == "ran\n"
    assert box.exec("stat -c '%u %a' /run.sh").stdout == "0 755\n"
    with pytest.raises(BadValueError, match="is not a file"):
        box.get("/tmp")
    with pytest.raises(NotFoundError):
        box.get("/tmp/nothing")
    with pytest.raises(NotFoundError):
        box.put("/no/such/folder/file", "x")


def test_a_stopped_container_gives_and_takes_files_and_starts_again(lab: Lab) -> None:
    box = lab.run("base", "cat /note", name="box", start=False)
    assert box.status == "created"
    box.put("/note", "written before it ran\n")
    box.start()
    assert box.wait_exit() == 0
    assert box.logs() == "written before it ran\n"
    assert box.exit_code == 0
    assert box.get("/note") == b"written before it ran\n"
    box.start().wait_exit()
    assert box.logs().count("written") == 2
    assert box.logs(tail=1).count("written") == 1


def test_life(lab: Lab) -> None:
    box = lab.run("base", "sh -c 'trap \"exit 7\" TERM; while :; do sleep 0.05; done'", name="box")
    first = box.pid
    assert box.pause().status == "paused"
    assert box.unpause().status == "running"
    assert box.stop(timeout=5).exit_code == 7
    assert box.start().pid != first
    assert box.kill().wait_exit() == 137
    box.remove()
    box.remove()  # gone already is as good as gone
    with pytest.raises(NotFoundError):
        lab.container("box")


WAITS: dict[str, tuple[str, Callable[[Container, float], object]]] = {
    "log": (
        "echo now open",
        lambda box, timeout: box.wait_log(r"now \w+", timeout=timeout),
    ),
    "port": ("httpd -p 8080", lambda box, timeout: box.wait_port(8080, timeout=timeout)),
    "healthy": ("touch /ok", lambda box, timeout: box.wait_healthy(timeout=timeout)),
    "exit": ("kill 1", lambda box, timeout: box.wait_exit(timeout=timeout)),
    "custom": (
        "touch /made",
        lambda box, timeout: box.wait_until(
            lambda: box.exec("test -e /made").exit_code == 0, what="the file", timeout=timeout
        ),
    ),
    "running": ("", lambda box, timeout: box.wait_running(timeout=timeout)),
}


def waiting(lab: Lab, then: str, *, after: float) -> Container:
    """A container that does something after a while."""
    script = f"trap 'exit 5' TERM; echo begun; sleep {after}; {then}; while :; do sleep 0.1; done"
    return lab.run(
        "base",
        ["sh", "-c", script],
        name="late",
        healthcheck={"test": ["CMD", "test", "-e", "/ok"], "interval": 200_000_000},
        start=bool(then),
    )


@pytest.mark.parametrize("condition", [name for name in WAITS if name != "running"])
def test_waits_come_true(lab: Lab, condition: str) -> None:
    then, wait = WAITS[condition]
    started = time.monotonic()
    found = wait(waiting(lab, then, after=0.4), 30)
    assert 0.3 < time.monotonic() - started < 25
    if condition == "log":
        assert found == "now open"
    if condition == "exit":
        assert found == 5


@pytest.mark.parametrize("condition", WAITS)
def test_waits_time_out_and_say_what_they_saw(lab: Lab, condition: str) -> None:
    then, wait = WAITS[condition]
    box = waiting(lab, then, after=30)
    if then:
        wait_until(lambda: "begun" in box.logs(), timeout=5, what="its first line")
    with pytest.raises(WaitTimeoutError) as raised:
        wait(box, 0.4)
    assert "0.4 s" in raised.value.what
    assert "late" in raised.value.what
    assert f"status {box.status}" in raised.value.seen
    if condition != "exit":
        assert ("begun" in raised.value.seen) == bool(then)
    assert raised.value.do


@pytest.mark.parametrize("condition", ["log", "port", "healthy", "custom", "running"])
def test_waits_end_with_the_container(lab: Lab, condition: str) -> None:
    box = lab.run(
        "base",
        "sh -c 'sleep 0.5; echo my last words; exit 9'",
        name="short",
        healthcheck={"test": ["CMD", "false"], "interval": 200_000_000},
    )
    if condition == "running":
        box.wait_exit()
    with pytest.raises(ContainerExitedError) as raised:
        WAITS[condition][1](box, 20)
    assert raised.value.exit_code == 9
    assert "my last words" in raised.value.logs
    assert "exit code 9" in raised.value.seen


def test_health_of_a_container_without_a_health_check(lab: Lab) -> None:
    with pytest.raises(BadValueError, match="no health check"):
        lab.run("base", name="box").wait_healthy()


def test_a_published_port_answers_http(lab: Lab) -> None:
    web = lab.run("base", "httpd -f -p 80 -h /root", name="web", ports=[80])
    web.put("/root/index.html", "<p>hello from the container")
    web.wait_port(80)
    url = web.url(80)
    assert url == "http://{}:{}".format(*web.published(80))
    with urllib.request.urlopen(f"{url}/index.html", timeout=5) as answer:
        assert answer.read() == b"<p>hello from the container"
    with pytest.raises(BadValueError, match="81/tcp"):
        web.url(81)


def test_once_and_run_many(lab: Lab) -> None:
    ended = lab.once("base", "sh -c 'echo out; echo err >&2; exit 4'")
    assert (ended.exit_code, ended.stdout, ended.stderr) == (4, "out\n", "err\n")
    assert lab.containers() == []
    many = lab.run_many("base", count=7, name="w", memory="32m")
    assert [one.name for one in many] == [f"w-{n}" for n in range(1, 8)]
    assert {one.exec("hostname").stdout.strip() for one in many} == {one.name for one in many}
    assert sorted(one.name for one in lab.containers()) == [one.name for one in many]
    with pytest.raises(WaitTimeoutError):
        lab.once("base", "sleep 100", timeout=0.3, name="endless")
    assert "endless" not in [one.name for one in lab.containers()]


def test_a_lab_in_the_place_of_another_says_what_goes(engine: Engine) -> None:
    v4: Any = nbformat.v4
    notebook = v4.new_notebook(
        cells=[
            v4.new_code_cell(code)
            for code in (
                "import labkit\nlab = labkit.Lab()\nlab.run('base', name='web')",
                "lab = labkit.Lab()",
                "lab = labkit.Lab()",
            )
        ]
    )
    nbclient.NotebookClient(notebook, timeout=120).execute()
    said = [
        "".join(one.text for one in cell.outputs if one.output_type == "stream")
        for cell in notebook.cells[1:]
    ]
    assert said == [
        "labkit: the lab before this one is removed: web\n",
        "labkit: the lab before this one is removed: it had no container\n",
    ]
