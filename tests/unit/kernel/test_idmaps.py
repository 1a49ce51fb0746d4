from __future__ import annotations

import pytest

from labkit.errors import BadValueError
from labkit.kernel import IdMap, IdRange, parse_id_map

from .conftest import Machine


def test_initial_user_namespace_maps_each_id_to_itself(machine: Machine) -> None:
    found = parse_id_map(machine.proc("host", "uid_map"))
    assert found == IdMap((IdRange(0, 0, 4294967295),))
    assert found.is_identity
    assert found.to_outside(1000) == found.to_inside(1000) == 1000


@pytest.mark.parametrize("file", ["uid_map", "gid_map"])
def test_container(machine: Machine, file: str) -> None:
    found = parse_id_map(machine.proc("container", file))
    assert not found.is_identity
    assert found.to_outside(0) == 100000
    assert found.to_outside(1) is None
    assert found.to_inside(100000) == 0
    assert found.to_inside(0) is None


def test_ranges_of_a_rootless_engine() -> None:
    found = parse_id_map("         0       1000          1\n         1     100000      65536\n")
    assert [found.to_outside(i) for i in (0, 1, 65536, 65537)] == [1000, 100000, 165535, None]
    assert [found.to_inside(i) for i in (999, 1000, 1001, 100000, 165535, 165536)] == [
        None, 0, None, 1, 65536, None,
    ]  # fmt: skip


def test_empty_map_maps_nothing() -> None:
    found = parse_id_map("")
    assert found.to_outside(0) is None
    assert found.to_inside(0) is None
    assert not found.is_identity


@pytest.mark.parametrize("text", ["0 0", "0 0 1 1", "0 a 1", "0 -1 1", "0 0 0", "\n"])
def test_malformed(text: str) -> None:
    with pytest.raises(BadValueError):
        parse_id_map(text)
