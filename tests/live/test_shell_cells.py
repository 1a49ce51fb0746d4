"""Shell cells in a real kernel: what is typed, streamed, refused, stopped; and no vacuous pass."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import papermill  # type: ignore[import-untyped]
import pytest
from jupyter_client.manager import start_new_kernel
from kernels import TIMEOUT, Kernel

from labkit.engine import Engine
from labkit.inspect import read_processes
from labkit.waiting import wait_until

SESSION = f"shell-{secrets.token_hex(4)}"
BEGIN = """
import labkit
lab = labkit.Lab()
web = lab.run("base", "httpd -f -p 80", name="web")
"""


@pytest.fixture(scope="module")
def kernel(engine: Engine) -> Iterator[Kernel]:
    made = begun(LABKIT_SESSION=SESSION)
    yield made
    made.end()


def test_lines_are_typed_in_a_container(kernel: Kernel) -> None:
    assert kernel.run("%%in web\nhostname; echo err >&2\nid -un") == "web\nerr\nroot\n"
    assert kernel.run("%%in web --user 65534\nid -u") == "65534\n"
    assert kernel.run("%%in web\nname='$HOME {web} %'; echo \"$name\"") == "$HOME {web} %\n"


def test_lines_are_typed_on_the_host(kernel: Kernel) -> None:
    pid = kernel.run("print(web.pid)").strip()
    assert kernel.run("%%host\necho $web") == f"{pid}\n"
    assert kernel.run("%%host\nreadlink /proc/${web}/ns/net") == kernel.run(
        "%%in web\nreadlink /proc/self/ns/net"
    )
    name = kernel.run("print(lab.engine.host.read('/proc/sys/kernel/hostname'), end='')")
    assert kernel.run("%%host\nhostname") == name
    assert "httpd" in kernel.run("%%host\nnsenter --target $web --net ip -o link; ps -p $web")
    for program in ("lsns", "nsenter", "unshare", "ip", "nft", "findmnt", "strace", "ps"):
        assert kernel.run(f"%%host\ncommand -v {program}").strip(), program


def test_the_hosts_own_files_and_mounts(kernel: Kernel) -> None:
    seen = kernel.run("%%host\nls /proc/$engine/root; findmnt --task $engine --noheadings /proc")
    assert {"etc", "usr"} <= set(seen.split())
    assert "proc" in seen.splitlines()[-1]


def test_docker_in_a_cell_is_the_notebooks_own(kernel: Kernel) -> None:
    made = "docker run -d --name typed-here labkit/base >/dev/null; docker ps --format '{{.Names}}'"
    assert kernel.run(f"%%sh\n{made}").split() == ["typed-here", "web"]
    assert kernel.run("%%in typed-here\nhostname") != ""
    assert kernel.run("%%host\nps -o args= -p $typed_here") == "sleep infinity\n"
    kernel.run("%%sh\ndocker rm -f typed-here")
    assert "no container 'typed-here'" in kernel.fails("%%in typed-here\nls")
    assert "typed_here: parameter not set" in kernel.ends("%%host\necho $typed_here")[0]


def test_an_exit_code_is_an_error_unless_it_is_expected(kernel: Kernel) -> None:
    error = kernel.fails("%%in web\necho why >&2; exit 7")
    assert "CommandFailedError" in error
    assert "exit code 7; why" in error
    assert "--fails" in error
    assert kernel.run("%%in web --fails\nexit 7") == ""
    assert "succeeded" in kernel.fails("%%in web --fails\ntrue")
    assert "exit code 3" in kernel.fails("%%host\nexit 3")
    assert "succeeded" in kernel.fails("%%host --fails\ntrue")
    assert "returned non-zero exit status 1" in kernel.fails("%%sh\nfalse")


def test_it_streams(kernel: Kernel, engine: Engine) -> None:
    kernel.run("%%in web\nrm -f /go")
    asked = kernel.client.execute("%%in web\necho first\nwhile [ ! -e /go ]; do sleep 0.1; done")
    messages = kernel.messages(asked)
    text = next(m["content"]["text"] for m in messages if m["msg_type"] == "stream")
    assert text == "first\n"  # and only now may it end
    (web,) = engine.client.api.containers(
        filters={"name": "-web$", "label": f"labkit.session={SESSION}"}
    )
    api = engine.client.api
    api.exec_start(api.exec_create(web["Id"], ["touch", "/go"])["Id"])
    assert [m for m in messages if m["msg_type"] == "error"] == []


@pytest.mark.parametrize("cell", ["%%in web", "%%host"])
def test_an_interrupt_ends_what_runs(kernel: Kernel, engine: Engine, cell: str) -> None:
    seconds = str(40_000 + os.getpid() % 10_000)

    def running() -> bool:
        found = read_processes(engine.host).values()
        return any(one.cmdline == ("sleep", seconds) for one in found)

    asked = kernel.client.execute(f"{cell}\nsleep {seconds} & sleep {seconds}")
    wait_until(running, timeout=TIMEOUT, what="the sleep")
    kernel.manager.interrupt_kernel()
    _, error = kernel.until_idle(asked)
    assert "KeyboardInterrupt" in error
    wait_until(lambda: not running(), timeout=TIMEOUT, what="the end of the sleeps")
    assert kernel.run("%%in web\necho well") == "well\n"


def test_a_gigabyte_is_counted_and_not_shown(kernel: Kernel) -> None:
    printed = kernel.run("%%in web\nyes | head -c 1073741824")
    assert "[1,023.0 MiB more are not shown" in printed
    assert len(printed) < 1_200_000


def test_standard_input_is_empty(kernel: Kernel) -> None:
    assert kernel.run("%%in web\ncat; read line || echo nothing to read") == "nothing to read\n"
    assert kernel.run("%%host\ncat; echo end") == "end\n"


def test_containers_in_which_nothing_can_be_typed(kernel: Kernel) -> None:
    kernel.run("short = lab.run('base', 'true', name='short'); short.wait_exit()")
    assert "not running" in kernel.fails("%%in short\nls")
    kernel.run("paused = lab.run('base', name='paused').pause()")
    assert "paused" in kernel.fails("%%in paused\nls")
    kernel.run(
        "lab.build('bare', 'FROM labkit/base AS all\\nFROM scratch\\n"
        'COPY --from=all /bin/busybox /busybox\\nCMD ["/busybox", "sleep", "1000"]\\n\')\n'
        "bare = lab.run('bare', name='bare')"
    )
    assert "bare has no shell" in kernel.fails("%%in bare\nls")
    assert "cannot be read" in kernel.fails("%%in\nls")
    assert "cannot be read" in kernel.fails("%%host --nonsense\nls")
    assert "UsageError" in kernel.ends("%%inn web\nls")[0]


def test_help_is_found(kernel: Kernel) -> None:
    for name in ("in", "host"):
        asked = kernel.client.execute(f"%%{name}?")
        reply = kernel.client.get_shell_msg(timeout=TIMEOUT)
        while reply["parent_header"].get("msg_id") != asked:
            reply = kernel.client.get_shell_msg(timeout=TIMEOUT)
        assert "--fails" in str(reply["content"]["payload"]), name


def test_the_hosts_shell_that_was_removed_comes_again(kernel: Kernel, engine: Engine) -> None:
    kernel.run("%%host\ntrue")
    of_kernel = kernel.run(
        "from labkit.shell.toolbox import toolbox_of; print(toolbox_of(lab.engine))"
    ).strip()
    engine.client.api.remove_container(of_kernel, force=True)
    assert kernel.run("%%host\necho again") == "again\n"


def test_nothing_is_left_of_the_hosts_shell(engine: Engine) -> None:
    kernel = begun()
    id = kernel.run("from labkit.shell.toolbox import toolbox_of; print(toolbox_of(lab.engine))")
    kernel.manager.shutdown_kernel(now=True)  # kill -9
    kernel.client.stop_channels()

    def gone() -> bool:
        found = engine.client.api.containers(all=True, filters={"id": id.strip()})
        return not found

    wait_until(gone, timeout=TIMEOUT, what="the end of the host's shell")


def test_through_the_probe(engine: Engine) -> None:
    kernel = begun(LABKIT_HOST="probe")
    try:
        assert kernel.run("%%in web\nhostname") == "web\n"
        assert kernel.run("%%host\nps -o args= -p $web") == "httpd -f -p 80\n"
        assert "etc" in kernel.run("%%host\nls /proc/$engine/root").split()
    finally:
        kernel.end()


def begun(**environ: str) -> Kernel:
    made = Kernel(start_new_kernel(env={**os.environ, **environ}))
    made.run(BEGIN)
    return made


def notebook(path: Path, *cells: str) -> Path:
    v4: Any = nbformat.v4
    made = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in (BEGIN, *cells)])
    kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    made.metadata["kernelspec"] = kernelspec
    path.write_text(v4.writes(made))
    return path


def test_under_papermill_a_failure_stops_the_run(engine: Engine, tmp_path: Path) -> None:
    good = notebook(tmp_path / "good.ipynb", "%%in web\nhostname", "%%in web --fails\nfalse")
    made = papermill.execute_notebook(
        str(good), str(tmp_path / "out.ipynb"), kernel_name="python3", progress_bar=False
    )
    assert made.cells[1].outputs[0]["text"] == "web\n"
    bad = notebook(tmp_path / "bad.ipynb", "%%host\nfalse")
    with pytest.raises(papermill.PapermillExecutionError, match="CommandFailedError"):
        papermill.execute_notebook(
            str(bad), str(tmp_path / "out.ipynb"), kernel_name="python3", progress_bar=False
        )


def test_under_nbval_a_failure_fails(engine: Engine, tmp_path: Path) -> None:
    path = notebook(tmp_path / "cells.ipynb", "%%in web\nhostname", "%%in web\nfalse")
    argv = [sys.executable, "-m", "pytest", "--nbval-lax", "-p", "no:cacheprovider", "-q",
            "-c", os.devnull, f"--rootdir={tmp_path}", str(path)]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert "1 failed, 2 passed" in done.stdout, done.stdout[-2000:]
