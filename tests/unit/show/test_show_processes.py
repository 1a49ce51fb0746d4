"""The tree of processes: who is kept, who hangs on whom, and what is said of each."""

from __future__ import annotations

from labkit.kernel import Process
from labkit.show.forest import picture
from labkit.show.processes import nodes, tree_text

SHIM = ("/usr/bin/containerd-shim-runc-v2", "-namespace", "moby", "-id", "f00", "-address")
OWN = "/lab/exec/containerd/containerd.sock"


def process(pid: int, ppid: int, *words: str, comm: str = "", inside: int | None = None) -> Process:
    return Process(
        pid=pid,
        ppid=ppid,
        comm=comm or words[0].rpartition("/")[2][:15],
        state="S" if words else "Z",
        start_time=pid,
        threads=1,
        uid=0,
        gid=0,
        nspid=(pid,) if inside is None else (pid, inside),
        cmdline=words,
    )


def machine(*processes: Process) -> dict[int, Process]:
    return {one.pid: one for one in processes}


# An engine of our own, its probe, a strange engine, and two containers.
OURS = machine(
    process(1, 0, "/sbin/init"),
    process(20, 1, "/usr/bin/python3", "-m", "shell"),
    process(50, 20, "/usr/sbin/dockerd", "--exec-root=/lab/exec"),
    process(51, 50, "containerd", "--config", "/lab/exec/containerd/containerd.toml"),
    process(60, 1, "/usr/sbin/dockerd", "--exec-root=/strange"),
    process(61, 60, "containerd", "--config", "/strange/containerd/containerd.toml"),
    process(70, 1, *SHIM, OWN),  # of the probe
    process(71, 70, "python3", "-S", "-u", "-c", "import os\nimport sys\n" * 50),
    process(80, 1, *SHIM, OWN),
    process(81, 80, "nginx: master process", comm="nginx", inside=1),
    process(83, 81, "nginx: worker process", comm="nginx", inside=8),
    process(82, 81, "nginx: worker process", comm="nginx", inside=7),
    process(
        84, 80, "sh", "-c", "for i in 1 2 3\ndo\n  sleep 1\ndone  # and so on, and on", inside=9
    ),
    process(85, 81, comm="curl", inside=10),
    process(90, 1, *SHIM, OWN),
    process(91, 90, "postgres", inside=1),
)
MEMBERS = {"web": [81, 82, 83, 84, 85], "db": [91]}
TEXT = """\
the host's first process
  … dockerd  (the engine's daemon)
    containerd  (starts and stops containers)
  containerd-shim-runc-v2  (keeps one container)
    nginx: master process  (pid 1 in web)
      nginx: worker process  (pid 7 in web)
      nginx: worker process  (pid 8 in web)
      [curl] (zombie)  (pid 10 in web)
    sh -c for i in 1 2 3 do sleep 1 done # and …  (pid 9 in web)
  containerd-shim-runc-v2  (keeps one container)
    postgres  (pid 1 in db)"""


def test_the_tree_of_two_containers() -> None:
    assert tree_text(nodes(OURS, anchor=50, members=MEMBERS)) == TEXT


def test_the_same_tree_seen_through_a_probe_whose_shim_is_the_anchor() -> None:
    assert tree_text(nodes(OURS, anchor=70, members=MEMBERS)) == TEXT


def test_containers_come_in_the_order_in_which_they_are_named() -> None:
    turned = {name: MEMBERS[name] for name in ("db", "web")}
    text = tree_text(nodes(OURS, anchor=50, members=turned))
    assert text.index("in db") < text.index("in web")
    assert text.index("dockerd") < text.index("in db")


def test_host_pids_only_where_they_are_asked_for() -> None:
    tree = nodes(OURS, anchor=50, members={"db": [91]})
    assert "91" not in tree_text(tree)
    assert "postgres  (pid 1 in db, pid 91 on the host)" in tree_text(tree, host_pids=True)


def test_the_machines_own_engine_under_systemd() -> None:
    socket = "/run/containerd/containerd.sock"
    processes = machine(
        process(1, 0, "/lib/systemd/systemd"),
        process(10, 1, "/usr/bin/containerd"),
        process(11, 1, "/usr/bin/dockerd", "-H", "fd://", f"--containerd={socket}"),
        process(12, 1, "/usr/sbin/cron"),
        process(20, 1, *SHIM, socket),
        process(21, 20, "sleep", "9", inside=1),
    )
    text = tree_text(nodes(processes, anchor=20, members={"web": [21]}))
    assert [line.split()[0] for line in text.splitlines()[1:]] == [
        "containerd",
        "dockerd",
        "containerd-shim-runc-v2",
        "sleep",
    ]


def test_a_chain_of_parents_that_is_cut() -> None:
    processes = machine(process(20, 0, *SHIM, OWN), process(21, 20, "sleep", "9", inside=1))
    assert tree_text(nodes(processes, anchor=20, members={"web": [21]})) == (
        "containerd-shim-runc-v2  (keeps one container)\n  sleep 9  (pid 1 in web)"
    )
    alone = machine(process(21, 20, "sleep", "9", inside=1))
    tree = nodes(alone, anchor=20, members={"web": [21]})
    assert tree_text(tree) == "sleep 9  (pid 1 in web)"
    assert picture(tree, text="")


def test_a_pid_that_was_used_again_is_no_parent() -> None:
    ring = machine(process(20, 21, "a"), process(21, 20, "sleep", "9", inside=1))
    text = tree_text(nodes(ring, anchor=1, members={"web": [21]}))
    assert text == "a  (no parent that can be seen)\n  sleep 9  (pid 1 in web)"


def test_a_member_that_has_ended_is_left_out() -> None:
    assert "sleep" not in tree_text(nodes(OURS, anchor=50, members={"db": [91, 99]}))


def test_podmans_conmon() -> None:
    processes = machine(
        process(1, 0, "/sbin/init"),
        process(30, 1, "/usr/bin/conmon", "--api-version", "1"),
        process(31, 30, "top", inside=1),
    )
    assert "  conmon  (keeps one container)\n    top  (pid 1 in web)" in tree_text(
        nodes(processes, anchor=30, members={"web": [31]})
    )


def test_equal_trees_are_equal_bytes_and_other_pids_are_not() -> None:
    tree = nodes(OURS, anchor=50, members=MEMBERS)
    one = picture(tree, text=TEXT)
    assert one == picture(nodes(OURS, anchor=50, members=MEMBERS), text=TEXT)
    assert "web, db" in one.alt
    assert one.width < 800
    other = {**OURS, 91: process(91, 90, "postgres", inside=2)}
    assert one.png != picture(nodes(other, anchor=50, members=MEMBERS), text=TEXT).png
