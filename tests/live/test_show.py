"""What is shown of real containers agrees with a second instrument: lsns, ps, the container."""

from __future__ import annotations

import pytest

from labkit import Lab, show
from labkit.errors import ContainerExitedError
from labkit.host import ProbeHost
from labkit.inspect import read_processes
from labkit.kernel import KINDS
from labkit.show.processes import nodes, tree_text
from labkit.table import Table


def column(table: Table | str, name: str) -> dict[str, object]:
    assert isinstance(table, Table)
    at = list(table.columns).index(name)
    return {str(row[0]): row[at] for row in table.rows}


def test_the_matrix_says_what_readlink_says_inside(lab: Lab) -> None:
    web = lab.run("base", "httpd -f -p 80", name="web")
    side = lab.run("base", name="side", network="container:web", pid_mode="container:web")
    own = lab.run("base", name="own", network="host")
    figure = show.namespace_matrix(web, side, own)
    for kind in KINDS:
        letters: dict[str, set[object]] = {}
        for container in (web, side, own):
            link = container.exec(f"readlink /proc/self/ns/{kind}").stdout
            letters.setdefault(link, set()).add(column(figure.text, container.name)[kind])
        assert all(len(found) == 1 for found in letters.values()), kind
        assert len(set().union(*letters.values())) == len(letters), kind
    assert column(figure.text, "side")["net"] == column(figure.text, "web")["net"] == "B"
    assert column(figure.text, "own")["net"] == column(figure.text, "host")["net"] == "A"


def test_the_matrix_is_the_same_for_new_containers(lab: Lab) -> None:
    def figure() -> show.Figure:
        made = [lab.run("base", name=name) for name in ("web", "db")]
        try:
            return show.namespace_matrix(*made)
        finally:
            for container in made:
                container.remove()

    assert figure() == figure()


def test_the_matrix_without_the_host(lab: Lab) -> None:
    web = lab.run("base", name="web")
    figure = show.namespace_matrix(web, host=False)
    assert set(column(figure.text, "web").values()) == {"A"}


def test_the_tree_has_the_processes_that_the_container_sees(lab: Lab) -> None:
    web = lab.run("base", ["sh", "-c", "sleep 1001 & sleep 1002 & wait"], name="web")
    web.wait_until(lambda: len(web.processes()) == 3, what="three processes")
    text = str(show.process_tree(web))
    inside = web.exec("ps -o pid,args").stdout
    for line in inside.splitlines()[1:]:
        pid, command = line.split(maxsplit=1)
        if not command.startswith("ps"):
            assert f"{command}  (pid {pid} in web)" in text
    shim, first, *rest = text.splitlines()[-4:]
    assert first.startswith("  " * 2 + "sh -c")
    assert [line.startswith("  " * 3 + "sleep") for line in rest] == [True, True]
    assert "keeps one container" in shim
    assert str(web.pid) not in text


def test_the_tree_tells_the_hosts_pids(lab: Lab) -> None:
    web = lab.run("base", "sleep 1000", name="web")
    text = str(show.process_tree(web, host_pids=True))
    assert f"sleep 1000  (pid 1 in web, pid {web.pid} on the host)" in text


def test_the_tree_is_the_same_through_a_probe_which_is_not_in_it(
    lab: Lab, probe: ProbeHost
) -> None:
    web, db = (
        lab.run("base", f"sleep {n}", name=name) for n, name in ((1000, "web"), (2000, "db"))
    )
    members = {one.name: one.cgroup().pids() for one in (web, db)}
    tree = nodes(read_processes(probe), anchor=probe.anchor, members=members)
    assert tree_text(tree) == str(show.process_tree(web, db))
    assert "python" not in tree_text(tree)


def test_the_grid_is_what_the_container_was_given(lab: Lab) -> None:
    plain = lab.run("base", name="plain")
    none = lab.run("base", name="none", cap_drop=["ALL"], cap_add=["NET_ADMIN"])
    table = show.capability_grid(plain, none)
    given = {name for name, mark in column(table, "none").items() if mark == "yes"}
    assert given == {"cap_net_admin"}
    assert column(table, "plain")["cap_net_admin"] == "-"
    mask = plain.exec("grep CapEff /proc/1/status").stdout.split()[1]
    assert column(table, "plain")["in all"] == str(int(mask, 16).bit_count())


def test_a_container_that_has_ended_says_so(lab: Lab) -> None:
    gone = lab.run("base", "true", name="gone")
    gone.wait_exit()
    for shown in (show.namespace_matrix, show.process_tree, show.capability_grid):
        with pytest.raises(ContainerExitedError, match="gone"):
            shown(gone)


def test_a_limit_that_is_explored_is_in_force(lab: Lab) -> None:
    web = lab.run("base", name="web", memory="32m")

    def limit(memory: str) -> Table:
        web.update(mem_limit=memory, memswap_limit=memory)
        return Table(("memory", "the kernel's limit"), [(memory, web.cgroup().memory().max)])

    explorer = show.explore(limit, memory=["48m", "64m", "1k"])
    assert str(48 << 20) in str(explorer)
    explorer.controls["memory"].value = "64m"
    assert str(64 << 20) in explorer.result.value
    assert web.cgroup().memory().max == 64 << 20
    explorer.controls["memory"].value = "1k"  # the engine refuses so little
    assert "The engine refused" in explorer.result.value
