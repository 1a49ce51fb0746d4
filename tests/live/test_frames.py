"""Nothing that a program prints is lost, however slow its reader is."""

from __future__ import annotations

import http.client
import time

import pytest

from labkit import Lab


def test_output_that_comes_with_the_header_is_not_lost(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = lab.run("base", name="box", network="none")
    begin = http.client.HTTPResponse.begin

    def late(response: http.client.HTTPResponse) -> None:
        time.sleep(0.2)  # by now the whole output is in the socket, right behind the header
        begin(response)

    monkeypatch.setattr(http.client.HTTPResponse, "begin", late)
    assert [box.exec("echo hello").stdout for _ in range(3)] == ["hello\n"] * 3


def test_more_than_a_buffer_holds_comes_whole_and_apart(lab: Lab) -> None:
    box = lab.run("base", name="box", network="none")
    script = "head -c 3000000 /dev/zero | tr '\\0' x; echo problem >&2; exit 3"
    done = box.exec(["sh", "-c", script])
    assert (done.exit_code, len(done.stdout), done.stderr) == (3, 3_000_000, "problem\n")
