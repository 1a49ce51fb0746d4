"""What checks build on, against the engine and the kernel themselves."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from other import OtherEngine

from labkit import check, labels
from labkit.authoring.attempts import learner
from labkit.checks import HOST, Evidence, Look, Memory, Outcome, catalog
from labkit.engine import Engine
from labkit.errors import BadValueError, EngineGoneError, LabError
from labkit.inspect import ConditionKind, Executable, read_executable, read_interface_addresses
from labkit.kernel import parse_capability_sets
from labkit.lab import Lab
from labkit.shell.toolbox import toolbox_of


@pytest.fixture
def evidence(engine: Engine) -> Evidence:
    """Of a look whose time does not run while a test makes what is to be seen."""
    look = Look(engine, Memory(), until=math.inf)
    return Evidence(look, session=labels.session(), answers={}, variant={})


@pytest.fixture
def novice() -> Iterator[Lab]:
    with learner() as lab:
        yield lab


@pytest.mark.parametrize(
    "options", [{}, {"cap_add": ["net_admin", "CAP_SYS_PTRACE"]}, {"cap_drop": ["MKNOD"]},
                {"cap_drop": ["all"], "cap_add": ["CHOWN", "setpcap"]}],
)  # fmt: skip
def test_what_a_new_exec_gets_is_what_one_has(lab: Lab, options: dict[str, Any]) -> None:
    # Its first process has given up all that it had.
    box = lab.run("toolbox", "capsh --drop=all -- -c 'echo less; sleep 999'", name="box", **options)
    told = box.new_exec()
    status = box.exec("cat /proc/self/status").stdout
    assert parse_capability_sets(status).bounding == told.capabilities
    assert (told.folders, told.devices, told.is_privileged) == ((), (), False)


def test_the_hosts_things_in_a_container_are_told(lab: Lab) -> None:
    box = lab.run("base", name="box", volumes={"/run": "/mnt"}, devices=["/dev/zero:/dev/nil"])
    told = box.new_exec()
    assert told.folders == ("/run",)
    assert told.devices == ("/dev/zero",)
    assert told.has_engine_socket


def test_a_program_is_known_by_its_file(lab: Lab) -> None:
    line = "cp $(command -v sleep) /other; /other 998 & sleep 997 & exec sleep 999"
    box, host = lab.run("toolbox", ["sh", "-c", line], name="box"), lab.engine.host

    def files() -> dict[str, Executable]:
        return {p.cmdline[-1]: read_executable(host, p.pid) for p in box.processes()}

    box.wait_until(lambda: files().keys() == {"997", "998", "999"}, what="its programs")
    found = files()
    assert found["997"] == found["999"] != found["998"]
    seen = box.exec("stat -L -c %i /proc/1/exe").stdout
    assert found["999"].inode == int(seen)


def test_addresses_by_interface_against_ip(lab: Lab) -> None:
    box = lab.run("toolbox", name="box")
    found = read_interface_addresses(lab.engine.host, box.pid)
    assert found["lo"] == {"127.0.0.1"}
    assert found["eth0"] == {box.address()}


def test_limits_and_memory_of_programs_against_the_files(lab: Lab) -> None:
    box = lab.run("base", name="box", memory="40m")
    assert box.cgroup().memory_limit() == 40 << 20
    filled = "head -c 20m /dev/zero >/file; cat /file >/dev/null; echo read; sleep 999"
    reader = lab.run("base", ["sh", "-c", filled], name="reader")
    reader.wait_log("read")
    group = reader.cgroup()
    assert group.memory_limit() is None
    assert group.program_memory() < 10 << 20 < group.memory().current


def test_who_shares_is_asked_of_every_container_on_the_engine(
    lab: Lab, engine: Engine, evidence: Evidence
) -> None:
    lab.run("base", name="alone")
    lab.run("base", name="owner")
    lab.run("base", name="guest", network="container:owner")
    lab.run("base", name="guests-guest", network="container:guest")
    lab.run("base", name="hosts", network="host")
    assert evidence.sharing("alone", "net") == []
    assert evidence.sharing("owner", "net") == []
    assert evidence.sharing("guest", "net") == ["owner"]
    helper = engine.client.api.inspect_container(toolbox_of(engine))["Name"]
    told = evidence.sharing("hosts", "net")
    assert told[0] == HOST and helper.removeprefix("/") not in told
    assert HOST in evidence.sharing("alone", "user")


def test_what_became_of_containers_is_told_apart(lab: Lab) -> None:
    up = lab.run("base", name="up")
    assert up.condition().kind is ConditionKind.RUNNING
    assert up.pause().condition().kind is ConditionKind.PAUSED
    up.unpause()
    assert up.stop(timeout=0).condition().kind is ConditionKind.STOPPED
    ended = lab.run("base", ["sh", "-c", "echo so long; exit 3"], name="ended")
    ended.wait_exit()
    condition = ended.condition()
    assert condition.kind is ConditionKind.ENDED
    assert "exit code 3" in condition.seen and condition.last_line == "so long"
    silent = lab.run("base", "false", name="silent", log_config={"Type": "none"})
    silent.wait_exit()
    assert silent.condition().kind is ConditionKind.ENDED
    eats = "x=; while :; do x=$x$(head -c 4000000 /dev/zero | tr '\\0' x); done"
    hungry = lab.run("base", ["sh", "-c", eats], name="hungry", memory="32m")
    hungry.wait_exit()
    assert hungry.condition().kind in (ConditionKind.OUT_OF_MEMORY, ConditionKind.KILLED)
    lab.run("base", name="app")
    doctor = lab.run("base", name="doctor", pid_mode="container:app")
    lab.container("app").restart(timeout=0)
    doctor.wait_exit()
    assert doctor.condition().kind is ConditionKind.OWNER_ENDED


def test_a_look_that_was_recorded_is_judged_the_same(novice: Lab, engine: Engine) -> None:
    novice.run("base", "sleep 1000", name="first")
    memory, exercise = Memory(), catalog.find("00.1")
    seen = Evidence(Look(engine, memory), session=labels.session(), answers={}, variant={})
    exercise.judge(seen, again=lambda one: one)
    again = Memory.load(memory.dump())
    report = exercise.judge(seen.again(Look(None, again)), again=lambda one: one)
    assert report.outcome is Outcome.PASSED


@pytest.mark.parametrize("id", [0.1, None, 1, "", "00.", "00.1 ", ["00.1"]])
def test_no_exercise_of_that_name_is_one_clear_error(id: object) -> None:
    with pytest.raises(LabError, match="no exercise"):
        check(id)  # type: ignore[arg-type]


def test_two_checks_at_once_and_a_container_that_comes_and_goes(novice: Lab) -> None:
    stop = threading.Event()
    outcomes: list[Outcome] = []

    def flap() -> None:
        while not stop.is_set():
            novice.run("base", "sleep 1000", name="first").remove()

    def judge() -> None:
        outcomes.extend(check("00.1").outcome for _ in range(5))

    flapping = threading.Thread(target=flap)
    flapping.start()
    judges = [threading.Thread(target=judge) for _ in range(2)]
    for one in judges:
        one.start()
    for one in judges:
        one.join()
    stop.set()
    flapping.join()
    assert len(outcomes) == 10
    assert set(outcomes) <= {Outcome.NOT_ATTEMPTED, Outcome.INCORRECT}


def test_an_engine_that_goes_costs_nothing(
    novice: Lab, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*words: object, **options: object) -> None:
        raise EngineGoneError("The engine stopped answering.", do="start it")

    novice.run("base", "sleep 1000", name="first")
    seen = Evidence(Look(engine, Memory()), session=labels.session(), answers={}, variant={})
    monkeypatch.setattr("labkit.inspect.Container.inspect", gone)
    report = catalog.find("00.1").judge(seen, again=lambda one: one)
    assert (report.outcome, report.earned) == (Outcome.NOT_JUDGED, 0)
    assert "start it" in report.advice


def test_an_answer_of_another_name_is_refused(novice: Lab) -> None:
    from labkit import answer

    with pytest.raises(BadValueError, match="no answer inisde"):
        answer("00.2", inisde=1)


def test_an_engine_that_hangs_costs_nothing_and_not_much_time(
    other_engine: OtherEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labkit.checks.look.PATIENCE", 1.5)
    daemon = next(one for one in other_engine.processes() if one.name() == "dockerd")
    engine, exercise = other_engine.engine, catalog.find("00.1")

    def seen(*_: object) -> Evidence:
        session = labels.session()
        return Evidence(Look(engine, Memory()), session=session, answers={}, variant={})

    with Lab(engine=engine) as lab:
        lab.run("base", "sleep 1000", name="first")
        os.kill(daemon.pid, signal.SIGSTOP)
        try:
            begin = time.monotonic()
            report = exercise.judge(seen(), again=seen)
            assert time.monotonic() - begin < 10
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
        assert (report.outcome, report.earned) == (Outcome.NOT_JUDGED, 0)
        assert "did not answer in time" in report.advice
        # As soon as it answers again, it is judged.
        assert exercise.judge(seen(), again=seen).outcome is Outcome.PASSED


def test_an_engine_that_is_killed_and_comes_back_between_two_looks(
    other_engine: OtherEngine,
) -> None:
    exercise = catalog.find("00.1")

    def seen(_: object = None) -> Evidence:
        look = Look(other_engine.engine, Memory())
        return Evidence(look, session=labels.session(), answers={}, variant={})

    def gone(_: object) -> Evidence:
        os.kill(other_engine.pid, signal.SIGKILL)
        return seen()

    def back(_: object) -> Evidence:
        other_engine.start()
        return seen()

    with Lab(engine=other_engine.engine) as lab:
        lab.run("base", "sleep 1000", name="first")
        report = exercise.judge(seen(), again=gone)
        assert (report.outcome, report.earned) == (Outcome.NOT_JUDGED, 0)
        # Its container did not outlive it: what was running is not, and that is said.
        report = exercise.judge(back(None), again=seen)
        assert (report.outcome, report.earned) == (Outcome.INCORRECT, 0)
        assert "first is running" in report.failed[0]
