from __future__ import annotations

import pytest

from labkit.errors import BadValueError
from labkit.kernel import KINDS, Namespace, Namespaces

from .conftest import Machine


def test_container_shares_no_namespace_with_the_host(machine: Machine) -> None:
    host = Namespaces.from_links(machine.links("host"))
    container = Namespaces.from_links(machine.links("container"))
    assert tuple(host) == tuple(container) == KINDS
    assert container.differs_from(host) == set(KINDS)
    assert container.shared_with(host) == set()
    assert host.shared_with(host) == set(KINDS)


def test_links_come_back_as_they_were(machine: Machine) -> None:
    links = machine.links("container")
    assert {k: str(n) for k, n in Namespaces.from_links(links).items()} == links


def test_a_kind_that_one_side_lacks_is_neither_shared_nor_different() -> None:
    one = Namespaces.from_links({"net": "net:[1]", "pid": "pid:[2]", "uts": "uts:[3]"})
    two = Namespaces.from_links({"net": "net:[1]", "pid": "pid:[9]", "time": "time:[4]"})
    assert one.shared_with(two) == {"net"}
    assert one.differs_from(two) == {"pid"}


def test_links_for_children_are_left_out() -> None:
    found = Namespaces.from_links({"pid": "pid:[1]", "pid_for_children": "pid:[2]"})
    assert dict(found) == {"pid": Namespace("pid", 1)}


def test_namespaces_are_equal_by_value_and_frozen() -> None:
    one, two = (Namespaces.from_links({"net": "net:[1]"}) for _ in range(2))
    assert one == two
    assert len({one, two}) == 1
    with pytest.raises(AttributeError):
        one.extra = 1


@pytest.mark.parametrize(
    "text", ["", "net", "net:4026531833", "net:[]", "net:[-1]", "net:[1] ", "net:[1]\n", "what:[1]"]
)
def test_malformed(text: str) -> None:
    with pytest.raises(BadValueError) as caught:
        Namespace.parse(text)
    assert repr(text) in caught.value.seen


def test_a_link_of_another_kind_is_refused() -> None:
    with pytest.raises(BadValueError):
        Namespaces.from_links({"net": "pid:[1]"})
