"""One process, from /proc/PID/stat, status and cmdline (man 5 proc)."""

from __future__ import annotations

from dataclasses import dataclass

from labkit.kernel._text import malformed


@dataclass(frozen=True)
class Process:
    """A process as the reader's PID and user namespaces show it; `ps -o pid,ppid,comm,stat`."""

    pid: int
    ppid: int  # 0: no parent, or one outside the reader's PID namespace
    comm: str  # the program's name, cut to 15 bytes by the kernel
    state: str  # one letter: R, S, D, T, t, Z, X or I
    start_time: int  # clock ticks since boot; `getconf CLK_TCK` of them are a second
    threads: int
    uid: int  # effective
    gid: int  # effective
    nspid: tuple[int, ...]  # its pid in each PID namespace, the reader's first; () if not told
    cmdline: tuple[str, ...]  # () for kernel threads and zombies
    rss_kib: int | None = None  # resident memory, KiB; None for kernel threads and zombies
    own_kib: int | None = None  # of it, what no file stands behind: anonymous and shared memory

    @property
    def rss_bytes(self) -> int | None:
        """Resident memory in bytes, from VmRSS; None for kernel threads and zombies."""
        return None if self.rss_kib is None else self.rss_kib * 1024

    @property
    def own_bytes(self) -> int | None:
        """Resident memory that no file stands behind, in bytes, from RssAnon and RssShmem."""
        return None if self.own_kib is None else self.own_kib * 1024

    @property
    def inside_pid(self) -> int | None:
        """The pid in the innermost PID namespace of the process; None if status has no NSpid."""
        return self.nspid[-1] if self.nspid else None


def parse_process(stat: str, status: str, cmdline: str) -> Process:
    """Parse the three files of one process; raise `BadValueError` where one is malformed.

    The command line is what `tr '\\0' '\\n' < /proc/PID/cmdline` prints, empty arguments
    included. A process may overwrite its own: then that is what is shown.
    """
    # comm may hold spaces, parentheses and newlines: it ends at the last parenthesis.
    head, closed, tail = stat.rpartition(")")
    number, opened, comm = head.partition(" (")
    fields = tail.split()
    known = dict(line.split(":", 1) for line in status.split("\n") if ":" in line)
    if not (opened and closed):
        raise malformed("a /proc/PID/stat", stat)
    try:
        return Process(
            pid=int(number),
            ppid=int(fields[1]),
            comm=comm,
            state=fields[0],
            threads=int(fields[17]),
            start_time=int(fields[19]),
            uid=int(known["Uid"].split()[1]),
            gid=int(known["Gid"].split()[1]),
            nspid=tuple(int(pid) for pid in known.get("NSpid", "").split()),
            cmdline=tuple(cmdline.removesuffix("\0").split("\0")) if cmdline else (),
            rss_kib=_kib(known["VmRSS"]) if "VmRSS" in known else None,
            own_kib=_kib(known["RssAnon"]) + _kib(known["RssShmem"])
            if "RssAnon" in known
            else None,
        )
    except (KeyError, IndexError, ValueError) as err:
        raise malformed("a /proc/PID/stat and its status", stat + status) from err


def _kib(text: str) -> int:
    return int(text.removesuffix("kB"))
