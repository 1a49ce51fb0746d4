"""The agent's program: whatever comes in, it answers, and goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from labkit.host import agent
from labkit.waiting import wait_until


class Raw:
    """The program's two ends, without a client between."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        argv = [sys.executable, "-S", str(agent.__file__)]
        self.process = subprocess.Popen(argv, stdin=pipe, stdout=pipe)

    def say(self, line: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        assert self.process.stdout
        return json.loads(self.process.stdout.readline())

    def ask(self, number: int, *requests: object) -> Any:
        self.say(json.dumps({"id": number, "ask": requests}).encode())
        return self.hear()


@pytest.fixture
def raw() -> Iterator[Raw]:
    program = Raw()
    yield program
    assert program.process.stdin and program.process.stdout
    program.process.stdin.close()
    assert program.process.wait(10) == 0
    program.process.stdout.close()


@pytest.mark.parametrize(
    "line",
    [
        b"no JSON",
        b"\xff\xfe\x00",
        b"",
        b"7",
        b"[]",
        b"{}",
        b'{"id": "seven", "ask": []}',
        b'{"id": null}',
        b"[" * 100_000,
        b'{"id": 1}',
        b'{"id": 1, "ask": {"op": "anchor"}}',
        b'{"id": 1, "ask": [[], null, 7, {"op": {}}, {"op": "nope"}, {"op": "_place"}]}',
        b'{"id": 1, "stream": 7}',
        b'{"id": 1, "stream": {"op": "read", "path": "/proc/uptime"}}',
        b'{"id": 1, "stream": {"op": "sample", "paths": ["/proc/uptime"]}}',
        b'{"id": 1, "stream": {"op": "walk", "path": "/no/such/folder"}}',
    ],
)
def test_a_bad_line_is_answered_and_the_next_one_too(raw: Raw, line: bytes) -> None:
    raw.say(line)
    answer = raw.hear()
    assert answer["id"] in (None, 1)
    wrong = answer.get("answers") or [answer.get("end") or answer]
    assert wrong and all("bad" in one or "errno" in one for one in wrong)
    assert raw.ask(2, {"op": "anchor"}) == {"id": 2, "answers": [{"value": os.getpid()}]}


def test_credit_and_cancel_for_what_is_not_there_are_nothing(raw: Raw) -> None:
    for note in ("credit", "cancel"):
        raw.say(json.dumps({"id": 99, note: 1}).encode())
    assert raw.ask(3, {"op": "anchor"})["id"] == 3


def test_a_command_does_not_hold_up_what_is_asked_meanwhile(raw: Raw) -> None:
    raw.say(b'{"id": 1, "ask": [{"op": "run", "argv": ["sleep", "60"]}]}')
    assert raw.ask(2, {"op": "anchor"})["id"] == 2
    raw.say(b'{"id": 1, "cancel": 1}')
    child = psutil.Process(raw.process.pid)
    wait_until(lambda: not child.children(), timeout=5, what="the command to be killed")
    assert raw.ask(3, {"op": "anchor"})["id"] == 3  # and nothing was said of 1


def test_what_runs_ends_with_the_connection(raw: Raw) -> None:
    script = 'sleep 61 & setsid sleep 62 & echo "$$" > /dev/null; wait'
    raw.say(json.dumps({"id": 1, "ask": [{"op": "run", "argv": ["sh", "-c", script]}]}).encode())
    agent_process = psutil.Process(raw.process.pid)

    def three() -> list[psutil.Process]:
        found = agent_process.children(recursive=True)
        return found if len(found) == 3 else []

    running = wait_until(three, timeout=5, what="the command and its two children")
    assert raw.process.stdin
    raw.process.stdin.close()
    _, alive = psutil.wait_procs(running, timeout=5)
    assert not alive


def test_a_stream_sends_one_chunk_for_a_credit_and_no_more(raw: Raw) -> None:
    raw.say(b'{"id": 1, "stream": {"op": "walk", "path": "/proc/self/task"}}')
    assert raw.hear() == {"id": 1, "items": []}
    time.sleep(0.2)
    assert raw.ask(2, {"op": "anchor"})["id"] == 2  # the stream waits
    raw.say(b'{"id": 1, "credit": 1}')
    first = raw.hear()
    assert first["id"] == 1 and 0 < len(first["items"]) <= agent.CHUNK
    raw.say(b'{"id": 1, "cancel": 1}')
    assert raw.ask(3, {"op": "anchor"})["id"] == 3
