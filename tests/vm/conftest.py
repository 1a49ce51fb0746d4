"""Real images, snapshots and machines, from the cache that `labkit engine build` fills."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from machines import Base

from labkit import Lab, paths
from labkit.engine import Endpoint, Engine, VmEngine
from labkit.engine.vm import KvmWarning, MicroVM, Preparation, hold_base
from labkit.images import build_images, recipe_of_all


@pytest.fixture(scope="session")
def base() -> Base:
    """The shared base with the lab images, built if it is not there (about 80 s).

    Another worker that asks for it meanwhile waits for the lock of the cache.
    """

    def lab_images(endpoint: Endpoint) -> None:
        guest = Engine("vm", endpoint)
        build_images(guest, on_message=print)
        guest.close()

    cache = paths.cache() / "vm"
    preparation = Preparation(recipe_of_all(), lab_images)
    with (
        warnings.catch_warnings(action="ignore", category=KvmWarning),  # said once for a cache
        hold_base(
            cache, on_progress=lambda stage, done: print(stage), preparation=preparation
        ) as made,
    ):
        return Base(cache, made.image, made.disk, made.machine, made.snapshot)


@pytest.fixture
def make_vm(base: Base, tmp_path: Path) -> Iterator[Callable[[str], MicroVM]]:
    """Machines of this test's own, by name; all are removed after it."""
    made: list[MicroVM] = []

    def make(name: str) -> MicroVM:
        made.append(MicroVM(tmp_path / name, cache=base.cache))
        return made[-1]

    yield make
    for vm in made:
        vm.remove()


@pytest.fixture(scope="module")
def vm(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MicroVM]:
    """A machine that a module's tests share, restored."""
    machine = MicroVM(tmp_path_factory.mktemp("vm"), cache=base.cache)
    machine.start()
    yield machine
    machine.remove()


@pytest.fixture(scope="module")
def engine(vm: MicroVM) -> Iterator[VmEngine]:
    """That machine's engine."""
    found = VmEngine(vm, vm.endpoint)
    yield found
    found.close()


@pytest.fixture
def lab(engine: VmEngine) -> Iterator[Lab]:
    """A lab of this test's own."""
    with Lab(engine=engine) as made:
        yield made
