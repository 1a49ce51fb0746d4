"""A command in a container ends when its time is over, or at an interrupt; nothing else does."""

from __future__ import annotations

import io
import os
import secrets
import signal
import tarfile
import threading
import time
from collections.abc import Iterator

import pytest
from other import OtherEngine

from labkit.engine import Engine
from labkit.errors import ExecTimeoutError
from labkit.host import Host
from labkit.lab import Container, Lab
from labkit.waiting import wait_until

TREE = "sleep 7{0} & sh -c 'sleep 7{0}; true' & setsid sleep 7{0} & sleep 7{0}; true"
FIRST = "sleep infinity"


@pytest.fixture
def box(lab: Lab) -> Container:
    return lab.run("base", FIRST, name="box", init=False)


# Seconds within which a command has surely begun: beside another one, an emulated machine is slow.
BEGINS = 15 if os.environ.get("LABKIT_ENGINE") == "vm" else 2


def left(box: Container) -> list[str]:
    """What runs in it beside its first process, by the engine's own account."""
    listed = box.docker.top(ps_args="-eo pid,stat,args")["Processes"]
    return [args for _, state, args in listed if args != FIRST and not state.startswith("Z")]


def is_alone(box: Container) -> None:
    wait_until(
        lambda: not left(box), timeout=5 * BEGINS, what="all of it to end", saw=lambda: left(box)
    )


def interrupt_after(seconds: float) -> threading.Timer:
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    return timer


def test_a_command_that_takes_too_long_is_killed_with_all_it_started(box: Container) -> None:
    script = "echo begun; " + TREE.format(secrets.randbelow(10**6))
    with pytest.raises(ExecTimeoutError, match="was killed") as raised:
        box.exec(["sh", "-c", script], timeout=BEGINS)
    assert (raised.value.timeout, raised.value.stdout) == (BEGINS, "begun\n")
    is_alone(box)
    assert box.exec("echo alive").stdout == "alive\n"


def test_no_time_at_all_kills_nobody_else(box: Container) -> None:
    """The engine tells process 0 of what it has not started yet: kill(0) would end these tests."""
    for milliseconds in range(1, 41, 3):
        with pytest.raises(ExecTimeoutError, match="was killed"):
            box.exec("sleep 7777", timeout=milliseconds / 1000)
    is_alone(box)
    assert box.status == "running"


def test_a_command_that_lets_go_of_its_streams_is_bounded_too(box: Container) -> None:
    with pytest.raises(ExecTimeoutError, match="was killed"):
        box.exec(["sh", "-c", "exec >/dev/null 2>&1 </dev/null; exec sleep 7778"], timeout=1)
    is_alone(box)


def test_an_interrupt_ends_the_command(box: Container) -> None:
    timer = interrupt_after(1)
    with pytest.raises(KeyboardInterrupt) as raised:
        box.exec(["sh", "-c", TREE.format(secrets.randbelow(10**6))])
    timer.join()
    assert not getattr(raised.value, "__notes__", [])
    is_alone(box)


# An interrupt inside the SDK leaves its socket to the garbage collector, with TLS an SSL one.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)
def test_interrupts_at_any_moment_leave_no_command(box: Container) -> None:
    for number in range(25):
        with pytest.raises(KeyboardInterrupt):
            interrupt_after(0.001 + number * 0.004)
            box.exec("sleep 7779")
    is_alone(box)


def test_a_process_that_has_got_the_pid_is_left_alone(local: Host, box: Container) -> None:
    begun = int(local.read(f"/proc/{box.pid}/stat").rpartition(")")[2].split()[19])
    with pytest.raises(Exception, match="ended"):
        local.end(box.pid, start=begun + 1)
    assert box.status == "running"


def test_two_at_once_and_only_one_is_killed(box: Container) -> None:
    done: list[str] = []
    longer = threading.Thread(
        target=lambda: done.append(box.exec(["sh", "-c", "sleep 4; echo whole"]).stdout)
    )
    longer.start()
    with pytest.raises(ExecTimeoutError):
        box.exec(["sh", "-c", "sleep 4; echo cut"], timeout=1)
    longer.join()
    assert done == ["whole\n"]


# --- where the host is not to be seen ------------------------------------------------------------


@pytest.fixture
def bare(other_engine: OtherEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A lab whose engine has no toolbox, of a user who may not look at its processes."""
    monkeypatch.setenv("LABKIT_HOST", "probe")
    engine = Engine("private", other_engine.private.endpoint)
    with Lab(engine=engine) as lab:
        yield lab
    engine.close()


def test_exec_needs_no_toolbox(bare: Lab) -> None:
    box = bare.run("base", FIRST, name="box", init=False)
    assert box.exec("echo here").stdout == "here\n"
    assert "host" not in bare.engine.__dict__  # nobody looked for it
    bystander = bare.run("base", FIRST, name="bystander")
    with pytest.raises(ExecTimeoutError, match="was killed"):
        box.exec(["sh", "-c", TREE.format(1)], timeout=1)
    is_alone(box)
    assert (box.status, bystander.status) == ("running", "running")
    timer = interrupt_after(1)
    with pytest.raises(KeyboardInterrupt) as raised:
        box.exec(["sh", "-c", TREE.format(2)])
    timer.join()
    assert not getattr(raised.value, "__notes__", [])
    is_alone(box)
    # And no helper is left.
    names = {one["Id"] for one in bare.engine.client.api.containers(all=True)}
    assert names == {box.id, bystander.id}


def test_what_cannot_be_killed_is_told(bare: Lab) -> None:
    box = bare.run("base", FIRST, name="box", init=False)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        program = box.get("/bin/busybox")
        entry = tarfile.TarInfo("sleep")
        entry.size, entry.mode = len(program), 0o755
        tar.addfile(entry, io.BytesIO(program))
    api = bare.engine.client.api
    api.import_image_from_data(packed.getvalue(), repository="test/only-sleep", tag="latest")
    shell_less = bare.run("test/only-sleep", ["/sleep", "infinity"], name="less", init=False)
    with pytest.raises(ExecTimeoutError, match="could not be killed") as raised:
        shell_less.exec(["/sleep", "7780"], timeout=1)
    assert "sh" in str(raised.value)
    began = time.monotonic()
    timer = interrupt_after(0.5)
    with pytest.raises(KeyboardInterrupt) as interrupted:
        shell_less.exec(["/sleep", "7781"])
    timer.join()
    assert "still runs" in interrupted.value.__notes__[0]
    assert time.monotonic() - began < 15
