"""A control group live: sliders that change its limits, stress, and what is seen of it."""

from __future__ import annotations

import threading

import psutil
import pytest

from labkit import Lab, show
from labkit.waiting import wait_until


def test_it_changes_limits_and_shows_what_comes_of_it(lab: Lab) -> None:
    web = lab.run("base", name="web", memory="48m", cpus=0.2, pids=50)
    picture = show.limits(web)
    try:
        first = repr(picture)  # some CPU time was burnt, and too much memory asked for
        rows = [line.split() for line in first.splitlines()[3:]]
        assert max(float(row[1]) for row in rows) > 0.05
        assert sum(int(row[-1]) for row in rows) >= 1
        group = web.cgroup()
        picture.cpus.value, picture.tasks.value = 0.5, 20
        cpu = group.cpu()
        assert (cpu.quota_us, cpu.period_us, group.tasks().max) == (50_000, 100_000, 20)
        for size in (32, 96, 64):  # down, up above what it began with, down
            picture.memory.value = size
            assert (picture.status.value, group.memory().max) == ("", size << 20)
        killed = group.memory().oom_kills or 0
        picture.take.click()
        wait_until(lambda: (group.memory().oom_kills or 0) > killed, timeout=60, what="an OOM kill")
        throttled = group.cpu().nr_throttled
        picture.burn.click()
        wait_until(lambda: group.cpu().nr_throttled > throttled, timeout=60, what="throttling")
        wait_until(lambda: "OOM kills" in picture.picture.value, timeout=60, what="the picture")
        assert web.status == "running"
    finally:
        picture.stop()


def test_a_value_that_the_kernel_refuses_is_told(lab: Lab) -> None:
    code = "import time; held = b'x' * (60 << 20); print('ready', flush=True); time.sleep(1e6)"
    web = lab.run("toolbox", ["python3", "-c", code], name="web", memory="128m")
    web.wait_log("ready", timeout=60)
    is_v2 = web.cgroup().is_v2("memory")
    picture = show.limits(web)
    try:
        picture.memory.value = 32
        if is_v2:  # which takes it, and kills
            wait_until(lambda: web.status == "exited", timeout=60, what="its end")
        else:
            assert "busy" in picture.status.value
            assert web.status == "running"
    finally:
        picture.stop()


def test_it_ends_when_it_is_told_shown_again_or_its_container_ends(lab: Lab) -> None:
    web = lab.run("base", name="web", memory="48m")
    before = set(threading.enumerate())
    first = show.limits(web)
    second = show.limits(web)
    assert not first.follow.value
    web.remove()
    wait_until(lambda: "gone" in second.picture.value, timeout=60, what="what became of it")
    wait_until(
        lambda: not set(threading.enumerate()) - before, timeout=60, what="the end of its threads"
    )


def test_at_rest_it_costs_next_to_nothing(lab: Lab) -> None:
    web = lab.run("base", name="web", memory="48m")
    before = set(threading.enumerate())
    picture = show.limits(web)
    # What was burnt at the beginning has ended, and the last of it was drawn.
    wait_until(
        lambda: len(set(threading.enumerate()) - before) == 1, timeout=60, what="the stress's end"
    )
    with pytest.raises(TimeoutError):
        wait_until(lambda: False, timeout=2, what="nothing", interval=2)
    process = psutil.Process()

    def spent() -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    begun = spent()
    with pytest.raises(TimeoutError):
        wait_until(lambda: False, timeout=3, what="nothing", interval=3)
    assert spent() - begun < 0.06  # 2 % of a core, for twelve looks
    picture.stop()
