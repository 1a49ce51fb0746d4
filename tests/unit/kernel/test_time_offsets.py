from __future__ import annotations

import pytest

from labkit.errors import BadValueError
from labkit.kernel import TimeOffsets, parse_time_offsets


def test_seconds_and_nanoseconds() -> None:
    text = "monotonic           0         0\nboottime      864000 500000000\n"
    assert parse_time_offsets(text) == TimeOffsets(monotonic=0, boottime=864_000.5)
    # The kernel keeps nanoseconds positive: one and a half behind.
    behind = parse_time_offsets("monotonic -2 500000000\nboottime -2 500000000\n")
    assert behind == TimeOffsets(monotonic=-1.5, boottime=-1.5)


@pytest.mark.parametrize("text", ["", "monotonic 0 0\n", "boottime 1\n", "boottime x 0\n"])
def test_another_text_is_an_error(text: str) -> None:
    with pytest.raises(BadValueError, match="timens_offsets"):
        parse_time_offsets(text)
