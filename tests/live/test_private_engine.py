"""The private engine: started once, joined, stopped, and found again after every accident."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from other import OtherEngine

from labkit.engine import PrivateEngine, discovery
from labkit.errors import BadValueError, EngineRefusedError, EngineTimeoutError
from labkit.lab import Lab
from labkit.waiting import wait_until

JOIN = """
from labkit.engine import PrivateEngine, connect
engine = connect()
print(PrivateEngine().pid())
"""


def test_a_second_process_joins_the_engine_that_runs(other_engine: OtherEngine) -> None:
    assert other_engine.call(JOIN) == other_engine.pid


def test_its_containers_have_the_limits_of_a_usual_engine(other_engine: OtherEngine) -> None:
    shell = "ulimit -n 1048576; ulimit -u unlimited; ulimit -c unlimited; "
    asked = "ulimit -n; ulimit -H -n; ulimit -u; ulimit -c"
    # As far as root may go here: in a container it may lack CAP_SYS_RESOURCE.
    most = subprocess.run(["bash", "-c", shell + asked], capture_output=True, text=True).stdout
    with Lab(engine=other_engine.engine) as lab:
        assert lab.run("base", name="box").exec(["sh", "-c", asked]).stdout == most


def test_a_shared_folder_where_mounts_are_private_is_refused_in_words_that_help(
    other_engine: OtherEngine,
) -> None:
    """It is the machine's owner who may change that, for it changes what all programs see."""
    shell = ["findmnt", "--noheadings", "--output", "PROPAGATION", "--target", "/srv"]
    is_private = "private" in subprocess.run(shell, capture_output=True, text=True).stdout
    with Lab(engine=other_engine.engine) as lab:
        try:
            lab.run("base", name="box", volumes={"/srv": "/x:rshared"})
        except EngineRefusedError as err:
            assert is_private
            assert "mount --make-rshared /" in err.do
        else:
            assert not is_private


def test_stop_ends_all_of_it_and_nothing_else(other_engine: OtherEngine, lab: Lab) -> None:
    mine = lab.run("base", name="beside")
    before = mine.inspect()["State"]
    with Lab(engine=other_engine.engine) as theirs:
        for number in range(2):
            theirs.run("base", "sh -c 'trap : TERM; sleep 1000'", name=f"stubborn-{number}")
        running = other_engine.processes()
        names = [process.name() for process in running]
        assert names.count("sleep") == 2
        assert sum(name.startswith("containerd-shim") for name in names) == 2
        assert other_engine.mounts()

        started = time.monotonic()
        assert other_engine.private.stop() is True
        assert time.monotonic() - started < 10

    assert [process for process in running if alive(process)] == []
    assert other_engine.mounts() == []
    assert not other_engine.private.socket.exists()
    assert not other_engine.private.pid_file.exists()
    assert mine.inspect()["State"] == before
    assert other_engine.private.stop() is False  # nothing is left to stop


def test_a_killed_daemon_is_replaced(other_engine: OtherEngine) -> None:
    with Lab(engine=other_engine.engine) as lab:
        orphan = lab.run("base", name="orphan")
        first = psutil.Process(other_engine.pid)
        first.kill()
        wait_until(lambda: not alive(first), timeout=5, what="the daemon's end")
        assert other_engine.private.pid_file.exists()  # stale, both
        assert other_engine.private.socket.exists()
        assert other_engine.private.pid() is None

        started = time.monotonic()
        other_engine.start()
        assert time.monotonic() - started < 8

        assert other_engine.pid != first.pid
        assert orphan.status == "exited"
        assert orphan.start().exec("echo here").stdout == "here\n"


def test_a_pid_file_that_names_a_stranger_is_replaced(other_engine: OtherEngine) -> None:
    os.kill(other_engine.pid, signal.SIGKILL)
    stranger = subprocess.Popen(["sleep", "1000"])
    try:
        other_engine.private.pid_file.write_text(str(stranger.pid))
        assert other_engine.private.pid() is None
        other_engine.start()
        assert other_engine.pid != stranger.pid
        assert stranger.poll() is None
        other_engine.private.stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_the_engine_of_a_labkit_in_a_container_is_left_alone(other_engine: OtherEngine) -> None:
    """One whose folder has the same name, in another mount namespace: unshare(1)."""
    exec_root = other_engine.private.exec_root
    script = f"""
        mount -t tmpfs elsewhere {exec_root.parent} && mkdir {exec_root} && echo there
        exec -a containerd-shim sh -c 'read -r _' {exec_root}/containerd.sock
    """
    stranger = subprocess.Popen(
        ["unshare", "--mount", "bash", "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert stranger.stdout is not None
    try:
        assert stranger.stdout.readline() == "there\n"
        ours = [process.pid for process in other_engine.processes()]
        wait_until(
            lambda: psutil.Process(stranger.pid).cmdline()[0] == "containerd-shim",
            timeout=5,
            what="the stranger's disguise",
        )
        other_engine.private.stop()
        assert ours
        assert stranger.poll() is None
    finally:
        stranger.communicate("")


def test_two_that_start_at_once_share_one_daemon(other_engine: OtherEngine) -> None:
    other_engine.private.stop()
    both = [other_engine.popen(JOIN) for _ in range(2)]
    pids = {process.communicate(timeout=120)[0].strip() for process in both}
    assert pids == {str(other_engine.pid)}
    daemons = [p for p in other_engine.processes() if p.name() == "dockerd"]
    assert len(daemons) == 1


def test_a_daemon_that_hangs_is_named_when_patience_ends(
    other_engine: OtherEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "PATIENCE", 2.0)
    os.kill(other_engine.pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        with pytest.raises(EngineTimeoutError) as raised:
            other_engine.private.start()
        assert str(other_engine.pid) in raised.value.what
        assert "labkit engine stop" in raised.value.do
        assert "timed out" in str(discovery.why_not(other_engine.private.endpoint)).lower()
        assert time.monotonic() - started < 12
    finally:
        os.kill(other_engine.pid, signal.SIGCONT)
    wait_until(
        lambda: discovery.why_not(other_engine.private.endpoint) is None,
        timeout=10,
        what="an answer",
    )


def test_a_daemon_that_hangs_can_be_stopped(other_engine: OtherEngine) -> None:
    hanging = other_engine.pid
    os.kill(hanging, signal.SIGSTOP)
    started = time.monotonic()
    assert other_engine.private.stop() is True
    assert time.monotonic() - started < 12
    assert not psutil.pid_exists(hanging)
    assert other_engine.processes() == []


@pytest.mark.root
def test_a_socket_path_that_is_too_long(tmp_path: Path) -> None:
    engine = PrivateEngine(tmp_path / ("long" * 25) / "engine")
    with pytest.raises(BadValueError) as raised:
        engine.start()
    assert str(engine.socket) in raised.value.seen
    assert "LABKIT_HOME" in raised.value.do
    assert not engine.folder.exists()


def alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
