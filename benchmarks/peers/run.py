"""The tests of docker-py and of testcontainers' core, on an engine of labkit's own.

`python benchmarks/peers/run.py [docker|testcontainers] [pytest's options]`; the engine is
`$ENGINE`: `vm`, the micro-VM, or `private`. With `VIA=socket` they run through a lab's socket on
it. The engine is made for this run, for the suites prune what they find, and it has no way out: no
registry is asked by chance. What the suites pull elsewhere is made here, from Debian packages.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from labkit import paths
from labkit.builder import build_image
from labkit.engine import Engine, VmEngine
from labkit.engine.vm import MicroVM
from labkit.images import build_images
from labkit.images.lab_images import INSTALL
from labkit.images.packages import Packages
from labkit.lab import Lab

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WORK = ROOT / "build/peers"
VIA = os.environ.get("VIA") or "engine"  # or "socket"
TIMEOUT = 300  # seconds for one test: an emulated CPU is slow, and a broken stream says nothing


@dataclass(frozen=True)
class Suite:
    """Tests that come with a package's source."""

    source: str  # the last release whose source on PyPI has tests in it
    tests: str
    unwanted: tuple[str, ...]  # of the source: the library, which would hide the installed one
    left_out: tuple[str, ...]
    environ: Mapping[str, str]


SUITES = {
    "docker": Suite(
        "docker==7.0.0",
        "tests/integration",
        # These ask no engine, want a helper for passwords, and leave no environment to the others.
        ("docker", "tests/integration/credentials"),
        (),
        {},
    ),
    "testcontainers": Suite(
        "testcontainers==4.14.2",
        "core/tests",
        ("core/testcontainers",),
        # It asks no engine, but whether this machine is a container.
        ("core/tests/test_utils.py::test_inside_container",),
        # Nor do the others ask that.
        {
            "TESTCONTAINERS_CONNECTION_MODE": "docker_host",
            "TESTCONTAINERS_HOST_OVERRIDE": "localhost",
        },
    ),
}
INSTALLED = (
    f"docker=={version('docker')}",
    SUITES["testcontainers"].source,
    "bcrypt",
    "paramiko",
    "pytest<9.2",
    "pytest-mock",
    "pytest-timeout",
    "requests",
    "tomli",
    "websocket-client",
)
# What the suites call their images, what each is built on, and what is added: stand-ins, with the
# programs that the tests run in them.
SHELL = 'CMD ["/bin/sh"]'
ALPINE = f"RUN mkdir /var/opt && echo postgres:x:70:70::/:/bin/sh >>/etc/passwd\n{SHELL}"
NGINX = (
    "RUN rm -r /var/www/html && ln -s /usr/share/nginx/html /var/www/html\n"
    "COPY --from=labkit/base /bin/busybox /usr/local/bin/wget"
)
IMAGES = {
    "alpine:3.10": ("labkit/base", ALPINE),
    "alpine:latest": ("labkit/base", ALPINE),
    "busybox:buildroot-2014.02": ("labkit/base", SHELL),
    "busybox:latest": ("labkit/base", SHELL),
    "hello-world:latest": ("labkit/base", 'CMD ["echo", "Hello from Docker!"]'),
    "testcontainers/helloworld:1.2.0": (
        "labkit/base",
        "RUN mkdir /www && printf PONG >/www/ping\n"
        'EXPOSE 8080\nCMD ["httpd", "-f", "-p", "8080", "-h", "/www"]',
    ),
    "testcontainers/ryuk:0.8.1": (
        "labkit/toolbox",
        'COPY ryuk.py /ryuk.py\nEXPOSE 8080\nCMD ["python3", "-u", "/ryuk.py"]',
    ),
    "ubuntu:latest": ("labkit/toolbox", 'CMD ["/bin/bash"]'),
    "nginx:latest": ("labkit/web", NGINX),
    "nginx:alpine-slim": ("labkit/web", NGINX),
    "nginx:1.25.4-alpine-slim": ("labkit/web", NGINX),
    "postgres:latest": ("labkit/base", ""),  # it is only started and ended
    "registry:2": ("labkit/registry", "USER root"),  # it writes its users where the test says
}
SOCAT = ("alpine/socat:latest", "alpine/socat:1.7.4.3-r0")
LAB_IMAGES = {root.removeprefix("labkit/") for root, _ in IMAGES.values()}


def tell(line: str) -> None:
    print(f"peers: {line}", flush=True)


# --- the suites ----------------------------------------------------------------------------------


def environment() -> Path:
    """A Python with what the suites want; made once."""
    python = WORK / "venv/bin/python"
    wanted = "\n".join(INSTALLED)
    stamp = WORK / "venv/installed"
    if not stamp.exists() or stamp.read_text() != wanted:
        tell("installing what the suites want")
        venv.create(WORK / "venv", with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *INSTALLED], check=True)
        stamp.write_text(wanted)
    return python


def fetched(suite: Suite, python: Path) -> Path:
    """The folder of a suite's source, without its library."""
    folder = WORK / suite.source
    if not folder.exists():
        tell(f"fetching the source of {suite.source}")
        with tempfile.TemporaryDirectory(dir=WORK) as made:
            place = ["--dest", made, "--no-deps", "--no-binary", ":all:"]
            subprocess.run(
                [python, "-m", "pip", "download", "--quiet", *place, suite.source], check=True
            )
            with tarfile.open(next(Path(made).glob("*.tar.gz"))) as packed:
                packed.extractall(made, filter="data")
            (unpacked,) = (path for path in Path(made).iterdir() if path.is_dir())
            for name in suite.unwanted:
                shutil.rmtree(unpacked / name)
            unpacked.rename(folder)
    return folder


def run_suite(
    name: str,
    engine: Engine,
    kind: str,
    inside: list[str],
    options: list[str],
    via: Mapping[str, str],
) -> str:
    """Run a suite, and return the last line that pytest prints; `inside`: where it runs.

    `via` is what leads its clients to the engine.
    """
    suite, python = SUITES[name], environment()
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")}
    # The suites change the settings of Docker's command line; where it has none, their folder.
    home = paths.home() / "user"
    shutil.rmtree(home, ignore_errors=True)
    (home / ".docker").mkdir(parents=True)
    (home / ".docker/config.json").write_text("{}")
    process = subprocess.Popen(
        [*inside, str(python), "-m", "pytest", "-p", "listed", "-p", "no:cacheprovider",
         "-rfE", "--tb=short", "-o", "log_cli=false", f"--timeout={TIMEOUT}",
         suite.tests, *(f"--deselect={name}" for name in suite.left_out), *options],
        cwd=fetched(suite, python),
        env={
            **kept,
            **via,
            **suite.environ,
            # What is bound into containers is the engine's, wherever it is.
            "TESTCONTAINERS_DOCKER_SOCKET_OVERRIDE": "/var/run/docker.sock"
            if kind == "vm"
            else engine.environ()["DOCKER_HOST"].removeprefix("unix://"),
            "HOME": str(home),
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(HERE),
            "PEERS_LIST": str(HERE / f"{name}.toml"),
            "PEERS_ENGINE": kind,
            "PEERS_VIA": VIA,
        },
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    last = ""
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        last = line.strip() or last
    code = process.wait()
    return f"{name} on {kind}: {last}" if code == 0 else f"{name} on {kind}: FAILED ({code}) {last}"


# --- the engine ----------------------------------------------------------------------------------


@contextmanager
def micro_vm() -> Iterator[tuple[Engine, list[str]]]:
    """A micro-VM of its own, without a network beyond its containers."""
    vm = MicroVM(paths.home() / "vm", cache=paths.cache() / "vm")
    try:
        engine = VmEngine(vm, vm.start(network=False))
        # A name server that refuses at once: who asks for a name need not wait to be told "no".
        vm.runner.run("open('/etc/resolv.conf', 'w').write('nameserver 127.0.0.1\\n')")
        yield engine, []
        engine.close()
    finally:
        vm.remove()


@contextmanager
def private() -> Iterator[tuple[Engine, list[str]]]:
    """A private engine in a network namespace of its own, where the suites run as well."""
    sys.path.append(str(ROOT / "tests/live"))
    from other import OtherEngine  # only root can have one

    other = OtherEngine(f"labkit-peers-{os.getpid()}")
    try:
        other.start()
        yield other.engine, ["nsenter", f"--net=/run/netns/{other.name}"]
    finally:
        other.remove()


ENGINES = {"vm": micro_vm, "private": private}


def make_images(engine: Engine) -> None:
    """Have all that the suites pull, by its name."""
    build_images(engine, on_message=tell, names=LAB_IMAGES)
    for name, (root, added) in IMAGES.items():
        dockerfile = f"FROM {root}\n{added}\n".encode()
        files: dict[str, bytes | Path] = {"Dockerfile": dockerfile, "ryuk.py": HERE / "ryuk.py"}
        build_image(engine, name, files, name=name, labels={})
    if all(engine.client.images.list(name) for name in SOCAT):
        return
    with Packages(engine) as packages:
        debs = packages.lacking("labkit/toolbox", ["socat"], on_message=tell)
        socat = (
            "FROM labkit/toolbox\nRUN --mount=type=bind,target=/context sh /context/install\n"
            'ENTRYPOINT ["socat"]\n'
        )
        files = {
            "Dockerfile": socat.encode(),
            INSTALL: (paths.images_dir() / INSTALL).read_bytes(),
            **{deb.name: deb for deb in debs},
        }
        for name in SOCAT:
            build_image(engine, name, files, name=name, labels={})


def main(words: list[str]) -> int:
    """Run the suites that are named, or both; return the exit code."""
    kind = os.environ.get("ENGINE") or "vm"
    names = [word for word in words if word in SUITES] or list(SUITES)
    options = [word for word in words if word not in SUITES]
    WORK.mkdir(parents=True, exist_ok=True)
    home = tempfile.mkdtemp(prefix="lk-", dir="/tmp")  # Unix sockets want a short path
    os.environ["LABKIT_HOME"] = home
    try:
        with ENGINES[kind]() as (engine, inside):
            ends = []
            for name in names:
                make_images(engine)  # again: a suite removes some
                with Lab(engine=engine) as lab:
                    via = lab.environ() if VIA == "socket" else engine.environ()
                    ends.append(run_suite(name, engine, kind, inside, options, via))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(*ends, sep="\n")
    return int(any("FAILED" in end for end in ends))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
