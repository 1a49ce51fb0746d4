"""What a host answers, in process and by an agent of its own: the same."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from bad_requests import BAD

from labkit.errors import BadValueError, HostError, MissingToolError, ProcessGoneError
from labkit.host import Host
from labkit.host.agent import LARGEST, STAT
from labkit.waiting import wait_until


def alive(word: str) -> list[psutil.Process]:
    """The processes with this word in their command; a zombie, whom init will bury, has none."""
    found = psutil.process_iter(["cmdline", "status"])
    living = (one for one in found if one.info["status"] != psutil.STATUS_ZOMBIE)
    return [one for one in living if word in (one.info["cmdline"] or ())]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_a_bad_value(host: Host, name: str) -> None:
    action, word = BAD[name]
    with pytest.raises(BadValueError, match=word) as raised:
        action(host)
    assert raised.value.value == pytest.approx(raised.value.value, nan_ok=True)
    assert host.read("/proc/self/comm")  # it goes on


def test_what_is_known_is_listed_and_the_value_is_there(host: Host) -> None:
    with pytest.raises(BadValueError) as raised:
        host.kill(1, signal="Stop")
    assert raised.value.value == "Stop"
    assert {"STOP", "KILL", "TERM"} <= set(raised.value.do.replace(",", "").split())


def test_a_path_that_would_block_is_refused(host: Host, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, said in ((fifo, "fifo"), (Path("/dev/zero"), "character device")):
        with pytest.raises(HostError, match=said) as raised:
            host.read(str(path))
        assert raised.value.errno == errno.EINVAL
    with pytest.raises(HostError) as raised:
        host.read(str(tmp_path))
    assert raised.value.errno == errno.EISDIR


def test_a_huge_file_is_refused_and_so_is_a_huge_batch(host: Host, tmp_path: Path) -> None:
    large, larger = tmp_path / "large", tmp_path / "larger"
    large.write_bytes(b"\xff" * (LARGEST - 1))
    larger.write_bytes(b"x" * (LARGEST + 1))
    with pytest.raises(HostError) as raised:
        host.read(str(larger))
    assert raised.value.errno == errno.EFBIG
    found = host.ask([{"op": "read", "path": str(large)}] * 3)
    assert [("value" in one, one.get("errno")) for one in found] == [
        (True, None),
        (False, errno.EFBIG),
        (False, errno.EFBIG),
    ]
    assert found[0]["value"].encode("utf-8", "surrogateescape") == large.read_bytes()


def test_run(host: Host) -> None:
    done = host.run(["sh", "-c", "cat; echo no >&2; exit 3"], stdin="given\0")
    assert (done.exit_code, done.stdout, done.stderr) == (3, "given\0", "no\n")
    # It need not read what it is given.
    assert host.run(["true"], stdin="x" * LARGEST).exit_code == 0
    assert len(host.run(["cat"], stdin="x" * (1 << 20)).stdout) == 1 << 20
    with pytest.raises(MissingToolError) as raised:
        host.run(["no-such-program"])
    assert raised.value.tools == ("no-such-program",)


@pytest.mark.parametrize(
    "script",
    [
        "sleep 4711",
        "sleep 4711 & setsid sleep 4711 & wait",
        "sh -c 'sleep 4711 &'; setsid sleep 4711 &",  # whose parents have ended
    ],
)
def test_a_command_that_takes_too_long_is_killed_with_all_it_started(
    host: Host, script: str
) -> None:
    began = time.monotonic()
    with pytest.raises(HostError, match="timed out") as raised:
        host.run(["sh", "-c", script], timeout=0.5)
    assert raised.value.errno == errno.ETIMEDOUT
    assert time.monotonic() - began < 5
    wait_until(lambda: not alive("4711"), timeout=5, what="all of it to be gone")


def test_a_command_that_prints_without_end_is_killed(host: Host) -> None:
    with pytest.raises(HostError) as raised:
        host.run(["yes", "without end"], timeout=60)
    assert raised.value.errno == errno.EFBIG
    wait_until(lambda: not alive("without end"), timeout=5, what="it to be gone")


def test_end_kills_a_tree_and_nobody_who_has_got_its_pid(host: Host) -> None:
    tree = subprocess.Popen(["sh", "-c", "sleep 4712 & sh -c 'sleep 4712; true' & wait"])
    try:
        root = psutil.Process(tree.pid)
        while len(below := root.children(recursive=True)) < 3:
            time.sleep(0.01)
        start = int(host.read(f"/proc/{tree.pid}/stat").rpartition(")")[2].split()[19])
        with pytest.raises(ProcessGoneError):
            host.end(tree.pid, start=start - 1)
        assert tree.poll() is None
        assert host.end(tree.pid, start=start) == 4
        assert tree.wait(5) == -9
        assert not psutil.wait_procs(below, timeout=5)[1]
        with pytest.raises(ProcessGoneError):
            host.end(tree.pid, start=start)
    finally:
        tree.kill()
        tree.wait()


def test_a_walk_finds_what_find_finds(host: Host, tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "a/file").write_text("seven..")
    (tmp_path / "a/loop").symlink_to(tmp_path)
    (tmp_path / "many").mkdir()
    for number in range(700):
        (tmp_path / f"many/{number}").touch()
    os.mkfifo(tmp_path / "fifo")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).touch()
    listed = subprocess.run(
        ["find", tmp_path, "-printf", r"%p\t%y\t%s\t%i\t%D\0"], capture_output=True, check=True
    )
    wanted = set(os.fsdecode(listed.stdout).split("\0")[:-1])
    letter = {"directory": "d", "file": "f", "link": "l", "fifo": "p"}
    with host.walk(str(tmp_path)) as walk:
        found = list(walk)
    assert found[0].path == str(tmp_path)
    assert {f"{e.path}\t{letter[e.type]}\t{e.size}\t{e.ino}\t{e.dev}" for e in found} == wanted
    assert len(found) == len(wanted) > 700
    for one in found[:20]:
        facts = os.lstat(one.path)
        assert all(getattr(one, name) == getattr(facts, "st_" + name) for name in STAT)


def test_extended_attributes_are_a_files_own(host: Host, tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.touch()
    link.symlink_to(file)
    assert host.xattrs(str(file)) == {}
    os.setxattr(file, "user.note", b"yes \xff")
    assert host.xattrs(str(file)) == {"user.note": "yes \udcff"}
    assert host.xattrs(str(link)) == {}
    assert host.xattrs("/proc/version") == {}  # where none are kept
    with pytest.raises(HostError) as raised:
        host.xattrs(str(tmp_path / "nothing"))
    assert raised.value.errno == errno.ENOENT


def test_a_walk_of_a_file_a_link_and_nothing(host: Host, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    assert [e.type for e in host.walk(str(tmp_path / "file"))] == ["file"]
    assert [e.type for e in host.walk(str(tmp_path / "link"))] == ["link"]
    with pytest.raises(HostError) as raised:
        host.walk(str(tmp_path / "nothing"))
    assert raised.value.errno == errno.ENOENT


def test_a_sampler_keeps_its_schedule_and_skips_what_is_missed(host: Host) -> None:
    with host.sample(["/proc/uptime", "/no/such/file"], interval=0.1) as samples:
        first = next(samples)
        assert list(first.texts) == ["/proc/uptime"]
        seen = [first, *(next(samples) for _ in range(4))]
        time.sleep(0.55)
        seen += [next(samples) for _ in range(3)]
    ticks = [one.tick for one in seen]
    assert ticks[:5] == [0, 1, 2, 3, 4]
    assert ticks[5] >= 9 and ticks[6:] == [ticks[5] + 1, ticks[5] + 2]  # none was queued
    for one in seen:
        late = one.seconds - first.seconds - one.tick * 0.1
        assert -0.01 < late < 0.09, "tick n is n intervals after the first"
    assert list(samples) == []


def test_a_stream_that_is_left_or_dropped_ends(spawned: Host) -> None:
    pid = spawned.agent_pid  # type: ignore[attr-defined]
    threads = psutil.Process(pid).num_threads
    before = threads()
    with spawned.walk("/usr"):
        assert threads() == before + 1
    dropped = spawned.sample(["/proc/uptime"])
    next(dropped)
    del dropped
    deadline = time.monotonic() + 5
    while threads() != before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threads() == before
