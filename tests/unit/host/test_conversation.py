"""A conversation that survives: interrupts, a dead agent, a hung one, forks, many at once."""

from __future__ import annotations

import gc
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from interrupting import interrupted
from spawned import Spawned

from labkit.errors import HostError
from labkit.host import Entry, HostRestartedWarning, Stream
from labkit.host.remote import RemoteHost
from labkit.host.transport import SocketTransport, Transport
from labkit.waiting import wait_until

FILES = [f"/proc/sys/kernel/{name}" for name in ("hostname", "osrelease", "ostype", "version")]
TRUTH = {path: Path(path).read_text() for path in FILES}


def children(host: Spawned) -> list[psutil.Process]:
    return psutil.Process(host.agent_pid).children(recursive=True)


def test_after_an_interrupt_every_answer_is_the_one_asked_for(spawned: Spawned) -> None:
    lost = 0

    def reading() -> None:
        for _ in range(20):
            path = random.choice(FILES)
            assert spawned.read(path) == TRUTH[path]

    for _ in range(400):
        lost += interrupted(reading, seconds=0.004)
        assert spawned.read(FILES[0]) == TRUTH[FILES[0]]
    assert lost > 100, "too few interrupts came for this to prove anything"
    assert len(spawned.children) == 1  # nothing had to be started anew


def test_interrupts_in_the_middle_of_large_messages(spawned: Spawned, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_text("abcdefgh" * 250_000)
    lost = 0
    for _ in range(60):
        lost += interrupted(lambda: spawned.read(str(large)), seconds=0.02)
        lost += interrupted(lambda: spawned.run(["cat"], stdin="x" * 1_000_000), seconds=0.05)
        assert spawned.read(FILES[1]) == TRUTH[FILES[1]]
    assert lost > 20
    assert spawned.read(str(large)) == large.read_text()
    assert len(spawned.children) == 1
    wait_until(lambda: not children(spawned), timeout=5, what="interrupted commands to be gone")


def test_an_interrupt_of_a_run_kills_what_it_started(spawned: Spawned) -> None:
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        spawned.run(["sh", "-c", "sleep 60 & setsid sleep 60 & wait"], timeout=60)
    wait_until(lambda: not children(spawned), timeout=5, what="all of it to be killed")


def test_an_interrupt_of_a_stream_ends_it_and_no_more(spawned: Spawned) -> None:
    for _ in range(40):
        walk, seen = spawned.walk("/usr/lib"), [0]

        def look(walk: Stream[Entry] = walk, seen: list[int] = seen) -> None:
            for _ in walk:
                seen[0] += 1

        if interrupted(look, seconds=0.03) and seen[0]:  # else it came before the look had begun
            assert next(walk, None) is None
        assert spawned.read(FILES[0]) == TRUTH[FILES[0]]
    assert len(spawned.children) == 1


def test_many_threads_at_once(spawned: Spawned) -> None:
    def work(seed: int) -> int:
        mine = random.Random(seed)
        for _ in range(100):
            path = mine.choice(FILES)
            assert spawned.read(path) == TRUTH[path]
        echoed = spawned.run(["echo", str(seed)])
        return int(echoed.stdout)

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(work, range(32))) == list(range(32))


def test_many_threads_at_once_begin_one_agent() -> None:
    host = Spawned()
    os.kill(host.agent_pid, signal.SIGKILL)
    with warnings.catch_warnings(record=True) as caught, ThreadPoolExecutor(16) as pool:
        warnings.simplefilter("always")
        assert set(pool.map(host.read, [FILES[0]] * 64)) == {TRUTH[FILES[0]]}
    assert len(host.children) == 2
    assert [one.category for one in caught] == [HostRestartedWarning]
    host.close()


def test_a_killed_agent_is_started_anew_once_and_it_is_said(spawned: Spawned) -> None:
    os.kill(spawned.agent_pid, signal.SIGKILL)
    with pytest.warns(HostRestartedWarning, match="anew"):
        assert spawned.read(FILES[0]) == TRUTH[FILES[0]]
    assert spawned.read(FILES[1]) == TRUTH[FILES[1]]  # no second warning: it would be an error
    assert len(spawned.children) == 2


def test_what_only_reads_is_asked_again_and_the_rest_is_not_known(spawned: Spawned) -> None:
    os.kill(spawned.agent_pid, signal.SIGSTOP)  # so that both are under way when it is killed
    with ThreadPoolExecutor(2) as pool:
        reading = pool.submit(spawned.read, FILES[0])
        running = pool.submit(spawned.run, ["true"])
        time.sleep(0.3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HostRestartedWarning)
            os.kill(spawned.agent_pid, signal.SIGKILL)
            assert reading.result(10) == TRUTH[FILES[0]]
            with pytest.raises(HostError, match="not known whether"):
                running.result(10)


def test_an_agent_that_kills_itself(spawned: Spawned) -> None:
    with pytest.raises(HostError, match="not known whether"):
        spawned.kill(spawned.agent_pid, signal="KILL")
    with pytest.warns(HostRestartedWarning):
        assert spawned.read(FILES[0]) == TRUTH[FILES[0]]


def test_an_agent_that_does_not_answer_counts_as_gone() -> None:
    host = Spawned(patience=0.5)
    hung = host.agent_pid
    os.kill(hung, signal.SIGSTOP)
    with pytest.raises(HostError, match="in time"):
        host.read(FILES[0])
    with pytest.warns(HostRestartedWarning, match="no answer for 0.5 s"):
        assert host.read(FILES[0]) == TRUTH[FILES[0]]
    os.kill(hung, signal.SIGCONT)
    # Its own time is not the agent's: a command may take longer than an answer.
    assert host.run(["sleep", "1"], timeout=5).exit_code == 0
    host.close()


def test_a_stream_whose_agent_goes_says_so(spawned: Spawned) -> None:
    with spawned.sample(["/proc/uptime"], interval=0.05) as samples:
        next(samples)
        os.kill(spawned.agent_pid, signal.SIGKILL)
        with pytest.raises(HostError, match="gone"):
            for _ in samples:
                pass
    with pytest.warns(HostRestartedWarning):
        assert spawned.read(FILES[0]) == TRUTH[FILES[0]]


def test_a_forked_child_starts_its_own(spawned: Spawned) -> None:
    with spawned.sample(["/proc/uptime"], interval=0.02) as samples:
        next(samples)
        reader, writer = os.pipe()
        if (pid := os.fork()) == 0:
            with suppress(BaseException):
                told = [spawned.read(path) == TRUTH[path] for path in FILES]
                told.append(len(spawned.children) == 2)
                os.write(writer, repr(told).encode())
            os._exit(0)
        os.close(writer)
        for _ in range(50):
            path = random.choice(FILES)
            assert spawned.read(path) == TRUTH[path]
            next(samples)
        with os.fdopen(reader) as pipe:
            assert pipe.read() == repr([True] * 5)
        assert os.waitpid(pid, 0)[1] == 0
    assert len(spawned.children) == 1


def test_a_living_child_does_not_keep_the_parents_agent_alive(spawned: Spawned) -> None:
    ready, tell = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(tell, b"!")
        signal.pause()
        os._exit(0)
    try:
        os.read(ready, 1)
        spawned.close()  # and waits for the agent's end
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(ready)
        os.close(tell)


def test_other_requests_go_through_beside_a_slow_reader(spawned: Spawned) -> None:
    agent = psutil.Process(spawned.agent_pid)
    with spawned.walk("/usr") as walk:
        next(walk)
        time.sleep(0.5)
        before = agent.memory_info().rss
        took = []
        for _ in range(200):
            began = time.perf_counter()
            assert spawned.read(FILES[0]) == TRUTH[FILES[0]]
            took.append(time.perf_counter() - began)
            next(walk)
        assert sorted(took)[100] < 0.02
        assert agent.memory_info().rss - before < 4 << 20


def test_a_host_that_is_closed_says_so() -> None:
    host = Spawned()
    host.close()
    for asking in (lambda: host.read(FILES[0]), lambda: host.walk("/usr")):
        with pytest.raises(HostError, match="closed"):
            asking()


def test_a_host_that_is_dropped_ends_its_agent() -> None:
    host = Spawned()
    child = host.children[0]
    del host
    gc.collect()
    assert child.wait(10) == 0


def test_an_agent_that_talks_nonsense_is_given_up_after_a_second_try() -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> Transport:
        ours, theirs = socket.socketpair()
        with theirs:
            talk = [sys.executable, "-c", "input(); print('nonsense')"]
            started.append(subprocess.Popen(talk, stdin=theirs.fileno(), stdout=theirs.fileno()))
        return SocketTransport(ours)

    with (
        pytest.warns(HostRestartedWarning, match="nonsense"),
        pytest.raises(HostError, match="gone") as raised,
    ):
        RemoteHost(start)
    assert "nonsense" in raised.value.seen
    assert len(started) == 2
    for child in started:
        child.wait(10)


def test_an_agent_that_cannot_be_started() -> None:
    def start() -> Transport:
        raise FileNotFoundError("no such agent")

    with pytest.raises(HostError, match="cannot be started") as raised:
        RemoteHost(start)
    assert "no such agent" in raised.value.seen
