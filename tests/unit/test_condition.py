"""What has become of a container, told from what an engine says: real words of a real one, cut."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.inspect import ConditionKind
from labkit.inspect.condition import condition_of, ended_at

END = "2026-11-24T23:12:26.123456789Z"
NEVER = "0001-01-01T00:00:00Z"


def seen(status: str, code: int = 0, **state: Any) -> dict[str, Any]:
    restarts = state.pop("restarts", 0)
    return {
        "State": {"Status": status, "ExitCode": code, "FinishedAt": END, "Error": "", **state},
        "HostConfig": {"Memory": 32 << 20},
        "RestartCount": restarts,
    }


def killed_by(signal: str) -> dict[str, Any]:
    return {"Action": "kill", "Actor": {"Attributes": {"signal": signal}}}


CASES = [
    (seen("created", FinishedAt=NEVER), {}, ConditionKind.CREATED, "docker start web"),
    (seen("created", 127, Error="no such file"), {}, ConditionKind.CREATED, "correct its command"),
    (seen("running"), {}, ConditionKind.RUNNING, ""),
    (seen("paused"), {}, ConditionKind.PAUSED, "docker unpause web"),
    (seen("restarting", 1, restarts=3), {}, ConditionKind.RESTARTING, "correct its command"),
    (seen("running", 1, Restarting=True), {}, ConditionKind.RESTARTING, "correct its command"),
    (seen("exited"), {}, ConditionKind.ENDED, "one that lasts"),
    (seen("exited", 127), {}, ConditionKind.ENDED, "no such program"),
    (seen("exited", 1), {}, ConditionKind.ENDED, "correct its command"),
    (seen("exited", 137, OOMKilled=True), {}, ConditionKind.OUT_OF_MEMORY, "`memory=`"),
    (seen("exited", 143), {"events": [killed_by("15")]}, ConditionKind.STOPPED, "start it again"),
    (seen("exited", 137), {}, ConditionKind.KILLED, "start it again"),
    (seen("exited", 137), {"owner": seen("running")}, ConditionKind.OWNER_ENDED, "where that one"),
    (
        seen("exited", 137),
        {"owner": seen("running", FinishedAt=NEVER)},
        ConditionKind.KILLED,
        "start it again",
    ),
]


@pytest.mark.parametrize(("inspected", "more", "kind", "advice"), CASES)
def test_each_condition_has_its_own_advice(
    inspected: dict[str, Any], more: dict[str, Any], kind: ConditionKind, advice: str
) -> None:
    found = condition_of(inspected, name="web", last_line="bye", **more)
    assert found.kind is kind
    assert advice in found.advice
    assert found.is_up is (kind in (ConditionKind.RUNNING, ConditionKind.PAUSED))


def test_what_is_seen_has_the_numbers_and_the_last_line() -> None:
    again = condition_of(seen("restarting", 1, restarts=3), name="web", last_line="bye")
    assert "3 times so far" in again.seen and "exit code 1" in again.seen
    assert again.told.endswith("; its log ends: bye")
    memory = condition_of(seen("exited", 137, OOMKilled=True), name="web")
    assert "32 MiB" in memory.seen


def test_the_end_is_read_with_nanoseconds_and_never_is_none() -> None:
    found = ended_at(seen("exited")["State"])
    assert found is not None and f"{found:.3f}" == "1795561946.123"
    assert ended_at({"FinishedAt": NEVER}) is None
    assert ended_at({"FinishedAt": ""}) is None
    assert ended_at({}) is None
