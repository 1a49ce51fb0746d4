"""The eyes of labkit on an engine's machine: one file, standard library only.

It runs in this process, in a helper container, or in a guest, and does the same in each. `Agent`
answers requests, each a dict with an "op": `{"value": ...}`; `{"errno": ..., "error": ...}` where
the kernel refuses; `{"bad": FIELD, "wanted": ..., "known": [...]}` where the request is no good.

As a program it speaks JSON lines on stdin and stdout. In come
`{"id": 7, "ask": [REQUEST, ...]}`, `{"id": 8, "stream": REQUEST}`, `{"id": 8, "credit": 1}` and
`{"id": 8, "cancel": 1}`; out go `{"id": 7, "answers": [...]}`, `{"id": 8, "items": [...]}`, none at
first, to say that the stream has begun, then some for each credit, and `{"id": 8, "end": ANSWER}`.

Paths below /proc are those of the agent's own /proc. All others are seen as the engine's
processes see them: `root` is a process of the engine's, through whose /proc/PID/root they go.
"""

from __future__ import annotations

import errno
import json
import math
import operator
import os
import selectors
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

Request = dict[str, Any]
Answer = dict[str, Any]

KINDS = {"mnt": "-m", "uts": "-u", "ipc": "-i", "net": "-n", "pid": "-p", "cgroup": "-C"}
KINDS.update({"user": "-U", "time": "-T"})
SIGNALS = {one.name.removeprefix("SIG"): one for one in signal.Signals}
CHANGES = ("kill", "end", "run")  # the operations that do more than read
STAT = ("mode", "ino", "dev", "nlink", "uid", "gid", "size", "rdev", "mtime_ns")
STAT_OF = operator.attrgetter(*("st_" + name for name in STAT))
TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}
TYPES.update({stat.S_IFCHR: "character device", stat.S_IFBLK: "block device"})
TYPES.update({stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"})

LARGEST = 8 << 20  # bytes that one batch may read, or that one command may print or be given
LINE = 64 << 20  # bytes of the longest line that is taken
CHUNK = 256  # entries of a walk that are sent at once
TICK = 0.1  # seconds after which a command that is cancelled is noticed, at the latest
PATIENCE = 3.0  # seconds in which what is cancelled must have ended
MARK = "LABKIT_RUN"  # in the environment of a command, to know its descendants by
NO_OPEN = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)


class BadRequest(Exception):  # noqa: N818  an answer rather than an error
    """One field of a request is not what it must be; `known` lists all that it may be."""

    def __init__(self, field: str, wanted: str, known: tuple[str, ...] = ()) -> None:
        super().__init__(field, wanted)
        self.answer = {"bad": field, "wanted": wanted, "known": sorted(known)}


class Cancelled(Exception):  # noqa: N818
    """Nobody waits for this any more."""


def never() -> bool:
    return False


class Agent:
    """Answers requests; each `op_` method is one operation, named by a request's "op"."""

    def __init__(self, anchor: int, root: str = "") -> None:
        self.anchor = anchor  # the pid of a process of the engine's
        self.root = root  # what goes before a path that is not below /proc

    def answers(self, batch: list[Any], cancelled: Callable[[], bool] = never) -> list[Answer]:
        """One answer for each request; all together they read no more than `LARGEST` bytes."""
        found, size = [], 0
        for request in batch:
            answer = self.answer(request, cancelled)
            if isinstance(value := answer.get("value"), str):
                size += len(value)
                if size > LARGEST:
                    answer = refused(too_large(f"one batch reads at most {LARGEST} bytes"))
            found.append(answer)
        return found

    def answer(self, request: Any, cancelled: Callable[[], bool] = never) -> Answer:
        """The answer to one request; what is refused, by the kernel or by us, is one too."""
        try:
            operation = self._operation(request, "op_")
            if operation == self.op_run:
                return {"value": self.op_run(request, cancelled)}
            return {"value": operation(request)}
        except Cancelled:
            raise
        except Exception as err:
            return refused(err)

    def stream(self, request: Any, pause: Callable[[float], object]) -> Iterator[list[Any]]:
        """The chunks that answer a long look; `pause` sleeps for some seconds. Raises OSError."""
        return iter(self._operation(request, "stream_")(request, pause))

    def _operation(self, request: Any, prefix: str) -> Callable[..., Any]:
        if not isinstance(request, dict):
            raise BadRequest("request", "an object with an op")
        op = request.get("op")
        found = getattr(self, prefix + op, None) if isinstance(op, str) else None
        if found is None:
            known = (name.removeprefix(prefix) for name in dir(self) if name.startswith(prefix))
            raise BadRequest("op", "an operation", tuple(known))
        operation: Callable[..., Any] = found
        return operation

    def _place(self, path: str) -> str:
        """Where the agent finds what the engine's processes find at `path`."""
        mine = path.startswith("/proc/") or path == "/proc"
        return path if mine and "/../" not in path + "/" else self.root + path

    # --- reading -------------------------------------------------------------------------------

    def op_anchor(self, request: Request) -> int:
        return self.anchor

    def op_read(self, request: Request) -> str:
        return read_text(self._place(path_in(request)))

    def op_link(self, request: Request) -> str:
        return os.readlink(self._place(path_in(request)))

    def op_list(self, request: Request) -> list[str]:
        return sorted(os.listdir(self._place(path_in(request))))

    def op_stat(self, request: Request) -> dict[str, int]:
        look = os.stat if request.get("follow") is True else os.lstat
        found = look(self._place(path_in(request)))
        return dict(zip(STAT, STAT_OF(found), strict=True))

    def op_xattrs(self, request: Request) -> dict[str, str]:
        """The extended attributes of a file by name, itself and not what a link leads to."""
        if sys.platform == "darwin":  # whose Python has no word for them; no agent looks there
            return {}
        place = self._place(path_in(request))
        found = {}
        try:
            names = os.listxattr(place, follow_symlinks=False)
        except OSError as err:
            if err.errno != errno.EOPNOTSUPP:  # a file system that keeps none
                raise
            return {}
        for name in names:
            with suppress(OSError):  # it has gone, or is not for us
                value = os.getxattr(place, name, follow_symlinks=False)
                found[name] = value.decode("utf-8", "surrogateescape")
        return found

    def op_sweep(self, request: Request) -> dict[str, dict[str, str | None]]:
        """For every process: the texts and links asked for; None where the kernel refuses."""
        texts, links = texts_in(request, "read", []), texts_in(request, "link", [])
        found = {}
        for pid in os.listdir("/proc"):
            if not pid.isdigit():
                continue
            here = "/proc/" + pid + "/"
            seen: dict[str, str | None] = {}
            for name in links:
                try:
                    seen[name] = os.readlink(here + name)
                except OSError:
                    seen[name] = None
            for name in texts:
                try:
                    handle = os.open(here + name, NO_OPEN)
                except OSError:
                    seen[name] = None
                    continue
                try:
                    # One read is enough for the small files of /proc; cmdline may be longer.
                    data = os.read(handle, 65536)
                    seen[name] = data.decode("utf-8", "surrogateescape")
                except OSError:
                    seen[name] = None
                finally:
                    os.close(handle)
            if any(value is not None for value in seen.values()):
                found[pid] = seen
        return found

    # --- long looks ----------------------------------------------------------------------------

    def stream_sample(
        self, request: Request, pause: Callable[[float], object]
    ) -> Iterator[list[Any]]:
        """[tick, CLOCK_MONOTONIC in seconds, {path: text}]; ticks that are missed are skipped."""
        paths = texts_in(request, "paths")
        places = [(path, self._place(path_in({"path": path}))) for path in paths]
        interval = number_in(request, "interval", at_least=0.001, below=1e9)

        def samples() -> Iterator[list[Any]]:
            start, tick = time.monotonic(), 0
            while True:
                # The schedule is that of the start: what one sample takes does not add up.
                while (late := time.monotonic() - start - tick * interval) < 0:
                    pause(-late)
                now, texts = time.monotonic(), {}
                for path, place in places:
                    with suppress(OSError):
                        texts[path] = read_text(place)
                yield [[tick, now, texts]]
                tick = max(tick + 1, math.ceil((time.monotonic() - start) / interval))

        return samples()

    def stream_walk(
        self, request: Request, pause: Callable[[float], object]
    ) -> Iterator[list[Any]]:
        """[path, errno, type, *STAT] of all below a path, itself first; no link is followed."""
        top = path_in(request)
        place = self._place(top)
        return chunks(entries(top, place, os.lstat(place)))

    # --- changing ------------------------------------------------------------------------------

    def op_kill(self, request: Request) -> None:
        pid = pid_in(request)
        name = request.get("signal")
        if not isinstance(name, str) or name.removeprefix("SIG") not in SIGNALS:
            raise BadRequest("signal", "the name of a signal", tuple(SIGNALS))
        os.kill(pid, SIGNALS[name.removeprefix("SIG")])

    def op_end(self, request: Request) -> int:
        """Kill a process and all below it, if it is the one that started then."""
        pid, start = pid_in(request), int(number_in(request, "start", at_least=0))
        if pid not in (found := processes([pid])) or found[pid][2] != start:
            raise ProcessLookupError(errno.ESRCH, "it is another process by now, or none")
        return end({pid})

    def op_run(self, request: Request, cancelled: Callable[[], bool] = never) -> dict[str, Any]:
        """Run a command, in the given namespaces of a process; the program is the agent's own."""
        argv = texts_in(request, "argv")
        if not argv:
            raise BadRequest("argv", "a command and its arguments")
        kinds = texts_in(request, "namespaces", [])
        if set(kinds) - KINDS.keys():
            raise BadRequest("namespaces", "a list of kinds of namespaces", tuple(KINDS))
        if kinds:
            flags = [KINDS[kind] for kind in kinds]
            argv = ["nsenter", "-t", str(pid_in(request)), *flags, "--", *argv]
        data = text_in(request, "stdin", "", nul=True).encode("utf-8", "surrogateescape")
        if len(data) > LARGEST:
            raise BadRequest("stdin", f"a text of at most {LARGEST} bytes")
        timeout = number_in(request, "timeout", 10, at_least=0.001, below=1e9)
        return run(argv, data, timeout, cancelled)


# --- what a request must hold --------------------------------------------------------------------

_NEEDED: Any = object()


def text_in(request: Request, field: str, default: Any = _NEEDED, *, nul: bool = False) -> str:
    value = request.get(field, default)
    if not isinstance(value, str) or ("\0" in value and not nul):
        raise BadRequest(field, "a text")
    return value


def texts_in(request: Request, field: str, default: Any = _NEEDED) -> list[str]:
    value = request.get(field, default)
    if not isinstance(value, list | tuple) or not all(
        isinstance(one, str) and "\0" not in one for one in value
    ):
        raise BadRequest(field, "a list of texts")
    return list(value)


def path_in(request: Request) -> str:
    path = request.get("path")
    if not isinstance(path, str) or not path.startswith("/") or "\0" in path:
        raise BadRequest("path", "the text of an absolute path")
    return path


def pid_in(request: Request) -> int:
    pid = request.get("pid")
    # 0 and below are no process for kill(2), but groups of them.
    if not isinstance(pid, int) or isinstance(pid, bool) or not 0 < pid < 1 << 31:
        raise BadRequest("pid", "the number of a process, at least 1")
    return pid


def number_in(
    request: Request,
    field: str,
    default: Any = _NEEDED,
    *,
    at_least: float = 0,
    below: float = 1e18,
) -> float:
    value = request.get(field, default)
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not at_least <= value < below  # not NaN, either
    ):
        raise BadRequest(field, f"a number, at least {at_least:g}")
    return value


def refused(err: BaseException) -> Answer:
    """The answer that an exception is."""
    if isinstance(err, BadRequest):
        return err.answer
    if isinstance(err, OSError):
        return {"errno": err.errno or errno.EIO, "error": err.strerror or str(err)}
    return {"errno": errno.EINVAL, "error": f"{type(err).__name__}: {err}"}


def too_large(what: str) -> OSError:
    return OSError(errno.EFBIG, f"too large: {what}")


# --- files ---------------------------------------------------------------------------------------


def read_text(place: str) -> str:
    """What is in a regular file; to open a device can change it, and a FIFO would block."""
    mode = os.stat(place).st_mode
    if not stat.S_ISREG(mode):
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        raise OSError(errno.EINVAL, f"a {TYPES.get(stat.S_IFMT(mode))}, not a regular file")
    handle = os.open(place, NO_OPEN)
    try:
        # The files of /proc say that they are empty: read to the end, and no further than allowed.
        data = os.read(handle, 65536)
        if data:
            parts, size = [data], len(data)
            while data := os.read(handle, 1 << 20):
                parts.append(data)
                if (size := size + len(data)) > LARGEST:
                    raise too_large(f"more than {LARGEST} bytes")
            data = b"".join(parts)
    finally:
        os.close(handle)
    return data.decode("utf-8", "surrogateescape")


def entry(path: str, found: os.stat_result, refusal: int = 0) -> list[Any]:
    kind = TYPES.get(stat.S_IFMT(found.st_mode), "unknown")
    return [path, refusal, kind, *STAT_OF(found)]


def opened(name: str, around: int | None) -> tuple[int, Any]:
    """A directory by its name in one that is open: nobody can put a link in between."""
    handle = os.open(name, NO_OPEN | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=around)
    try:
        return handle, os.scandir(handle)
    except OSError:
        os.close(handle)
        raise


def entries(path: str, place: str, found: os.stat_result) -> Iterator[list[Any]]:
    """Depth first; a directory that cannot be opened is told with why."""
    stack: list[tuple[str, int, Any]] = []  # path, descriptor, names that are still to come
    name = place
    try:
        while True:
            refusal = 0
            if stat.S_ISDIR(found.st_mode):
                try:
                    handle, names = opened(name, stack[-1][1] if stack else None)
                    stack.append((path.rstrip("/"), handle, names))
                except OSError as err:
                    refusal = err.errno or errno.EIO
            yield entry(path, found, refusal)
            while True:
                if not stack:
                    return
                if (one := next(stack[-1][2], None)) is None:
                    _, handle, names = stack.pop()
                    names.close()
                    os.close(handle)
                    continue
                with suppress(OSError):  # it has gone
                    found = one.stat(follow_symlinks=False)
                    path, name = f"{stack[-1][0]}/{one.name}", one.name
                    break
    finally:
        for _, handle, names in stack:
            names.close()
            os.close(handle)


def chunks(items: Iterator[Any]) -> Iterator[list[Any]]:
    chunk = []
    for item in items:
        chunk.append(item)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


# --- processes -----------------------------------------------------------------------------------


def pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def processes(wanted: Iterable[int] | None = None) -> dict[int, tuple[int, str, int]]:
    """Parent, state and start (clock ticks since boot) of processes; man 5 proc_pid_stat."""
    found = {}
    for pid in pids() if wanted is None else wanted:
        with suppress(OSError, IndexError), open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
            found[pid] = (int(fields[1]), fields[0].decode(), int(fields[19]))
    return found


def marked(mark: bytes) -> set[int]:
    """The processes that were started with this in their environment."""
    found = set()
    for pid in pids():
        with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            if mark in file.read(1 << 18).split(b"\0"):
                found.add(pid)
    return found


def end(roots: set[int], mark: bytes = b"") -> int:
    """Kill processes and all below them; say how many.

    They are stopped first, for what is stopped cannot fork, nor leave its children to others.
    """
    doomed: set[int] = set()
    for _ in range(200):  # rounds; three or four are usual
        now = processes()
        fresh = {pid for pid, (parent, *_) in now.items() if parent in doomed or pid in roots}
        fresh = (fresh | (marked(mark) if mark else set())) - doomed - {os.getpid()}
        for pid in fresh:
            with suppress(OSError):
                os.kill(pid, signal.SIGSTOP)
        doomed |= fresh
        if not fresh and all(now[pid][1] in "TtZXD" for pid in doomed & now.keys()):
            break
    for pid in doomed:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    return len(doomed)


def run(
    argv: list[str], data: bytes, timeout: float, cancelled: Callable[[], bool]
) -> dict[str, Any]:
    """A command to its end; it and its descendants are killed if that is not to be."""
    mark = f"{MARK}={os.urandom(8).hex()}"
    environ = {**os.environ, **dict([mark.split("=")])}
    pipe, process = subprocess.PIPE, None
    try:
        process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, env=environ)
        out, err = carry(process, data, time.monotonic() + timeout, timeout, cancelled)
    except BaseException as error:
        if process is not None or not isinstance(error, OSError):  # else it was never begun
            end({process.pid} if process and process.returncode is None else set(), mark.encode())
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
        raise
    finally:
        for stream in (process.stdin, process.stdout, process.stderr) if process else ():
            with suppress(OSError):
                stream.close()  # type: ignore[union-attr]
    return {
        "exit_code": process.returncode,
        "stdout": out.decode("utf-8", "surrogateescape"),
        "stderr": err.decode("utf-8", "surrogateescape"),
    }


def carry(
    process: subprocess.Popen[bytes],
    data: bytes,
    deadline: float,
    timeout: float,
    cancelled: Callable[[], bool],
) -> tuple[bytes, bytes]:
    """Feed a process and collect what it prints, until it has ended."""
    assert process.stdin and process.stdout and process.stderr
    printed = {process.stdout: bytearray(), process.stderr: bytearray()}
    left = memoryview(data)

    def patience() -> float:
        if cancelled():
            raise Cancelled
        if (rest := deadline - time.monotonic()) <= 0:
            raise TimeoutError(errno.ETIMEDOUT, f"timed out after {timeout:g} s")
        return min(rest, TICK)

    with selectors.DefaultSelector() as ready:
        for pipe in printed:
            ready.register(pipe, selectors.EVENT_READ)
        os.set_blocking(process.stdin.fileno(), False)
        ready.register(process.stdin, selectors.EVENT_WRITE)
        while ready.get_map():
            for key, _ in ready.select(patience()):
                pipe = key.fileobj  # type: ignore[assignment]
                if pipe is process.stdin:
                    try:
                        left = left[os.write(key.fd, left[:65536]) :] if left else left
                    except BlockingIOError:
                        continue
                    except BrokenPipeError:
                        left = left[:0]
                    over = not left
                else:
                    printed[pipe] += (part := os.read(key.fd, 65536))
                    over = not part
                    if sum(map(len, printed.values())) > LARGEST:
                        raise too_large(f"it printed more than {LARGEST} bytes")
                if over:
                    ready.unregister(pipe)
                    pipe.close()
    while True:
        try:
            process.wait(patience())
            break
        except subprocess.TimeoutExpired:
            continue
    return bytes(printed[process.stdout]), bytes(printed[process.stderr])


# --- the program ---------------------------------------------------------------------------------


class Job:
    """What goes on beside the other requests: a thread that can be cancelled and waits for credit.

    Nothing ends such a thread from outside: it asks.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._credit = 0
        self._cancelled = False
        self.thread: threading.Thread | None = None

    def cancelled(self) -> bool:
        return self._cancelled

    def cancel(self) -> None:
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    def give(self) -> None:
        with self._changed:
            self._credit += 1
            self._changed.notify_all()

    def take(self) -> bool:
        """Wait for one credit; whether there was one before the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._credit or self._cancelled)
            self._credit -= 1
            return not self._cancelled

    def pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(self.cancelled, seconds)
        if self._cancelled:
            raise Cancelled


class Program:
    """The agent on the other end of a stream; nothing that comes in ends it but the end."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._jobs: dict[int, Job] = {}
        self._writing = threading.Lock()

    def serve(self, lines: Any) -> None:
        """Answer until the stream ends, and what goes on then ends with it."""
        while line := lines.readline(LINE):
            if not line.endswith(b"\n"):
                while (rest := lines.readline(LINE)) and not rest.endswith(b"\n"):
                    pass
            try:
                message = json.loads(line)
                number = message["id"]
                if not isinstance(number, int):
                    raise ValueError(number)
            except (ValueError, LookupError, TypeError, RecursionError):
                self._say({"id": None, **BadRequest("line", "a JSON object with an id").answer})
            else:
                self._take(number, message)
        jobs = list(self._jobs.values())
        for job in jobs:
            job.cancel()
        for job in jobs:
            if job.thread:
                job.thread.join(PATIENCE)

    def _take(self, number: int, message: dict[str, Any]) -> None:
        job = self._jobs.get(number)
        if "cancel" in message:
            if job:
                job.cancel()
        elif "stream" in message:
            self._begin(number, self._send_stream, message["stream"])
        elif "credit" in message:
            if job:
                job.give()
        elif not isinstance(batch := message.get("ask"), list):
            bad = BadRequest("message", "one of those known", ("ask", "cancel", "credit", "stream"))
            self._say({"id": number, **bad.answer})
        elif any(isinstance(one, dict) and one.get("op") == "run" for one in batch):
            self._begin(number, self._send_answers, batch)
        else:
            self._say({"id": number, "answers": self._agent.answers(batch)})

    def _begin(self, number: int, work: Callable[..., None], what: Any) -> None:
        job = Job()

        def body() -> None:
            try:
                work(number, job, what)
            except Cancelled:
                pass
            finally:
                self._jobs.pop(number, None)

        self._jobs[number] = job
        job.thread = threading.Thread(target=body, daemon=True)
        job.thread.start()

    def _send_answers(self, number: int, job: Job, batch: list[Any]) -> None:
        answers = self._agent.answers(batch, job.cancelled)
        if not job.cancelled():
            self._say({"id": number, "answers": answers})

    def _send_stream(self, number: int, job: Job, request: Any) -> None:
        end: Answer = {"value": None}
        try:
            chunks = self._agent.stream(request, job.pause)
            self._say({"id": number, "items": []})  # it has begun
            # Credit first: what is looked at is looked at when somebody wants it.
            while job.take():
                chunk = next(chunks, None)
                if chunk is None:
                    break
                self._say({"id": number, "items": chunk})
        except Cancelled:
            raise
        except Exception as err:
            end = refused(err)
        if not job.cancelled():
            self._say({"id": number, "end": end})

    def _say(self, message: dict[str, Any]) -> None:
        line = json.dumps(message).encode() + b"\n"
        with self._writing, suppress(BrokenPipeError):  # who has gone is not waiting
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()


def main() -> None:
    # In a helper container that shares the machine's pid namespace, the parent is the engine's
    # shim, which lives where the engine lives.
    anchor = os.getppid()
    # A request must not wait for a walk that goes on beside it.
    sys.setswitchinterval(0.0005)
    Program(Agent(anchor, root=f"/proc/{anchor}/root")).serve(sys.stdin.buffer)


if __name__ == "__main__":
    main()
