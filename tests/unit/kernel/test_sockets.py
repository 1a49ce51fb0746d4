from __future__ import annotations

import pytest

from labkit.errors import BadValueError
from labkit.kernel import (
    parse_interface_addresses,
    parse_listening,
    parse_listening_sockets,
    parse_local_addresses,
)

# Of a container in which BusyBox's httpd listens on port 80, Linux 6.18.
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
TCP6 = HEAD + (
    "   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A "
    "00000000:00000000 00:00000000 00000000     0        0 216090 1 00000000b1d70d74 100 0 0 10 0\n"
)
ESTABLISHED = HEAD + (
    "   1: 0100007F:1F90 0100007F:C350 01 "
    "00000000:00000000 00:00000000 00000000     0        0 216091 1 00000000b1d70d74 20 4 30\n"
)
FIB_TRIE = """\
Local:
  +-- 0.0.0.0/1 2 0 2
     +-- 0.0.0.0/4 2 0 2
        |-- 0.0.0.0
           /0 universe UNICAST
        +-- 10.213.0.0/26 2 0 2
           +-- 10.213.0.0/30 2 0 2
              |-- 10.213.0.0
                 /26 link UNICAST
              |-- 10.213.0.3
                 /32 host LOCAL
           |-- 10.213.0.63
              /32 link BROADCAST
     +-- 127.0.0.0/8 2 0 2
        +-- 127.0.0.0/31 1 0 0
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
"""


def test_only_what_listens_counts() -> None:
    assert parse_listening(TCP6) == {80}
    assert parse_listening(ESTABLISHED) == parse_listening(HEAD) == parse_listening("") == set()


def test_addresses_are_not_networks() -> None:
    assert parse_local_addresses(FIB_TRIE) == {"10.213.0.3", "127.0.0.1"}
    assert parse_local_addresses("") == set()


def test_malformed() -> None:
    with pytest.raises(BadValueError, match="net/tcp"):
        parse_listening(HEAD + "nonsense\n")


BOTH_4 = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0B00007F:8A1D 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2
"""
BOTH_6 = """\
  sl  local_address                         remote_address                        st
   0: 00000000000000000000000001000000:0051 00000000000000000000000000000000:0000 0A
   1: 0000000000000000FFFF00000100007F:0052 00000000000000000000000000000000:0000 0A
   2: 00000000000000000000000000000000:0053 00000000000000000000000000000000:0000 0A
"""


def test_each_listening_socket_by_its_number() -> None:
    assert parse_listening_sockets(BOTH_4) == {1: 35357, 2: 80}
    assert parse_listening(BOTH_6) == {81, 82, 83}  # a table without numbers is one all the same
    assert parse_listening_sockets(BOTH_4, loopback=True) == {2: 80}  # 127.0.0.11 is another
    assert {*parse_listening_sockets(BOTH_6, loopback=True).values()} == {82, 83}  # ::1 too


def test_addresses_by_interface_as_iproute_and_busybox_print_them() -> None:
    shown = (
        "1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever preferred_lft forever\n"
        "1: lo    inet 10.1.2.3/32 scope global lo\\       valid_lft forever\n"
        "7: eth0@if8    inet 172.17.0.2/16 brd 172.17.255.255 scope global eth0\\ valid_lft\n"
    )
    assert parse_interface_addresses(shown) == {
        "lo": {"127.0.0.1", "10.1.2.3"},
        "eth0": {"172.17.0.2"},
    }
    assert parse_interface_addresses("") == {}
