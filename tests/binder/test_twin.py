"""In a Binder pod's twin: no privilege, one CPU, 2 GB; built, launched, and a course that runs."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import twin
from docker.models.containers import Container

from labkit import connect
from labkit.engine import Engine
from labkit.waiting import wait_until

# `make binder-twin` runs them all; the tests of every day run the first.
CHAPTERS = os.environ.get("LABKIT_TWIN_CHAPTERS", "00").split()
START = f"{twin.HOME}/binder/start"
POLL = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8888/lab').status)"
FIRST = "import labkit; lab = labkit.Lab(); print(lab.once('base', 'echo it runs'))"

pytestmark = [
    pytest.mark.timeout(1500),
    # docker-py leaves sockets to the garbage collector, and a pod takes minutes to be made.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
Report = Callable[[str], None]


@dataclass
class Pod:
    """The running twin, and what it was seen to use."""

    container: Container
    began: float  # time.monotonic()
    peak: int = 0  # bytes that the kernel could not have taken back

    def run(self, *argv: str) -> str:
        """A command as the server runs it: after `binder/start`. The output, if it succeeds."""
        code, output = self.container.exec_run([START, *argv])
        assert isinstance(output, bytes)  # and no stream of them
        text = output.decode(errors="replace")
        assert code == 0, f"{argv}: exit code {code}\n{text[-4000:]}"
        return text

    def ask(self, *argv: str) -> str:
        """What a command in the pod printed, whether it succeeded or not."""
        output = self.container.exec_run(list(argv)).output
        assert isinstance(output, bytes)  # and no stream of them
        return output.decode(errors="replace")

    def memory_stats(self) -> dict[str, Any]:
        """What the engine says of the pod's memory."""
        stats = self.container.stats(stream=False)
        assert isinstance(stats, dict)  # and no stream of them
        memory: dict[str, Any] = stats["memory_stats"]
        return memory

    def watch(self, ended: threading.Event) -> None:
        """Look at the memory once a second; the engine reads it, not a process in the pod."""
        while not ended.wait(1):
            memory = self.memory_stats()
            detail = memory.get("stats", {})
            held = [detail.get(name) for name in ("total_rss", "anon")]
            self.peak = max(self.peak, *(size or 0 for size in held))


@pytest.fixture(scope="module")
def report(record_testsuite_property: Callable[[str, object], None]) -> Report:
    """Tell a figure: it is printed (`pytest -s`), and in the JUnit report."""

    def tell(line: str) -> None:
        print(f"\ntwin: {line}")
        record_testsuite_property("twin", line)

    return tell


@pytest.fixture(scope="module")
def engine() -> Engine:
    """A real engine, and not a micro-VM: the twin makes one itself."""
    found = connect(kind="private" if os.environ.get("LABKIT_ENGINE") == "vm" else None)
    assert found.kind != "vm", "the twin needs a Docker Engine around it"
    return found


@pytest.fixture(scope="module")
def image(engine: Engine, report: Report) -> str:
    began = time.monotonic()
    said = twin.build(engine)
    report(f"image ready in {time.monotonic() - began:.0f} s")
    built = [line for line in said if "the micro-VM is built" in line]
    stages = [re.sub(r"\x1b\[\d*m", "", line).strip() for line in said if " s  " in line]
    if built:  # else the engine had it
        report(f"postBuild: {stages[-1]}; {built[0]}")
    return twin.IMAGE


@pytest.fixture(scope="module")
def pod(engine: Engine, image: str, report: Report) -> Iterator[Pod]:
    began = time.monotonic()
    container = engine.client.containers.run(
        image,
        ["jupyter", "lab", "--ip=0.0.0.0", "--port=8888", "--no-browser",
         "--IdentityProvider.token="],
        detach=True, network_mode="none", **twin.SANDBOX,
    )  # fmt: skip
    ended = threading.Event()
    pod = Pod(container, began)
    watcher = threading.Thread(target=pod.watch, args=(ended,))
    watcher.start()
    try:
        yield pod
    finally:
        ended.set()
        watcher.join()
        container.remove(force=True, v=True)


def test_jupyterlab_answers(pod: Pod, report: Report) -> None:
    def answers() -> bool:
        return pod.ask("python", "-c", POLL) == "200\n"

    wait_until(
        answers, timeout=60, what="JupyterLab", interval=0.5,
        saw=lambda: pod.container.logs(tail=20).decode(),
    )  # fmt: skip
    report(f"launch to JupyterLab: {time.monotonic() - pod.began:.1f} s")


def test_the_server_knows_the_engine(pod: Pod) -> None:
    environ = pod.ask("cat", "/proc/1/environ").split("\0")
    names = {line.partition("=")[0] for line in environ}
    assert "DOCKER_HOST" in names
    assert "LABKIT_ENGINE=vm" in environ


def test_it_has_no_privilege(pod: Pod) -> None:
    status = pod.ask("cat", "/proc/1/status")
    said = dict(line.split(":\t", 1) for line in status.splitlines())
    assert said["Uid"].split() == ["1000"] * 4
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(said[kind], 16) == 0, kind
    assert said["NoNewPrivs"] == "1"
    assert said["Seccomp"] == "2", "a filter"
    assert pod.container.exec_run(["test", "-e", "/dev/kvm"]).exit_code != 0
    assert pod.ask("ls", "/sys/class/net") == "lo\n"


def test_the_first_container_runs(pod: Pod, report: Report) -> None:
    began = time.monotonic()
    said = pod.run("python", "-c", FIRST)
    assert "it runs" in said
    assert "booting instead" not in said + pod.container.logs().decode(), "restored, not booted"
    report(f"a first container in a new Python: {time.monotonic() - began:.1f} s")


def test_the_lab_images_are_preloaded(pod: Pod) -> None:
    told = pod.run("labkit", "images", "build")
    assert told.count("up to date") == 2


def test_a_copy_to_work_in_is_laid_out(pod: Pod) -> None:
    (first, *_) = pod.ask("ls", f"{twin.HOME}/work/notebooks").split()
    assert first == "00_start_here.ipynb"
    said = pod.ask("cat", f"{twin.HOME}/work/notebooks/{first}")
    assert all(cell.get("outputs", []) == [] for cell in json.loads(said)["cells"])


def test_docker_in_a_terminal_follows_the_notebooks_on_the_engine(pod: Pod) -> None:
    assert pod.run("printenv", "DOCKER_HOST").strip().endswith("/notebook-of-the-last-cell.sock")
    ours = pod.run("python", "-c", "import labkit; print(labkit.connect().client.info()['ID'])")
    itself = 'eval "$(labkit engine env --engine-itself)"; docker info --format={{.ID}}'
    assert pod.run("sh", "-c", itself).split()[-1] == ours.split()[-1]
    assert "Docker Compose version" in pod.run("docker", "compose", "version")


@pytest.mark.parametrize("number", CHAPTERS)
@pytest.mark.parametrize("kind", ["notebooks", "solutions"])
def test_a_chapter_runs(pod: Pod, kind: str, number: str, report: Report) -> None:
    (notebook,) = (twin.ROOT / kind).glob(f"{number}_*.ipynb")
    executed = f"/tmp/{kind}-{number}.ipynb"
    began = time.monotonic()
    pod.run("papermill", "--no-progress-bar", f"--cwd={kind}", "--execution-timeout=300",
            f"{kind}/{notebook.name}", executed)  # fmt: skip
    report(f"{kind} {number}: {time.monotonic() - began:.0f} s")
    if kind == "solutions":
        output = pod.ask("cat", executed)
        assert ": passed, " in output
        assert ": incorrect" not in output


def test_memory_was_enough(pod: Pod, report: Report) -> None:
    peak = pod.memory_stats().get("max_usage")
    pod.container.reload()
    assert not pod.container.attrs["State"]["OOMKilled"]
    assert pod.container.status == "running"
    held = f"{pod.peak >> 20} MiB of memory of processes"
    report(f"peak: {held}; with the page cache {(peak or 0) >> 20} MiB of {2048}")
    assert 0 < pod.peak < 0.8 * twin.SANDBOX["mem_limit"]


def test_the_micro_vm_is_stopped_and_started_again(pod: Pod) -> None:
    # Process 1 is the server, which reaps nobody: a QEMU that has ended stays a zombie.
    assert "the micro-VM" in pod.run("labkit", "engine", "stop")
    assert "it runs" in pod.run("python", "-c", FIRST)
