"""A Docker Engine of our own: `dockerd` on a private socket, data root and pid file.

It shares nothing with an engine of the machine's: no socket, no data, no pid file; and it is
always stopped by its own pid. Source: dockerd(8).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil

from labkit import paths
from labkit.engine import discovery
from labkit.engine.endpoint import Endpoint
from labkit.errors import BadValueError, EngineError, EngineTimeoutError, LabError, MissingToolError
from labkit.kernel import parse_mountinfo
from labkit.linux import need_linux
from labkit.lock import locked
from labkit.sdk import translated
from labkit.waiting import wait_until

START_TIMEOUT = 60.0  # seconds; about one is usual
STOP_TIMEOUT = 30.0
HUNG_TIMEOUT = 2.0  # what a daemon that answers nothing is given to end by itself
INSTALL = "apt-get install --no-install-recommends docker.io iptables"
MAX_FILES = 1 << 20  # fs.nr_open, by default
# An engine's default pools allow about thirty networks; these, a thousand of 64 addresses.
ADDRESS_POOL = "base=10.213.0.0/16,size=26"
# What builds leave in the cache is kept up to a limit, the longest unused thrown away first.
CONFIGURATION = {"builder": {"gc": {"enabled": True, "defaultKeepStorage": "4GB"}}}


class PrivateEngine:
    """The private engine of one folder, running or not."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or paths.home() / "engine"
        self.socket = self.folder / "docker.sock"
        self.pid_file = self.folder / "docker.pid"
        self.options_file = self.folder / "options.json"  # for who wants others: dockerd(8)
        self.log_file = self.folder / "dockerd.log"
        self.config_file = self.folder / "daemon.json"  # what it is started with
        self.exec_root = self.folder / "exec"
        self.data_root = self.folder / "data"
        self.endpoint = Endpoint(f"unix://{self.socket}")

    @staticmethod
    def why_not() -> str | None:
        """Why a private engine cannot run here, or None if it can."""
        if _dockerd() is None:
            return "dockerd is not installed"
        if os.geteuid() != 0:
            return "dockerd is installed, but only root can start one"
        if not shutil.which("iptables", path=_path()):
            return "iptables is not installed"
        return None

    def pid(self) -> int | None:
        """The daemon's process id, or None if it does not run."""
        return self._alive(self.pid_file)

    def start(self) -> Endpoint:
        """Start the daemon, or join the one that runs; return where it listens.

        Raises MissingToolError, EngineTimeoutError (it runs and hangs), EngineError (it died, or
        this is not Linux).
        """
        need_linux("A private engine")
        if why := self.why_not():
            raise MissingToolError(
                "A private engine cannot be started.",
                tools=("dockerd",),
                seen=why,
                do=f"as root: {INSTALL}",
            )
        if len(os.fsencode(self.socket)) > paths.SOCKET_PATH_MAX:
            raise BadValueError(
                "The path of the engine's socket is too long for a Unix socket.",
                value=self.socket,
                seen=f"{self.socket} ({len(os.fsencode(self.socket))} bytes)",
                do="set LABKIT_HOME to a shorter path",
            )
        with self._locked():
            if self.pid() is None:
                # What a killed daemon left running, the new one would stop in ten seconds each.
                self._end_helpers()
                self._remove_stale_files()
                self._spawn()
            else:
                self._check_that_it_answers()
        return self.endpoint

    def stop(self) -> bool:
        """End the daemon, its containers and its mounts; say whether there was one to end."""
        if not self.folder.is_dir():
            return False
        with self._locked():
            pid = self.pid()
            if pid is not None:
                hangs = discovery.why_not(self.endpoint) is not None
                if not hangs:
                    self._kill_containers()
                _end(pid, patience=HUNG_TIMEOUT if hangs else STOP_TIMEOUT)
            remains = self._end_helpers()
            self._unmount()
            self._remove_stale_files()
            self.socket.unlink(missing_ok=True)
        return pid is not None or remains

    def last_words(self) -> str:
        """Why the daemon ended, by its own log."""
        if not self.log_file.exists():
            return "(no log)"
        lines = self.log_file.read_text(errors="replace").splitlines()
        reasons = [line for line in lines if line.startswith("failed to start daemon")]
        return "\n".join(reasons or lines[-3:])

    # --- starting ----------------------------------------------------------------------------

    def _spawn(self) -> None:
        dockerd = _dockerd()
        assert dockerd is not None
        argv = [
            dockerd,
            f"--pidfile={self.pid_file}",
            f"--data-root={self.data_root}",
            f"--exec-root={self.exec_root}",
            f"--default-address-pool={ADDRESS_POOL}",
            f"--config-file={self.config_file}",  # and not the machine's own, /etc/docker
        ]
        more = json.loads(self.options_file.read_text()) if self.options_file.exists() else {}
        # Not as a flag: who listens elsewhere too says so in the file, and may not say it twice.
        chosen = CONFIGURATION | {"hosts": [self.endpoint.url]} | more
        self.config_file.write_text(json.dumps(chosen))
        log = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        # Its own session: an interrupt in the notebook or terminal must not reach the daemon.
        with _a_daemons_limits():
            pid = os.posix_spawn(
                dockerd,
                argv,
                {**os.environ, "PATH": _path()},
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(self.log_file), log, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setsid=True,
            )

        def answers() -> bool:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                raise EngineError(
                    f"The private engine ended at once (status {status}).",
                    seen=self.last_words(),
                    do=f"read {self.log_file}; a full disk and a missing kernel module are usual",
                )
            return discovery.why_not(self.endpoint) is None

        try:
            wait_until(answers, timeout=START_TIMEOUT, what="the private engine to answer")
        except LabError:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise

    def _check_that_it_answers(self) -> None:
        name = f"the private engine (pid {self.pid()})"
        try:
            discovery.await_answer(name, self._ping, do="`labkit engine stop`, then start it again")
        except EngineTimeoutError:
            raise
        except EngineError as err:  # it runs, and its socket has gone
            raise EngineTimeoutError(
                f"An engine runs and cannot be reached: {name}.",
                seen=err.seen,
                do="`labkit engine stop`, then start it again",
            ) from err

    def _ping(self, timeout: float) -> None:
        with closing(self.endpoint.client(timeout=timeout)) as client:
            client.ping()

    def _remove_stale_files(self) -> None:
        # dockerd refuses to start while its pid file names any living process, ours or not.
        for file in (self.pid_file, self.exec_root / "containerd/containerd.pid"):
            if self._alive(file) is None:
                file.unlink(missing_ok=True)

    # --- stopping ----------------------------------------------------------------------------

    def _kill_containers(self) -> None:
        """KILL what runs, so that the daemon does not wait ten seconds for each."""
        with suppress(LabError), translated("kill the containers"):
            client = self.endpoint.client(timeout=10)
            for container in client.containers.list(ignore_removed=True):
                # One that ends by itself in this moment is as good as killed.
                with suppress(LabError), translated("kill a container"):
                    container.kill()
            client.close()

    def _end_helpers(self) -> bool:
        """End the containerd and the shims that a killed daemon left, containers first."""
        ours = [process for process in psutil.process_iter() if self._is_ours(process)]
        for process in ours:
            with suppress(psutil.NoSuchProcess):
                for child in process.children(recursive=True):
                    child.kill()
                process.kill()
        psutil.wait_procs(ours, timeout=STOP_TIMEOUT)
        return bool(ours)

    def _unmount(self) -> None:
        mounts = parse_mountinfo(Path("/proc/self/mountinfo").read_text())
        inside = [m.mount_point for m in mounts if Path(m.mount_point).is_relative_to(self.folder)]
        for mount_point in sorted(inside, reverse=True):
            subprocess.run(["umount", "--lazy", mount_point], check=False, capture_output=True)

    # --- whose process is it -------------------------------------------------------------------

    def _alive(self, pid_file: Path) -> int | None:
        """The pid in this file if that process is ours: a pid may be old, and another's by now."""
        try:
            process = psutil.Process(int(pid_file.read_text()))
        except (OSError, ValueError, psutil.Error):
            return None
        return process.pid if self._is_ours(process) else None

    def _is_ours(self, process: psutil.Process) -> bool:
        """Whether a process is this engine's dockerd, containerd or a shim.

        In a container of this machine there may be another labkit, with a folder of the same
        name: it must be the same folder, too. Source: proc(5), /proc/PID/root.
        """
        try:
            words = process.cmdline()  # empty for a zombie
            if not words or not Path(words[0]).name.startswith(("dockerd", "containerd")):
                return False
            if not any(f"{self.exec_root}/" in f"{word}/" for word in words[1:]):
                return False
            return Path(f"/proc/{process.pid}/root{self.exec_root}").samefile(self.exec_root)
        except (OSError, psutil.Error):
            return False

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time start or stop this engine."""
        # Not 0700: a container whose root is remapped must be able to walk to its layers.
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        with locked(self.folder / "lock"):
            yield


@contextmanager
def _a_daemons_limits() -> Iterator[None]:
    """Give what is started the limits that Docker's own unit file has, as far as we may.

    Its containers inherit them. Source: docker.service, getrlimit(2).
    """
    import resource  # not everywhere, as this module is

    infinity = resource.RLIM_INFINITY
    usual = {
        resource.RLIMIT_NOFILE: MAX_FILES,
        resource.RLIMIT_NPROC: infinity,
        resource.RLIMIT_CORE: infinity,
    }
    before = {which: resource.getrlimit(which) for which in usual}
    try:
        for which, most in usual.items():
            hard = before[which][1]
            try:
                resource.setrlimit(which, (most, most))
            except (OSError, ValueError):  # without CAP_SYS_RESOURCE, up to the hard limit
                resource.setrlimit(which, (hard, hard))
        yield
    finally:
        for which, limits in before.items():
            resource.setrlimit(which, limits)


def _end(pid: int, *, patience: float) -> None:
    try:
        process = psutil.Process(pid)
        process.terminate()
        process.wait(timeout=patience)
    except psutil.NoSuchProcess:
        return
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(timeout=STOP_TIMEOUT)


def _path() -> str:
    # Debian keeps dockerd and iptables where a plain user's PATH does not look.
    return os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"


def _dockerd() -> str | None:
    return shutil.which("dockerd", path=_path())
