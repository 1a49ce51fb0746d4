"""All of it as a user without any privilege: build (killed once), boot, restore, run, stop."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCENARIO = """
import os, sys, time
from pathlib import Path
from labkit.engine.vm import MicroVM, build_image
here = Path(sys.argv[1])
build_image(here / "cache", on_progress=lambda stage, done: print(stage, flush=True))
vm = MicroVM(here / "vm", cache=here / "cache")
for turn in ("cold", "restored"):
    began = time.monotonic()
    vm.start(accelerator="tcg")
    print(turn, f"{time.monotonic() - began:.1f}", flush=True)
    print(vm.door.run("import os; print('guest uid', os.getuid())"), flush=True)
    vm.stop()
print("uid", os.getuid(), open("/proc/self/status").read().split("CapBnd:")[1].split()[0])
"""
UNPRIVILEGED = (
    "setpriv",
    "--reuid",
    "1000",
    "--regid",
    "1000",
    "--clear-groups",
    "--no-new-privs",
    "--bounding-set=-all",
)


@pytest.mark.timeout(600)
@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests are this test for a plain user")
def test_everything_without_privilege() -> None:
    # Not below pytest's own folder, which is root's alone.
    here = Path(f"/var/tmp/labkit-test-{os.getpid()}")
    here.mkdir()
    os.chown(here, 1000, 1000)
    # This interpreter may be in a home that the user cannot enter; the system's is everybody's.
    python = ["env", f"HOME={here}", f"PYTHONPATH={':'.join(sys.path)}", "/usr/bin/python3"]
    argv = [*UNPRIVILEGED, *python, "-c", SCENARIO, str(here)]
    try:
        first = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert first.stdout
        while first.stdout.readline() != "unpack\n":
            assert first.poll() is None
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        first.stdout.close()
        assert not list((here / "cache/images").glob("*/disk.qcow2"))
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=500)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("guest uid 0") == 2
        assert "uid 1000 0000000000000000" in done.stdout
        assert not list((here / "cache/images").glob("building-*"))
    finally:
        shutil.rmtree(here)
