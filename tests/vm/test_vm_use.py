"""A running machine: its engine, its runner, its ports."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from machines import Base

from labkit import Lab, connect
from labkit.engine import VmEngine, the_vm
from labkit.engine.vm import MicroVM
from labkit.waiting import wait_until


def fetch(url: str) -> bytes:
    """The page of a server that may not listen yet."""

    def page() -> bytes:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return bytes(answer.read())
        except OSError:
            return b""

    return wait_until(page, timeout=30, what=url)


def test_the_engine_has_cgroup_v2_and_the_lab_images(engine: VmEngine, lab: Lab) -> None:
    facts = engine.facts
    assert (facts.cgroup_version, facts.storage_driver, facts.rootless) == (2, "overlay2", False)
    assert (facts.swap_limit, facts.pids_limit, facts.cpu_quota) == (True, True, True)
    box = lab.run("base", "sleep 600", name="box", memory="64m")
    assert box.exec("cat /sys/fs/cgroup/memory.max").stdout == f"{64 << 20}\n"


def test_a_restored_guest_knows_the_time(vm: MicroVM) -> None:
    begin = time.time()
    there = float(vm.runner.run("import time; print(time.time())"))
    assert begin - 0.05 < there < time.time() + 0.05


# --- the runner ----------------------------------------------------------------------------------


def test_the_runner_runs_a_program_as_a_stream_and_ends_it_with_the_connection(vm: MicroVM) -> None:
    program = (
        "import sys, os\nprint(os.getpid(), flush=True)\n"
        "for line in sys.stdin: print(line.upper(), end='', flush=True)"
    )
    with vm.runner.open(program) as end, end.makefile("rwb", buffering=0) as stream:
        pid = int(stream.readline())
        for word in (b"one\n", b"two\n"):
            stream.write(word)
            assert stream.readline() == word.upper()
        lives = f"import os; print(os.path.exists('/proc/{pid}'))"
        assert vm.runner.run(lives) == "True\n"
    wait_until(
        lambda: vm.runner.run(lives) == "False\n",
        timeout=10,
        what="the program's end",
        interval=0.2,
    )


def test_no_probe_container_is_needed(engine: VmEngine, lab: Lab) -> None:
    box = lab.run("base", "sleep 1234", name="box")
    assert [process.cmdline for process in box.processes()] == [("sleep", "1234")]
    assert engine.host.how == "by an agent in the micro-VM"
    containers = engine.client.api.containers(all=True)
    assert [one["Id"] for one in containers] == [box.id]


# --- the command line --------------------------------------------------------------------------


@pytest.mark.usefixtures("base")
def test_the_command_line_starts_it_and_docker_talks_to_it(tmp_path: Path) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")}
    environ = {**kept, "LABKIT_HOME": str(tmp_path), "LABKIT_ENGINE": "vm"}

    def labkit(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "labkit", *words],
            env=environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        assert "in a micro-VM of labkit's own" in labkit("engine", "start")
        pid = the_vm_of(tmp_path).pid()
        assert f"the micro-VM runs, pid {pid}" in labkit("engine", "status")
        found = json.loads(labkit("doctor", "--json"))
        assert found["healthy"], found
        assert (found["engine"]["kind"], found["engine"]["cgroup_version"]) == ("vm", 2)
        assert found["vm"]["snapshot"] == "there"
        assert found["room"] > 10
        script = f'eval "$({sys.executable} -m labkit engine env --engine-itself)" && ' \
                 "docker ps --all && " \
                 "docker run --rm labkit/base uname -n -m"  # fmt: skip
        said = subprocess.run(
            ["bash", "-c", script], env=environ, capture_output=True, text=True, check=False
        )
        assert said.returncode == 0, said.stderr
        assert said.stdout.startswith("CONTAINER ID")
        # With these variables alone, connect() knows that it is our machine.
        for line in labkit("engine", "env").splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            environ[name] = value
        del environ["LABKIT_ENGINE"]
        assert json.loads(labkit("doctor", "--json"))["engine"]["kind"] == "vm"
        assert labkit("engine", "stop") == "stopped: the micro-VM\n"
    finally:
        the_vm_of(tmp_path).remove()


COMPOSE = """
services:
  web:
    build: .
    command: httpd -f -p 80 -h /
    init: true
    ports: ["127.0.0.1:{port}:80"]
"""
DOCKERFILE = "FROM labkit/base\nRUN echo composed > /index.html\n"


def test_docker_and_its_plugins_are_there_where_nobody_installed_them(
    engine: VmEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path / "home"))
    environ = {**engine.environ(), "COMPOSE_PROJECT_NAME": f"labkit-{os.getpid()}"}

    def docker(*words: str) -> str:
        done = subprocess.run(
            ["docker", *words], env=environ, cwd=tmp_path, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert docker("info", "--format={{.ID}}").strip() == engine.client.info()["ID"]
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
    (tmp_path / "compose.yaml").write_text(COMPOSE.format(port=port))
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    try:
        docker("compose", "up", "--detach", "--build")
        assert fetch(f"http://127.0.0.1:{port}") == b"composed\n"
    finally:
        docker("compose", "down", "--rmi=local")
    assert docker("buildx", "build", "--quiet", ".").startswith("sha256:")


def test_connect_joins_the_machine_that_runs(
    base: Base, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    found = connect(kind="vm")
    try:
        assert isinstance(found, VmEngine)
        assert found.vm.pid() == the_vm().pid()
        assert connect(kind="vm") is found
    finally:
        found.close()
        the_vm().remove()


def the_vm_of(home: Path) -> MicroVM:
    """The machine of another LABKIT_HOME."""
    return MicroVM(home / "vm", cache=the_vm().cache)
