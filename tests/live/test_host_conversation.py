"""The conversation with a host survives what happens to it: directly, by a probe, in a guest."""

from __future__ import annotations

import gc
import os
import random
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest
from bad_requests import BAD
from interrupting import interrupted

from labkit.engine import Engine, VmEngine
from labkit.errors import BadValueError, HostError
from labkit.host import GuestHost, Host, HostRestartedWarning, LocalHost, ProbeHost
from labkit.inspect import Cgroup
from labkit.lab import Lab
from labkit.waiting import wait_until

FILES = [f"/proc/sys/kernel/{name}" for name in ("hostname", "osrelease", "ostype", "version")]
MARK = "sleep 86397"


def own_host(engine: Engine, how: str) -> Host:
    if how == "probe":
        return engine.probe()
    if isinstance(engine, VmEngine):
        return GuestHost(engine.vm.runner.open)
    return LocalHost(anchor=engine.local_daemon())


@pytest.fixture(params=["directly", "probe"])
def seen(request: pytest.FixtureRequest, engine: Engine, local: Host) -> Iterator[Host]:
    """A host of this test's own."""
    host = own_host(engine, request.param)
    yield host
    host.close()


@pytest.fixture
def truth(local: Host) -> dict[str, str]:
    """What the files hold, by another view of the host, which nothing happens to."""
    return {path: local.read(path) for path in FILES}


def agent_of(host: Host) -> int:
    """The process that answers, as the host numbers it."""
    return int(host.run(["sh", "-c", "echo $PPID"]).stdout)


def commands(host: Host) -> list[int]:
    found = host.sweep(read=["cmdline"])
    return [pid for pid, seen in found.items() if seen["cmdline"] == MARK.replace(" ", "\0") + "\0"]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_the_same_error_everywhere(
    local: Host, probe: ProbeHost, name: str
) -> None:
    said = []
    for host in (local, probe):
        with pytest.raises(BadValueError, match=BAD[name][1]) as raised:
            BAD[name][0](host)
        said.append(str(raised.value))
    assert said[0] == said[1]
    assert probe.read(FILES[0]) == local.read(FILES[0])


def test_after_one_interrupt_the_hostname_is_not_the_release(
    seen: Host, truth: dict[str, str]
) -> None:
    came = 0

    def release() -> None:
        until = time.monotonic() + 0.004
        while time.monotonic() < until:
            assert seen.read(FILES[1]) == truth[FILES[1]]

    for _ in range(300):
        came += interrupted(release, seconds=0.006)
        path = random.choice(FILES)
        assert seen.read(path) == truth[path]
    assert came > 50, "too few interrupts came for this to prove anything"


def test_after_a_mistyped_signal_the_next_lab_works(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not isinstance(engine, VmEngine):
        monkeypatch.setenv("LABKIT_HOST", "probe")
    fresh = (
        VmEngine(engine.vm, engine.endpoint)
        if isinstance(engine, VmEngine)
        else Engine(engine.kind, engine.endpoint)
    )
    with Lab(engine=fresh) as lab:
        web = lab.run("base", "sleep 600", name="web")
        with pytest.raises(BadValueError):
            fresh.host.kill(web.pid, signal="Stop")
        with pytest.raises(BadValueError):
            fresh.host.run(["ip", "link"], pid=web.pid, namespaces=["network"])
    with Lab(engine=fresh) as lab:
        assert "net" in lab.run("base", "sleep 600", name="web").namespaces()
    fresh.close()


def test_an_agent_that_was_killed(engine: Engine, local: Host, truth: dict[str, str]) -> None:
    for how in ("probe", "directly"):
        seen = own_host(engine, how)
        if isinstance(seen, LocalHost):
            continue  # it has no agent
        local.kill(agent_of(seen), signal="KILL")
        wait_until(partial(restarted, seen, truth), timeout=10, what="a new agent")
        assert seen.read(FILES[1]) == truth[FILES[1]]
        seen.close()


def restarted(host: Host, truth: dict[str, str]) -> bool:
    """Ask once; whether it was said that the agent was started anew."""
    import warnings

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert host.read(FILES[0]) == truth[FILES[0]]
    return [one.category for one in caught] == [HostRestartedWarning]


def test_a_probe_that_was_removed_by_hand(engine: Engine, truth: dict[str, str]) -> None:
    probe = engine.probe()
    first = probe.container_id
    engine.client.api.remove_container(first, force=True)
    assert restarted(probe, truth)
    assert probe.container_id != first
    assert not restarted(probe, truth)
    second = probe.container_id
    probe.close()
    gone_from(engine, second)


def gone_from(engine: Engine, container: str) -> None:
    wait_until(
        lambda: container not in {one["Id"] for one in engine.client.api.containers(all=True)},
        timeout=15,
        what="the probe container to go",
    )


def test_a_probe_that_hangs_is_removed_and_started_anew(
    engine: Engine, local: Host, truth: dict[str, str]
) -> None:
    probe = engine.probe()
    hung = probe.container_id
    local.kill(agent_of(probe), signal="STOP")
    probe._conversation.patience = 1
    with pytest.raises(HostError, match="in time"):
        probe.read(FILES[0])
    probe._conversation.patience = 30
    assert restarted(probe, truth)
    gone_from(engine, hung)
    probe.close()


def test_a_forked_child_has_a_probe_of_its_own(engine: Engine, truth: dict[str, str]) -> None:
    probe = engine.probe()
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        with suppress(BaseException):
            right = all(probe.read(path) == truth[path] for path in FILES * 20)
            os.write(writer, f"{right} {probe.container_id}".encode())
        os._exit(0)
    os.close(writer)
    for path in FILES * 50:
        assert probe.read(path) == truth[path]
    with os.fdopen(reader) as told:
        was_right, container = told.read().split()
    assert (was_right, os.waitpid(pid, 0)[1]) == ("True", 0)
    assert container != probe.container_id
    gone_from(engine, container)  # it ended with the child
    assert probe.read(FILES[0]) == truth[FILES[0]]
    probe.close()


def test_threads_at_once(seen: Host, truth: dict[str, str]) -> None:
    def work(number: int) -> str:
        for path in random.sample(FILES * 10, 40):
            assert seen.read(path) == truth[path]
        return seen.run(["echo", str(number)]).stdout

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(16))) == [f"{number}\n" for number in range(16)]


def test_an_interrupted_run_is_killed_with_what_it_started(seen: Host) -> None:
    script = f"{MARK} & setsid {MARK} & {MARK}; true"
    timer = threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        seen.run(["sh", "-c", script], timeout=60)
    timer.join()
    wait_until(lambda: not commands(seen), timeout=5, what="the commands to be killed")


def test_a_run_ends_with_its_connection(engine: Engine, local: Host) -> None:
    for how in ("probe", "directly"):
        seen = own_host(engine, how)
        if isinstance(seen, LocalHost):
            continue  # the interrupt of the caller is what ends it there
        runner = threading.Thread(target=lost, args=(seen, ["sh", "-c", f"{MARK} & {MARK}; true"]))
        runner.start()
        wait_until(lambda: len(commands(local)) == 2, timeout=10, what="the commands to run")
        seen.close()
        runner.join()
        wait_until(lambda: not commands(local), timeout=10, what="the commands to be killed")


def lost(host: Host, argv: list[str]) -> None:
    with suppress(HostError):
        host.run(argv, timeout=60)


def test_a_slow_reader_holds_little_and_nobody_up(seen: Host, truth: dict[str, str]) -> None:
    def resident() -> int:  # KiB, of whoever answers
        text = seen.read(f"/proc/{agent_of(seen)}/status")
        return int(text.partition("VmRSS:")[2].split()[0])

    before, took = resident(), []
    with seen.walk("/usr") as walk:
        next(walk)
        for _ in range(10):
            time.sleep(0.1)
            began = time.perf_counter()
            assert seen.read(FILES[0]) == truth[FILES[0]]
            took.append(time.perf_counter() - began)
            next(walk)
        assert resident() - before < 4096
        rest = sum(1 for _ in walk)
        assert resident() - before < 8192
    assert rest > 1000
    assert statistics.median(took) < 0.1


def test_a_stream_that_is_dropped_ends(seen: Host, engine: Engine) -> None:
    pid = agent_of(seen)

    def threads() -> int:
        return len(seen.list(f"/proc/{pid}/task"))

    def alone() -> bool:
        return isinstance(seen, LocalHost) or threads() == 1

    wait_until(alone, timeout=5, what="the command above to be done with")
    samples = seen.sample(["/proc/uptime"], interval=0.05)
    ticks = [next(samples).tick for _ in range(3)]
    assert ticks[0] == 0 and ticks == sorted(set(ticks))  # a slow engine may miss some
    assert isinstance(seen, LocalHost) or threads() == 2
    del samples
    gc.collect()
    wait_until(alone, timeout=5, what="the stream to end")


def test_samples_of_a_container(seen: Host, lab: Lab) -> None:
    busy = lab.run("base", ["sh", "-c", "while :; do :; done"], name="busy", memory="32m")
    taken = []
    with Cgroup(seen, busy.pid).samples(interval=0.1) as samples:
        for seconds, usage in samples:
            taken.append((seconds, usage.cpu.usage_ns))
            assert 0 < usage.memory.current <= 32 << 20
            if len(taken) == 10:
                break
    (first, used), (last, used_then) = taken[0], taken[-1]
    assert last - first >= 0.89
    assert 0.05 < (used_then - used) / 1e9 / (last - first) < 1.2


def test_every_host_walks_and_samples_the_same(local: Host, probe: ProbeHost, lab: Lab) -> None:
    web = lab.run("base", "sleep 600", name="web")
    make = "mkdir -p /tree/deep; ln -s / /tree/loop; mkfifo /tree/fifo; echo 7 > /tree/deep/7"
    web.exec(["sh", "-c", make])
    place = f"/proc/{web.pid}/root/tree"
    walks = [{entry.path: entry for entry in host.walk(place)} for host in (local, probe)]
    assert walks[0] == walks[1]
    assert {path.removeprefix(place): entry.type for path, entry in walks[0].items()} == {
        "": "directory",
        "/deep": "directory",
        "/deep/7": "file",
        "/loop": "link",
        "/fifo": "fifo",
    }
    path = f"/proc/{web.pid}/cgroup"
    texts = [next(host.sample([path])).texts for host in (local, probe)]
    assert texts[0] == texts[1] == {path: local.read(path)}
