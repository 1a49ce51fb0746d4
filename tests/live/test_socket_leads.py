"""Where `docker` leads: in a kernel, in a terminal, after a lab's end; and what was said there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from jupyter_client.manager import start_new_kernel
from kernels import Kernel
from owners import ended

from labkit import Lab
from labkit.engine import Engine
from labkit.errors import EngineGoneError
from labkit.waiting import wait_until

NAMES = "docker ps --all --format '{{.Names}}' | sort"


@pytest.fixture
def home(tmp_path: Path, engine: Engine) -> Iterator[dict[str, str]]:
    """The environment of somebody who has no lab open, on the same engine."""
    folder = tmp_path / "home"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DOCKER_", "LABKIT_"))}
    yield {**kept, **engine.endpoint.environ(), "LABKIT_HOME": str(folder)}
    shutil.rmtree(folder, ignore_errors=True)


def labkit(environ: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "labkit", *words]
    return subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)


def terminal(environ: dict[str, str], script: str) -> str:
    """What a terminal prints in which `labkit engine env` was evaluated."""
    shell = f'eval "$({sys.executable} -m labkit engine env 2>/dev/null)"; {script}'
    done = subprocess.run(
        ["sh", "-c", shell], env=environ, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_a_kernels_docker_is_its_newest_labs(home: dict[str, str]) -> None:
    outside = home["DOCKER_HOST"]
    kernel = Kernel(start_new_kernel(env=home))
    try:
        kernel.run("import labkit, os\nfirst = labkit.Lab(); first.run('base', name='one')\n_ = 0")
        assert kernel.run(f"%%sh\n{NAMES}") == "one\n"
        kernel.run("second = labkit.Lab(); second.run('base', name='two')\n_ = 0")
        assert kernel.run(f"%%sh\n{NAMES}") == "two\n"
        # The SDK, too; and labkit itself speaks to the engine, in a child as well.
        kernel.run("import docker; client = docker.from_env()")
        assert kernel.run("print([one.name for one in client.containers.list()])") == "['two']\n"
        ask = "from labkit import connect; print(connect().endpoint.url)"
        assert kernel.run(ask) == f"{outside}\n"
        assert kernel.run(f"%%sh\n{sys.executable} -c '{ask}'") == f"{outside}\n"
        kernel.run("client.close(); second.close()")
        assert kernel.run(f"%%sh\n{NAMES}") == "one\n"
        kernel.run("first.close()")
        assert kernel.run("print(os.environ['DOCKER_HOST'])") == f"{outside}\n"
    finally:
        kernel.end()


SAID = "labkit: the helper that serves this lab's socket had ended; another serves it now\n"


@pytest.mark.parametrize("age", [0, 3], ids=["young", "old"])
def test_a_cell_after_its_helper_was_killed(home: dict[str, str], age: int) -> None:
    """A young one is replaced by the next cell, and not at once: it may end again and again."""
    kernel = Kernel(start_new_kernel(env=home))
    try:
        kernel.run("import labkit; lab = labkit.Lab(); lab.run('base', name='box')\n_ = 0")
        keeper = int(kernel.run("print(lab.reaper.pid)"))
        wait_until(
            lambda: psutil.Process(keeper).create_time() + age <= time.time(),
            timeout=60, what="its age",
        )  # fmt: skip
        os.kill(keeper, signal.SIGKILL)
        wait_until(lambda: ended(keeper), timeout=60, what="its end")
        assert sorted(kernel.run(f"%%sh\n{NAMES}").splitlines()) == ["box", SAID.strip()]
        assert kernel.run(f"%%sh\n{NAMES}") == "box\n"
        assert int(kernel.run("print(lab.reaper.pid)")) != keeper
        kernel.run("lab.close()")
    finally:
        kernel.end()


def test_a_terminal_follows_the_notebook_in_which_a_cell_ran_last(home: dict[str, str]) -> None:
    # Before any: it is said, and nothing of the engine's is in reach.
    assert "notebook-of-the-last-cell.sock" in terminal(home, NAMES)
    assert "the next notebook that runs a cell" in labkit(home, "engine", "env").stderr
    begin = "import labkit; lab = labkit.Lab(); lab.run('base', name='{}')\n_ = 0"
    kernels = [
        Kernel(start_new_kernel(env={**home, "JPY_SESSION_NAME": f"/{name}.ipynb"}))
        for name in ("one", "two")
    ]
    one, two = kernels
    try:
        one.run(begin.format("one"))
        two.run(begin.format("two"))
        assert terminal(home, NAMES) == "two\n"
        one.run("1")
        assert terminal(home, NAMES) == "one\n"
        assert "the lab of /one.ipynb" in labkit(home, "engine", "env").stderr
        status = labkit(home, "engine", "status")
        assert [line for line in status.stdout.splitlines() if line.startswith("→")] == [
            line for line in status.stdout.splitlines() if "/one.ipynb" in line
        ]
        assert "  the lab of /two.ipynb" in status.stdout
        # What is made in the terminal is the notebook's, and goes with it.
        terminal(home, "docker run -d --name typed labkit/base")
        assert one.run("print([each.name for each in lab.containers()])") == "['one', 'typed']\n"
        one.run("lab.close()")
        assert "notebook-of-the-last-cell.sock" in terminal(home, NAMES)
        two.run("1")
        assert terminal(home, NAMES) == "two\n"
        itself = labkit(home, "engine", "env", "--engine-itself").stdout
        assert f"export DOCKER_HOST={home['DOCKER_HOST']}" in itself.splitlines()
        assert "LABKIT_SOCKET" not in itself
    finally:
        for kernel in kernels:
            kernel.end()


def test_a_terminals_environment_leads_a_notebook_to_the_same_engine(home: dict[str, str]) -> None:
    # JupyterLab was started in it: its kernels' labs are on that engine, and `docker` follows them.
    script = (
        "import labkit, os; lab = labkit.Lab(); print(lab.engine.endpoint.url); lab.close();"
        "print(os.environ['DOCKER_HOST'].rpartition('/')[2])"
    )
    said = terminal(home, f'{sys.executable} -c "{script}"').splitlines()
    assert said == [home["DOCKER_HOST"], "notebook-of-the-last-cell.sock"]


def test_a_home_with_a_long_path(home: dict[str, str], tmp_path: Path) -> None:
    kernel = Kernel(start_new_kernel(env={**home, "LABKIT_HOME": str(tmp_path / ("long" * 30))}))
    try:
        kernel.run("import labkit; lab = labkit.Lab(); lab.run('base', name='box')\n_ = 0")
        assert kernel.run(f"%%sh\n{NAMES}") == "box\n"
    finally:
        kernel.end()


def test_what_one_docker_run_says(lab: Lab) -> None:
    environ = {**os.environ, **lab.environ()}
    docker = shutil.which("docker", path=environ["PATH"]) or "docker"
    before = lab.conversation().last
    argv = [docker, "run", "--detach", "--name", "web", "labkit/base"]
    subprocess.run(argv, env=environ, check=True, stdout=subprocess.DEVNULL)

    def said() -> list[tuple[str, str, int]]:
        told = lab.conversation(since=before).exchanges
        return [(one.method, one.path.rpartition("/")[2], one.status) for one in told]

    wait_until(lambda: len(said()) >= 4, timeout=30, what="the whole conversation")
    assert said()[:2] == [("HEAD", "_ping", 200), ("POST", "create", 201)]
    assert ("POST", "start", 204) in said()[2:]
    exchange = lab.conversation(since=before).exchanges[1]
    assert exchange.sent > 500  # bytes: the whole configuration
    assert exchange.received > 0
    assert exchange.seconds > 0
    shown = lab.conversation(since=before)
    assert "make the container; nothing of it runs yet" in repr(shown)
    assert "<table>" in shown._repr_html_()
    assert lab.conversation(since=shown.last).exchanges == ()


def test_a_lab_that_is_closed_has_no_conversation(engine: Engine) -> None:
    with Lab(engine=engine) as lab:
        pass
    with pytest.raises(EngineGoneError, match="does not answer"):
        lab.conversation()


POLICY = """
import subprocess
from labkit import Lab
import os
with Lab() as lab:
    for words in ("run --rm --privileged", "run --rm -v /:/host", "run --rm"):
        argv = ["docker", *words.split(), "labkit/base", "echo", "ran"]
        done = subprocess.run(argv, env={**os.environ, **lab.environ()}, capture_output=True)
        print((done.stdout + done.stderr).decode().splitlines()[0])
"""


def test_a_policy_refuses_in_one_sentence(home: dict[str, str], tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text('{"privileged": false, "host_paths": []}')
    done = subprocess.run(
        [sys.executable, "-c", POLICY],
        env={**home, "LABKIT_POLICY": str(policy)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    first, second, third = done.stdout.splitlines()
    assert "no exercise here needs a privileged container: it is refused" in first
    assert "no exercise here needs the host's /: it is refused" in second
    assert third == "ran"
