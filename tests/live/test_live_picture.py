"""The picture that keeps up with a lab: by whatever hand its containers come and go."""

from __future__ import annotations

import os
import subprocess
import threading

import psutil
import pytest

from labkit import Lab, show
from labkit.show.live import NOBODY
from labkit.waiting import wait_until


def seen(picture: show.Live, word: str, *, there: bool = True) -> None:
    wait_until(
        lambda: (word in picture.picture.value) is there,
        timeout=30,
        what=f"{word!r} in the picture" if there else f"a picture without {word!r}",
    )


def docker(lab: Lab, *words: str) -> None:
    environ = {**os.environ, **lab.environ()}
    subprocess.run(["docker", *words], env=environ, check=True, stdout=subprocess.DEVNULL)


def test_it_follows_whoever_acts(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", lab.environ().get("PATH", os.environ["PATH"]))
    picture = show.live(lab)
    assert repr(picture) == NOBODY
    web = lab.run("base", name="web")
    seen(picture, "web")
    docker(lab, "run", "-d", "--name", "typed", "--network", "container:web", "labkit/base")
    seen(picture, "typed")
    docker(lab, "rename", "typed", "renamed")
    seen(picture, "renamed")
    picture.view.value = "processes"
    seen(picture, "sleep infinity")
    docker(lab, "exec", "-d", "web", "sleep", "4711")
    seen(picture, "sleep 4711")
    docker(lab, "rm", "-f", "renamed")
    seen(picture, "renamed", there=False)
    web.remove()
    seen(picture, NOBODY)


def test_it_follows_no_more_when_told_or_shown_again(lab: Lab) -> None:
    before = set(threading.enumerate())
    first = show.live(lab)
    second = show.live(lab)
    assert not first.follow.value
    lab.run("base", name="web")
    seen(second, "web")
    assert "web" not in first.picture.value
    second.stop()
    wait_until(
        lambda: not set(threading.enumerate()) - before, timeout=30, what="the end of its threads"
    )
    lab.run("base", name="late")
    assert "late" not in second.picture.value
    second.follow.value = True
    seen(second, "late")
    second.stop()


def test_at_rest_it_costs_nothing(lab: Lab) -> None:
    lab.run("base", name="web")
    picture = show.live(lab)
    seen(picture, "web")
    process = psutil.Process()

    def spent() -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    before = spent()
    with pytest.raises(TimeoutError):
        wait_until(lambda: False, timeout=3, what="nothing", interval=3)
    assert spent() - before < 0.03  # 1 % of a core
    picture.stop()


def test_another_labs_are_not_in_it(lab: Lab) -> None:
    picture = show.live(lab)
    with Lab(engine=lab.engine) as other:
        other.run("base", name="foreign")
        lab.run("base", name="mine")
        seen(picture, "mine")
        assert "foreign" not in picture.picture.value
    picture.stop()
