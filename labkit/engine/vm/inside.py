"""What a guest says of itself: brought along for each look, run in the guest, nothing installed.

Prints facts, a line each: kind, what, value, with tabs between. Two looks at a guest of which
nothing of its own has changed give equal facts, whatever its containers do; so what a session may
change (Docker's own files, mounts, rules and links, containers and their processes) is not told.
Standard library only, and as little of it as can be: each module costs an emulated CPU time.

argv: the digest of the files as they were, for which they are not listed again; and whether to
read the content of all programs, or only of those that answer us.
"""

import os
import sys
import time

# Not hashlib: OpenSSL takes a second to load. Nobody who alters a file chooses both texts.
from _md5 import md5  # type: ignore[import-not-found]

TREES = ("/etc", "/usr/bin", "/usr/lib", "/usr/libexec", "/usr/local", "/usr/sbin")
LINK, REGULAR = 0o12, 0o10  # stat.S_IFMT(mode) >> 12
ANSWERING = (
    *("/etc/labkit/", "/usr/lib/labkit/", "/usr/sbin/init", "/usr/sbin/labkit-"),
    *("/usr/bin/python3", "/usr/bin/busybox", "/usr/sbin/xtables-legacy-multi"),
)
LIBRARIES = ("libc.so.6", "ld-linux")
# Each connection, process and mount changes these.
COUNTERS = (
    *("file-nr", "inode-", "dentry-state", "/random/", "ns_last_pid", "nf_conntrack_count"),
    *("/neigh/", "aio-nr", "/pty/nr", "fs/quota/"),
)
DOCKERS = "net/ipv6/conf/"  # it has IPv6 forwarded for its first network with it
SWARMS = "net/ipv4/vs/"  # of the load balancer of services, whose module is there from the start
GATEWAY = "192.0.2.2"  # in our rules: see `init`
OWN_INTERFACES = ("all", "default", "lo")
CGROUP = "/sys/fs/cgroup/"
CONTROLS = (
    *("cgroup.controllers", "cgroup.subtree_control", "system/cgroup.freeze"),
    *("system/memory.min", "system/memory.max", "system/cpu.max", "system/pids.max"),
)
DOCKERS_MOUNTS = ("/var/lib/docker/", "/run/docker/", "/var/run/docker/")
SHIM, PROXY = "/usr/bin/containerd-shim-runc-v2", "/usr/sbin/docker-proxy"
RUNTIMES = "/usr/bin/crun", "/usr/sbin/runc"
CONTAINERD = "/usr/bin/containerd"
SOCKETS = ("/run/docker.sock", "/run/docker/containerd/containerd.sock")
KERNEL_THREAD = 0x200000  # PF_KTHREAD, which no program can set
LOOKS, PAUSE = 5, 0.2  # what an engine starts for a moment is gone by then; seconds
EXECUTABLE_KINDS = ("[vdso]", "[vsyscall]", "[uprobes]")
CGROUP_DEVICE = 15  # a runtime's, for each container: bpf(2)
BPF = {"x86_64": 321, "aarch64": 280}
NEXT_ID, FD_BY_ID, INFO = 11, 13, 15


def say(kind: str, what: str, value: str) -> None:
    print("\t".join(one.encode("unicode_escape").decode() for one in (kind, what, value)))


def text(path: str, size: int = 4096) -> str:
    """What is in a file, or why that cannot be told; /proc/sys clears `size` bytes for it."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as err:
        return f"({err.strerror})"
    try:
        parts = [os.read(handle, size)]
        while parts[-1]:
            parts.append(os.read(handle, size))
        return b"".join(parts).decode("utf-8", "surrogateescape").strip()
    except OSError as err:
        return f"({err.strerror})"
    finally:
        os.close(handle)


# --- files ---------------------------------------------------------------------------------------


def listed() -> list[tuple[str, os.stat_result]]:
    """What is in the trees, and the links at the top that lead to them."""
    found = [("/" + name, os.lstat("/" + name)) for name in os.listdir("/")]
    found = [(path, status) for path, status in found if status.st_mode >> 12 == LINK]
    found += [("/usr/" + name, os.lstat("/usr/" + name)) for name in os.listdir("/usr")]
    folders = [*TREES]
    while folders:
        folder = folders.pop()
        try:
            entries = os.scandir(folder)
        except FileNotFoundError:
            continue
        for entry in entries:
            found.append((entry.path, entry.stat(follow_symlinks=False)))
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
    return sorted(found, key=lambda one: one[0])


def told(path: str, status: os.stat_result) -> str:
    """What is compared of a file; who can set the clock can set when it was changed."""
    link = f"to {os.readlink(path)}, " if status.st_mode >> 12 == LINK else ""
    return (
        f"{link}{status.st_size} bytes, mode {status.st_mode:o}, "
        f"owner {status.st_uid}:{status.st_gid}, changed {status.st_ctime_ns}, "
        f"inode {status.st_ino} of {status.st_dev:x}"
    )


def is_answering(path: str) -> bool:
    return path.startswith(ANSWERING) or path.rpartition("/")[2].startswith(LIBRARIES)


def content(path: str) -> str:
    digest = md5(usedforsecurity=False)
    handle = os.open(path, os.O_RDONLY)
    while data := os.read(handle, 1 << 20):
        digest.update(data)
    os.close(handle)
    return str(digest.hexdigest())


def files(known: str, *, whole: bool) -> None:
    found = listed()
    # A tuple's representation costs a tenth of a sentence; a link's text is as long as its size
    # says, and when it was changed is told.
    facts = [
        (path, s.st_mode, s.st_ino, s.st_dev, s.st_uid, s.st_gid, s.st_size, s.st_ctime_ns)
        for path, s in found
    ]
    digest = md5(repr(facts).encode("utf-8", "surrogateescape")).hexdigest()
    say("digest", "files", digest)
    if digest != known:
        for path, status in found:
            say("file", path, told(path, status))
    for path, status in found:
        if status.st_mode >> 12 == REGULAR and (whole or is_answering(path)):
            say("content", path, content(path))


# --- the kernel ----------------------------------------------------------------------------------


def settings() -> None:
    for folder, folders, names in os.walk("/proc/sys"):
        if folder.endswith(("/conf", "/neigh")):
            folders[:] = [one for one in folders if one in OWN_INTERFACES]
        for name in names:
            path = f"{folder}/{name}"
            what = path.removeprefix("/proc/sys/")
            dockers = (what.startswith(DOCKERS) and name == "forwarding") or what.startswith(SWARMS)
            if not dockers and not any(counter in path for counter in COUNTERS):
                say("setting", what, text(path))
    for path in ("/proc/cmdline", "/sys/kernel/kexec_loaded", "/sys/kernel/security/lockdown"):
        say("setting", path, text(path))
    for name in CONTROLS:
        say("setting", CGROUP + name, text(CGROUP + name))


def addresses() -> None:
    """Where in the machine's memory the kernel's program is: for whoever looks from outside."""
    for line in text("/proc/iomem", 1 << 16).splitlines():
        where, _, what = line.strip().partition(" : ")
        if what in ("Kernel code", "Kernel rodata"):
            say("address", what, where)


def modules() -> None:
    release = os.uname().release
    known = set()
    for line in text(f"/usr/lib/modules/{release}/modules.dep", 1 << 16).splitlines():
        known.add(line.partition(".ko")[0].rpartition("/")[2].replace("-", "_"))
    for line in text("/proc/modules", 1 << 16).splitlines():
        words = line.split()
        # The kernel marks what is not signed as it is, or not of its own sources.
        marked = words[-1] if words[-1].startswith("(") else ""
        ours = words[0] in known and not marked
        say("module", words[0], "of the image" if ours else f"not of the image {marked}".strip())


def mounts() -> None:
    found: dict[str, list[str]] = {}
    for line in text("/proc/self/mountinfo", 1 << 16).splitlines():
        words = line.split()
        place, rest = words[4], words[words.index("-") + 1 :]
        if not place.startswith(DOCKERS_MOUNTS):
            found.setdefault(place, []).append(f"{rest[0]} {rest[1]}{words[3]} {words[5]}")
    for place, there in found.items():
        say("mount", place, ", under ".join(reversed(there)))


def bpf_programs() -> None:
    """Programs in the kernel that are not a runtime's: some can change what a process reads."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    number = BPF[os.uname().machine]
    attributes = (ctypes.c_uint32 * 32)()

    def bpf(command: int, *words: int) -> int:
        ctypes.memset(attributes, 0, ctypes.sizeof(attributes))
        attributes[: len(words)] = list(words)
        return int(libc.syscall(number, command, attributes, 16))

    info = (ctypes.c_uint32 * 64)()
    last = 0
    while bpf(NEXT_ID, last) == 0:
        last = attributes[1]
        if (handle := bpf(FD_BY_ID, last)) < 0:
            continue
        ctypes.memset(info, 0, ctypes.sizeof(info))  # what was told of the last one is a request
        address = ctypes.addressof(info)
        bpf(INFO, handle, ctypes.sizeof(info), address & 0xFFFFFFFF, address >> 32)
        os.close(handle)
        if info[0] != CGROUP_DEVICE:
            name = bytes(info)[64:80].split(b"\0")[0].decode("ascii", "replace")
            say("BPF program", f"number {last}", f"type {info[0]} {name}".strip())


# --- the network ---------------------------------------------------------------------------------


def printed(argv: list[str]) -> list[str]:
    ours, theirs = os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, theirs, 1)]
    path = next(p for p in ("/usr/sbin/", "/usr/bin/") if os.path.exists(p + argv[0])) + argv[0]
    pid = os.posix_spawn(path, argv, {}, file_actions=actions)
    os.close(theirs)
    os.close(null)
    with open(ours, errors="surrogateescape") as stream:
        lines = stream.read().splitlines()
    os.waitpid(pid, 0)
    return lines


def network() -> None:
    for interface in ("lo", "eth0"):
        for line in printed(["ip", "-o", "address", "show", "dev", interface]):
            say("network", f"address {' '.join(line.split()[1:4])}", "is there")
        for line in printed(["ip", "route", "show", "table", "all", "dev", interface]):
            # Those of IPv6 come and go as Docker has it forwarded.
            if not any(one in line for one in ("fe80:", "ff00:", "anycast")):
                say("network", f"route {line.strip()} by {interface}", "is there")
    for line in printed(["ip", "rule"]):
        say("network", f"rule {' '.join(line.split())}", "is there")
    chains: dict[str, list[str]] = {}
    for line in printed(["iptables-save", "-t", "mangle"]):
        words = line.split()
        if words[0].startswith(":"):
            chains[words[0][1:]] = [words[1]]
        elif words[0] == "-A":
            chains[words[1]].append(" ".join(words[2:]))
    for chain in ("PREROUTING", "OUTPUT"):
        # Docker adds rules below ours, for encrypted overlays.
        rules = chains.get(chain, [])
        ours = next((n for n, rule in enumerate(rules, 1) if GATEWAY in rule), 1)
        say("network", f"first rules of mangle {chain}", "; ".join(rules[:ours]))


# --- processes -----------------------------------------------------------------------------------


class Process:
    """What of a process is compared. Raises OSError if it has ended."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.here = f"/proc/{pid}"
        with open(f"{self.here}/stat", "rb") as file:
            words = file.read().rpartition(b")")[2].split()
        self.parent, self.start = int(words[1]), int(words[19])
        self.in_kernel = bool(int(words[6]) & KERNEL_THREAD)
        if self.in_kernel or words[0] in (b"Z", b"X"):
            raise ProcessLookupError
        self.namespace = os.readlink(f"{self.here}/ns/mnt")
        self.program = os.readlink(f"{self.here}/exe")
        file_of = os.stat(f"{self.here}/exe")
        self.file = (file_of.st_dev, file_of.st_ino)
        self.arguments = text(f"{self.here}/cmdline").rstrip("\0").replace("\0", " ")

    def runs(self, path: str) -> bool:
        found = os.stat(path)
        return self.file == (found.st_dev, found.st_ino)

    def namespaces(self) -> str:
        kinds = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
        return " ".join(os.readlink(f"{self.here}/ns/{kind}") for kind in kinds)

    def strange_code(self) -> str:
        """What it could execute that is no unchanged file of /usr, or was written over."""
        found, place = set(), ""
        for line in text(f"{self.here}/smaps", 1 << 16).splitlines():
            words = line.split(None, 5)
            if "-" in words[0]:
                place = ""
                if "x" in words[1] and (len(words) < 6 or words[5] not in EXECUTABLE_KINDS):
                    place = words[5] if len(words) > 5 else "memory of no file"
                    if not self._is_file(place, words[3], int(words[4])):
                        found.add(place)
            elif place and words[0] == "Anonymous:" and words[1] != "0":
                found.add(f"{place}, written over in memory")
        return "; ".join(sorted(found))

    def _is_file(self, path: str, device: str, number: int) -> bool:
        try:
            status = os.stat(path)
        except OSError:
            return False
        major, minor = (int(part, 16) for part in device.split(":"))
        return (
            path.startswith("/usr/")
            and status.st_ino == number
            and (status.st_dev == os.makedev(major, minor))
        )

    def tell(self, name: str) -> None:
        """Say all of it."""
        say("restart", name, f"process {self.pid}, since tick {self.start}")
        say("process", name, "runs")
        say("process", f"{name}: program", f"{self.program}, inode {self.file[1]}")
        say("process", f"{name}: environment", self._environment())
        say("process", f"{name}: cgroup", text(f"{self.here}/cgroup"))
        say("process", f"{name}: namespaces", self.namespaces())
        say("process", f"{name}: root", os.readlink(f"{self.here}/root"))
        say("process", f"{name}: code that is no program's", self.strange_code())
        say("process", f"{name}: traced", self.traced())

    def traced(self) -> str:
        status = text(f"{self.here}/status")
        tracer = status.partition("TracerPid:\t")[2].partition("\n")[0]
        return "no" if tracer == "0" else f"by process {tracer}"

    def _environment(self) -> str:
        return " ".join(sorted(text(f"{self.here}/environ").split("\0")))


class Processes:
    """All processes of one moment, and what each is in the guest."""

    def __init__(self) -> None:
        self.all: dict[int, Process] = {}
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    self.all[int(name)] = Process(int(name))
                except OSError:  # it has ended, or it is the kernel's
                    continue
        self.names: dict[int, str] = {}  # of the guest's own, which were there from the start
        first = self.all[1]
        loops = sorted(
            pid
            for pid, one in self.all.items()
            if one.parent == 1 and (one.file, one.arguments) == (first.file, first.arguments)
        )
        self.names[1] = "init"
        self.names.update({pid: f"init, loop {n}" for n, pid in enumerate(loops, 1)})
        self.services = [pid for pid, one in self.all.items() if one.parent in loops]
        self.names.update({pid: self.all[pid].arguments for pid in self.services})
        for pid, one in self.all.items():
            if one.parent in self.services and one.runs(CONTAINERD):
                self.names[pid] = one.arguments

    def above(self, pid: int) -> list[Process]:
        found: list[Process] = []
        while (one := self.all.get(pid)) and one not in found:
            found.append(one)
            pid = one.parent
        return found[1:]

    def why_strange(self, one: Process) -> str:
        """Why this process is none that the guest or an engine would have, or nothing."""
        above = self.above(one.pid)
        entrances = [pid for pid in self.services if "entrance.py" in self.names[pid]]
        engines = [pid for pid in self.services if pid not in entrances]
        if one.pid in self.names or any(a.pid in entrances for a in above):
            return ""  # the latter live as long as their channel, which is held from outside
        of_engine = any(a.pid in engines for a in above)
        of_shim = any(is_shim(a) for a in above)
        if one.namespace != self.all[1].namespace:
            return "" if of_engine or of_shim else "of no container"
        if is_shim(one) or (of_engine and any(one.runs(path) for path in (PROXY, *RUNTIMES))):
            code = one.strange_code()
            return f"runs strange code: {code}" if code else one.traced().removeprefix("no")
        return "in the guest's own namespaces, of no container"


def is_shim(one: Process) -> bool:
    # Before a runtime has it enter its own mounts, a container's process may look like one.
    return one.runs(SHIM) and one.namespace == os.readlink("/proc/1/ns/mnt")


def processes() -> None:
    lasting: dict[tuple[int, int], str] = {}
    for look in range(LOOKS):
        if look:
            time.sleep(PAUSE)
        seen = Processes()
        strange = {}
        for one in seen.all.values():
            try:
                if why := seen.why_strange(one):
                    strange[one.pid, one.start] = why
            except OSError:
                continue
        lasting = {key: why for key, why in strange.items() if not look or key in lasting}
        if not lasting and len(seen.services) > 1:
            break
    for pid, start in lasting:
        one = seen.all[pid]
        say("process", f"process {pid}: {one.arguments[:100] or one.program}", lasting[pid, start])
    holders = []
    for pid, name in seen.names.items():
        try:
            seen.all[pid].tell(name)
            handles = (f"/proc/{pid}/fd/{number}" for number in os.listdir(f"/proc/{pid}/fd"))
            if any(os.readlink(handle).startswith("/dev/vport") for handle in handles):
                holders.append(name)
        except OSError:
            continue
    say("process", "the wire is held by", ", ".join(holders))
    me = Process(os.getpid())
    same = me.namespaces() == seen.all[1].namespaces()
    say("process", "what the entrance starts", "is in init's namespaces" if same else "is not")
    say("process", "what looks", f"{me.program} {me.strange_code()}".strip())
    sockets(seen)


def sockets(seen: Processes) -> None:
    """Who listens where the engine is reached."""
    import _socket

    for path in SOCKETS:
        end = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            end.settimeout(5)
            end.connect(path)
            peer = end.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
            pid = int.from_bytes(peer[:4], sys.byteorder)
            say("socket", path, seen.names.get(pid) or f"process {pid}")
        except OSError as err:
            say("socket", path, f"({err.strerror or 'nobody'})")
        end.close()


def main() -> None:
    known, whole = sys.argv[1], sys.argv[2] == "whole"
    files(known, whole=whole)
    for tell in (settings, addresses, modules, mounts, network, processes, bpf_programs):
        tell()
    say("clock", "", str(time.time_ns()))
    say("end", "", "")


if __name__ == "__main__":
    main()
