"""A host that is asked once: one moment, no changes, and a look that can be had again."""

from __future__ import annotations

from pathlib import Path

import pytest

from labkit.errors import BadValueError, HostError
from labkit.host import Host, RememberedHost


def test_each_question_is_asked_once_and_kept(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "state"
    file.write_text("before")
    answers: dict[str, object] = {}
    remembered = RememberedHost(lambda: host, answers)  # type: ignore[arg-type]
    assert remembered.read(str(file)) == "before"
    file.write_text("after")
    assert remembered.read(str(file)) == "before"
    assert remembered.read_many([str(file), "/nowhere"]) == {str(file): "before"}
    assert RememberedHost(lambda: host, {}).read(str(file)) == "after"
    again = RememberedHost(None, answers)  # type: ignore[arg-type]
    assert again.read(str(file)) == "before"
    with pytest.raises(HostError):
        again.read("/nowhere")
    with pytest.raises(KeyError):
        again.read("/never-asked")


def test_a_walk_is_remembered_whole(host: Host, tmp_path: Path) -> None:
    (tmp_path / "before").touch()
    answers: dict[str, object] = {}
    remembered = RememberedHost(lambda: host, answers)  # type: ignore[arg-type]
    first = list(remembered.walk(str(tmp_path)))
    (tmp_path / "after").touch()
    assert list(remembered.walk(str(tmp_path))) == first
    again = RememberedHost(None, answers)  # type: ignore[arg-type]
    assert [one.path for one in again.walk(str(tmp_path))] == [str(tmp_path), f"{tmp_path}/before"]
    with pytest.raises(KeyError):
        again.walk("/never-asked")


def test_it_changes_nothing(host: Host) -> None:
    remembered = RememberedHost(lambda: host, {})
    for change in (
        lambda: remembered.kill(1, signal="TERM"),
        lambda: remembered.end(1, start=0),
        lambda: remembered.run(["true"]),
        lambda: remembered.sample(["/proc/uptime"]),
    ):
        with pytest.raises(BadValueError, match="only looks"):
            change()
