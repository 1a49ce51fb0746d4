"""Sizes, tables, waiting and frames."""

from __future__ import annotations

import pytest

from labkit.errors import BadValueError, LabError, WaitTimeoutError
from labkit.sdk import STDERR, STDOUT, take_frames
from labkit.sizes import parse_size, show_size
from labkit.table import Table
from labkit.waiting import wait_until


@pytest.mark.parametrize(
    ("text", "size"),
    [("64m", 64 << 20), ("1.5g", 3 << 29), ("512k", 512 << 10), (4096, 4096), ("64MiB", 64 << 20)],
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "64 potatoes", "m", "-1m", "1..5g"])
def test_a_malformed_size_says_how_to_write_one(text: str) -> None:
    with pytest.raises(BadValueError, match="64m"):
        parse_size(text)


def test_sizes_for_people() -> None:
    assert [show_size(n) for n in (0, 512, 1536, 64 << 20, 5 << 40)] == [
        "0 B", "512 B", "1.5 KiB", "64 MiB", "5.0 TiB",
    ]  # fmt: skip


def test_a_table_in_its_three_shapes() -> None:
    table = Table(("kind", "of <web>"), [("net", "its own"), ("uts", "a|b")], "Namespaces")
    assert repr(table).splitlines() == [
        "Namespaces",
        "kind  of <web>",
        "----  --------",
        "net   its own",
        "uts   a|b",
    ]
    assert "| uts | a\\|b |" in table._repr_markdown_()
    assert "of &lt;web&gt;" in table._repr_html_()


def test_waiting_returns_what_was_waited_for_and_says_what_was_seen() -> None:
    values = iter([0, 0, 7])
    assert wait_until(lambda: next(values), timeout=5, what="seven", interval=0) == 7
    with pytest.raises(WaitTimeoutError, match=r"Waited 0\.1 s for rain(.|\n)*seen: the sun"):
        wait_until(lambda: False, timeout=0.1, what="rain", saw=lambda: "the sun")


def test_an_error_has_its_facts_and_ends_with_what_to_do() -> None:
    error = LabError("It broke.", seen="two pieces", do="glue it")
    assert str(error).splitlines() == ["It broke.", "  seen: two pieces", "  do:   glue it"]


def test_frames_are_taken_whole_however_they_come() -> None:
    sent = b"\1\0\0\0\0\0\0\5hello" + b"\2\0\0\0\0\0\0\0" + b"\2\0\0\0\0\0\1\0" + b"x" * 256
    wanted = [(STDOUT, b"hello"), (STDERR, b""), (STDERR, b"x" * 256)]
    for size in (1, 7, 9, len(sent)):
        came: list[tuple[int, bytes]] = []
        buffer = bytearray()
        for at in range(0, len(sent), size):
            buffer += sent[at : at + size]
            came += take_frames(buffer)
        assert came == wanted and not buffer
