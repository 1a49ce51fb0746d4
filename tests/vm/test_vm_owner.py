"""A clock that is set back and forth, in a guest, makes no living owner look dead."""

from __future__ import annotations

from pathlib import Path

from labkit import owner, paths
from labkit.engine.vm import MicroVM

# The very sources, as a package of their own: the guest has a bare python3.
LOOK = """
import os, subprocess, sys, time
folder = "/run/owner-test/labkit"
os.makedirs(folder)
for name, source in {sources!r}.items():
    open(f"{{folder}}/{{name}}", "w").write(source)
os.environ["PYTHONPATH"] = "/run/owner-test"
os.environ["LABKIT_HOME"] = "/run/owner-test/home"
sys.path.insert(0, "/run/owner-test")
from labkit.owner import is_dead, this_process

live = "from labkit.owner import this_process; print(this_process(), flush=True); input()"
def start():
    child = subprocess.Popen([sys.executable, "-c", live], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
    return child, child.stdout.readline().strip()

child, name = start()
answers = [is_dead(name)]
started = time.time()
for step in (3600, -7200, 3600):
    time.clock_settime(time.CLOCK_REALTIME, time.time() + step)
    other, another = start()  # born by the other clock
    look = "import sys; from labkit.owner import is_dead; print(*map(is_dead, sys.argv[1:]))"
    said = subprocess.run([sys.executable, "-c", look, name, another, this_process()],
                          capture_output=True, text=True, check=True).stdout.split()
    answers += [is_dead(name), is_dead(another), *(word == "True" for word in said)]
    other.kill(); other.wait()
    answers.append(not is_dead(another))
child.kill(); child.wait()
print(any(answers), is_dead(name), len(answers), abs(time.time() - started) < 600)
"""


def test_a_clock_that_is_set_kills_nobody(vm: MicroVM) -> None:
    modules = {Path(str(one.__file__)).name: one for one in (owner, paths)}
    sources = {name: Path(str(one.__file__)).read_text() for name, one in modules.items()}
    code = LOOK.format(sources={"__init__.py": "", **sources})
    assert vm.runner.run(code, timeout=120).split() == ["False", "True", "19", "True"]
