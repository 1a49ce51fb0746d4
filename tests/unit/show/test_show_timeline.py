"""A control group over time: what is between two samples, and how it is drawn."""

from __future__ import annotations

import pytest

from labkit.errors import BadValueError
from labkit.inspect import Usage
from labkit.kernel import CpuState, MemoryState
from labkit.show import timeline
from labkit.show.timeline import steps_of

MIB = 1 << 20


def usage(
    ran: float, throttled: float, memory: int, *, quota: int | None = 20_000, kills: int = 0
) -> Usage:
    return Usage(
        MemoryState(
            current=memory * MIB,
            max=32 * MIB,
            low=None,
            swap_max=None,
            oom_kills=kills,
            max_events=0,
            peak=None,
        ),
        CpuState(
            usage_ns=int(ran * 1e9),
            quota_us=quota,
            period_us=100_000,
            weight=100,
            nr_periods=0,
            nr_throttled=0,
            throttled_ns=int(throttled * 1e9),
        ),
    )


SAMPLES = [
    (100.0, usage(1.0, 0.0, 8, quota=None)),
    (100.5, usage(1.5, 0.0, 16, quota=None)),
    (101.5, usage(1.7, 0.75, 30)),
    (102.0, usage(1.8, 1.0, 4, kills=2)),
]


def test_what_is_between_two_samples() -> None:
    first, second, third = steps_of(SAMPLES)
    assert (first.begin, first.end, first.ran, first.quota) == (0.0, 0.5, 1.0, None)
    assert (second.begin, second.end) == (0.5, 1.5)
    assert second.ran == pytest.approx(0.2)
    assert (second.throttled, second.quota, second.killed) == (0.75, 0.2, 0)
    assert (third.memory, third.limit, third.killed) == (4.0, 32.0, 2)


def test_work_is_read_between_its_own_moments() -> None:
    work = [(99.0, 0.0), (101.0, 200.0), (102.0, 210.0)]
    told = [step.work for step in steps_of(SAMPLES, work=work)]
    assert told == [pytest.approx(100.0), pytest.approx(55.0), pytest.approx(10.0)]
    before = [step.work for step in steps_of(SAMPLES, work=[(100.2, 0.0), (101.6, 14.0)])]
    assert before == [None, pytest.approx(10.0), None]  # what nobody told is not drawn


def test_its_figure_says_the_same_as_its_table() -> None:
    figure = timeline(SAMPLES, title="A group")
    assert figure.png.startswith(b"\x89PNG")
    assert "throttled" in figure.alt
    assert repr(figure).splitlines()[0] == "A group"
    assert repr(figure).splitlines()[-1].split() == ["2.0", "0.20", "0.50", "0.2", "4", "32", "2"]
    beside = timeline(SAMPLES, work=[(99.0, 0.0), (103.0, 40.0)], title="Work")
    assert repr(beside).splitlines()[-1].split()[-1] == "10"
    assert figure.png == timeline(SAMPLES, title="A group").png


def test_one_sample_is_no_line() -> None:
    with pytest.raises(BadValueError, match="two samples"):
        timeline(SAMPLES[:1], title="A group")
