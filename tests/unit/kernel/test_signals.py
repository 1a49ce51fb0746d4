from __future__ import annotations

import pytest

from labkit.errors import BadValueError
from labkit.kernel import parse_signal_sets

from .conftest import Machine

ALL = frozenset(range(1, 65))


def test_a_kernel_thread_ignores_all(machine: Machine) -> None:
    found = parse_signal_sets(machine.proc("kthread", "status"))
    assert found.ignored == ALL
    assert found.blocked == found.caught == frozenset()


def test_a_shells_background_job_ignores_the_keyboards_signals(machine: Machine) -> None:
    assert parse_signal_sets(machine.proc("host", "status")).ignored == {2, 3}  # INT, QUIT


def test_each_bit_is_the_number_below_it_and_one() -> None:
    masks = ("SigBlk", "0000000000000001"), ("SigIgn", "8000000000000000"), ("SigCgt", "4002")
    found = parse_signal_sets("".join(f"{name}:\t{mask}\n" for name, mask in masks))
    sets = [set(one) for one in (found.blocked, found.ignored, found.caught)]
    assert sets == [{1}, {64}, {2, 15}]


@pytest.mark.parametrize(
    "text", ["", "SigBlk:\t0\nSigIgn:\t0\n", "SigBlk:\t0\nSigIgn:\tx\nSigCgt:\t0\n"]
)
def test_malformed(text: str) -> None:
    with pytest.raises(BadValueError) as raised:
        parse_signal_sets(text)
    assert raised.value.value == text
