"""Lab images made on a machine that reaches no network: the packages come from outside."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from services import SERVICES

from labkit import Lab
from labkit.engine import VmEngine
from labkit.engine.vm import MicroVM
from labkit.images import build_images


@pytest.mark.timeout(600)
def test_images_of_packages_are_made_without_a_network(make_vm: Callable[[str], MicroVM]) -> None:
    vm = make_vm("cut-off")
    engine = VmEngine(vm, vm.start(network=False))
    names = {"web", "redis"}  # PostgreSQL takes minutes on an emulated CPU
    try:
        assert build_images(engine, on_message=print, names=names) == ["redis", "web"]
        with Lab(engine=engine) as lab:
            nowhere = lab.once("toolbox", "curl -sS -m 5 http://deb.debian.org/")
            assert nowhere.exit_code != 0
            for name in sorted(names):
                prove, answer = SERVICES[name]
                assert answer in prove(lab)
    finally:
        engine.close()
