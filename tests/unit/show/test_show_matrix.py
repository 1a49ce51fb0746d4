"""Letters for namespaces, and the tables of capabilities."""

from __future__ import annotations

import pytest

from labkit.errors import BadValueError
from labkit.kernel import KINDS, Namespaces
from labkit.palette import AREAS
from labkit.show import capability_grid, namespace_matrix
from labkit.show.capabilities import grid
from labkit.show.figure import ink_on
from labkit.show.matrix import letters, matrix


def namespaces(first: int, **others: int) -> Namespaces:
    """Inode numbers `first`, first + 1, ... in the order of the kinds, or those named."""
    inodes = {kind: others.get(kind, first + at) for at, kind in enumerate(KINDS)}
    return Namespaces.from_links({kind: f"{kind}:[{inode}]" for kind, inode in inodes.items()})


HOST = namespaces(100)
WEB = namespaces(200, user=HOST["user"].inode)
DB = namespaces(300, net=WEB["net"].inode, user=HOST["user"].inode)


def test_letters_tell_who_shares_with_whom() -> None:
    rows = letters({"host": HOST, "web": WEB, "db": DB})
    assert list(rows) == list(KINDS)
    assert rows["pid"] == ["A", "B", "C"]
    assert rows["net"] == ["A", "B", "B"]
    assert rows["user"] == ["A", "A", "A"]


def test_letters_begin_with_the_first_column() -> None:
    assert letters({"db": DB, "host": HOST, "web": WEB})["net"] == ["A", "B", "A"]


def test_letters_are_the_same_for_other_inode_numbers() -> None:
    again = {
        "host": namespaces(7000),
        "web": namespaces(9000, user=namespaces(7000)["user"].inode),
    }
    assert letters(again) == letters({"host": HOST, "web": WEB})


def test_a_kind_that_the_kernel_does_not_have_has_no_letter() -> None:
    old = Namespaces({kind: HOST[kind] for kind in KINDS if kind != "time"})
    assert letters({"host": old, "web": old})["time"] == ["?", "?"]
    assert "?" in repr(matrix({"host": old, "web": old}))


def test_more_columns_than_letters_and_colours() -> None:
    many = {f"c{number}": namespaces(1000 * number) for number in range(1, 30)}
    row = letters(many)["net"]
    assert len(set(row)) == 29
    assert row[25:28] == ["Z", "A2", "B2"]
    assert matrix(many).width < 850


def test_the_text_equivalent_is_the_table() -> None:
    figure = matrix({"host": HOST, "web": WEB})
    lines = repr(figure).splitlines()
    assert lines[0].split() == ["namespace", "host", "web"]
    assert lines[2 + KINDS.index("user")].split() == ["user", "A", "A"]
    assert "host, web" in figure.alt


def test_equal_matrices_are_equal_bytes_and_others_are_not() -> None:
    one = matrix({"host": HOST, "web": WEB})
    other = matrix({"host": namespaces(5000), "web": namespaces(6000, user=5006)})
    assert one == other
    assert one.png != matrix({"host": HOST, "web": DB, "db": WEB}).png
    assert one.png != matrix({"host": HOST, "web": HOST}).png


def test_every_letter_can_be_read_on_its_colour() -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    for colour in AREAS:
        dark, light = sorted([luminance(colour), luminance(ink_on(colour))])
        assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2, level AA


def test_the_grid_has_the_capabilities_that_any_has_in_the_kernels_order() -> None:
    table = grid({"web": frozenset({"cap_net_raw", "cap_chown"}), "none": frozenset()})
    assert table.rows == [
        ("cap_chown", "yes", "-"),
        ("cap_net_raw", "yes", "-"),
        ("in all", "2", "0"),
    ]


def test_the_grid_shows_a_capability_newer_than_labkit() -> None:
    assert grid({"web": frozenset({"cap_63", "cap_bpf"})}).rows[1] == ("cap_63", "yes")


def test_nothing_to_show_is_said() -> None:
    with pytest.raises(BadValueError, match="no container"):
        namespace_matrix()
    with pytest.raises(BadValueError, match="no container"):
        capability_grid()
