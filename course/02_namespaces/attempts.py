"""Attempts at the exercises of chapter 02, and what their checks must say."""

import subprocess
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from io import StringIO
from typing import Any

from labkit import Container, Lab, answer, piece, trial, variant
from labkit.authoring.attempts import docker, right, wrong
from labkit.shell.cells import on_host

WORKBENCH: dict[str, Any] = {
    "cap_add": ["SYS_ADMIN"],
    "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
}


OWN = "its network, its host name and its files are its own"
LOOKS = "it may look, and no more"


@right("02.1")
def with_a_guest(lab: Lab) -> None:
    """Who moves in with watcher takes nothing from it."""
    lab.run("base", "busybox sleep 1000", name="watcher", pid_mode="host", hostname="w")
    lab.run("toolbox", name="guest", network="container:watcher")


@right("02.1")
def with_a_volume(lab: Lab) -> None:
    image = str(lab.engine.client.images.get("labkit/base").id)
    lab.run(
        image, name="watcher", pid_mode="host", volumes={lab.volume("notes").docker.id: "/notes"}
    )


@wrong("02.1", fails=OWN, hint="one option is enough")
def the_network_of_a_sibling(lab: Lab) -> None:
    lab.run("base", name="sibling")
    lab.run("base", name="watcher", pid_mode="host", network="container:sibling")


@wrong("02.1", fails=[OWN, LOOKS], hint="can enter them")
def the_hosts_files(lab: Lab) -> None:
    lab.run("base", name="watcher", pid_mode="host", volumes={"/": "/host"})


@wrong("02.1", fails=LOOKS, hint="can enter them")
def the_right_to_trace(lab: Lab) -> None:
    lab.run("base", name="watcher", pid_mode="host", cap_add=["SYS_PTRACE"])


@wrong("02.1", fails=[OWN, LOOKS], hint="can enter them")
def the_hosts_files_by_a_volume(lab: Lab) -> None:
    root = {"type": "none", "o": "bind", "device": "/"}
    volume = lab.volume("root", driver_opts=root)
    lab.run("base", name="watcher", pid_mode="host", volumes={volume.docker.id: "/host"})


@wrong("02.1", fails=LOOKS, hint="can enter them")
def the_right_to_read_all(lab: Lab) -> None:
    lab.run("base", name="watcher", pid_mode="host", cap_add=["DAC_READ_SEARCH"])


@wrong("02.1", fails=LOOKS, hint="can enter them")
def a_rule_for_all_devices(lab: Lab) -> None:
    lab.run("base", name="watcher", pid_mode="host", device_cgroup_rules=["a *:* rwm"])


@wrong("02.1", fails="it was started from the image base", hint="first argument")
def another_image(lab: Lab) -> None:
    lab.run("toolbox", name="watcher", pid_mode="host")


@wrong("02.1", fails="it sees the processes of the host")
def no_window(lab: Lab) -> None:
    lab.run("base", name="watcher")


@wrong("02.1", fails=["it sees the processes of the host", OWN])
def window_to_the_network(lab: Lab) -> None:
    lab.run("base", name="watcher", network="host")


@wrong("02.1", fails="it sees the processes of the host")
def window_to_the_neighbour(lab: Lab) -> None:
    lab.run("base", name="neighbour")
    lab.run("base", name="watcher", pid_mode="container:neighbour")


@wrong("02.1", fails="its network, its host name and its files are its own")
def too_many_windows(lab: Lab) -> None:
    lab.run("base", name="watcher", pid_mode="host", network="host")


@right("02.2")
def counted_by_another_image(lab: Lab) -> None:
    plan = variant("02.2")
    for name, options in (("one", {}), ("two", plan.two), ("three", plan.three)):
        lab.run("toolbox", "sleep 1000", name=name, **options)
    lab.run("base", name="four")
    answer("02.2", **{kind: str(number) for kind, number in right_counts().items()})


@right("02.2")
def started_twice(lab: Lab) -> None:
    as_planned(lab)
    lab.container("three").restart(timeout=0)
    answer("02.2", **right_counts())


def as_planned(lab: Lab) -> None:
    plan = variant("02.2")
    lab.run("base", name="one")
    lab.run("base", name="two", **plan.two)
    lab.run("base", name="three", **plan.three)


def right_counts() -> dict[str, int]:
    """By the plan: four of each kind, less one for each container that moves in somewhere."""
    plan = variant("02.2")
    shared = [*plan.two, *plan.three]
    return {"net": 4 - shared.count("network"), "pid": 4 - shared.count("pid_mode"), "uts": 4}


@wrong("02.2", fails="the three share what your variant says", hint="**variant")
def a_plan_of_my_own(lab: Lab) -> None:
    plan = variant("02.2")
    lab.run("base", name="one", uts_mode="host")
    lab.run("base", name="two", **plan.two)
    lab.run("base", name="three", **plan.three)
    answer("02.2", **{**right_counts(), "uts": 3})


@wrong("02.2", fails="the three share what your variant says", hint="**variant")
def nobody_shares(lab: Lab) -> None:
    for name in ("one", "two", "three"):
        lab.run("base", name=name)
    answer("02.2", net=4, pid=4, uts=4)


@wrong("02.2", fails="your count of uts namespaces")
def equal_names_are_one_namespace(lab: Lab) -> None:
    as_planned(lab)
    answer("02.2", **{**right_counts(), "uts": 3})


@wrong("02.2", fails=[f"your count of {kind} namespaces" for kind in ("net", "pid", "uts")])
def forgot_the_host(lab: Lab) -> None:
    as_planned(lab)
    answer("02.2", **{kind: number - 1 for kind, number in right_counts().items()})


@wrong("02.2", fails="your count of pid namespaces")
def predicted_and_not_counted(lab: Lab) -> None:
    as_planned(lab)
    counts = right_counts()
    answer("02.2", net=counts["net"], uts=counts["uts"])


SEES = "doctor sees the processes of app and desk"
NETWORK = "each has a network of its own"
OUT_OF_SIGHT = "the host's processes stay out of sight"
SERVE = "app and desk serve"
SERVER = "httpd -f -p 80"


def _servers(lab: Lab, *, app: dict[str, Any] | None = None, **desk: Any) -> None:
    """Both, on the same list of processes unless told otherwise, when they serve."""
    one = lab.run("base", SERVER, name="app", **(app or {}))
    two = lab.run("base", SERVER, name="desk", **(desk or {"pid_mode": "container:app"}))
    for each in (one, two):
        each.wait_until(each.served, what="the server")


@right("02.3")
def with_another_server(lab: Lab) -> None:
    code = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8000)"
    desk = lab.run("toolbox", ["python3", "-c", code], name="desk")
    desk.wait_until(desk.served, what="the server", timeout=60)
    app = lab.run("base", SERVER, name="app", pid_mode="container:desk")
    app.wait_until(app.served, what="the server")
    lab.run("base", name="doctor", pid_mode="container:app", cap_drop=["ALL"])


@right("02.3")
def the_patients_move_in_with_doctor(lab: Lab) -> None:
    lab.run("base", name="doctor", network=lab.network("ward"))
    for name in ("app", "desk"):
        docker(lab, "run", "-d", "--name", name, "--pid", "container:doctor", "labkit/base",
               *SERVER.split())  # fmt: skip
        one = lab.container(name)
        one.wait_until(one.served, what="the server")


@wrong("02.3", fails="doctor cannot enter another's", hint="nsenter")
def with_the_keys(lab: Lab) -> None:
    _servers(lab)
    rights = ["SYS_ADMIN", "SYS_PTRACE"]
    lab.run("toolbox", name="doctor", pid_mode="container:app", cap_add=rights)


@wrong("02.3", fails=SERVE, hint="run on")
def app_stands_still(lab: Lab) -> None:
    _servers(lab)
    lab.run("base", name="doctor", pid_mode="container:app")
    lab.container("app").pause()


@wrong("02.3", fails=[NETWORK, SERVE], hint="httpd")
def a_neighbour_serves(lab: Lab) -> None:
    _servers(lab)
    lab.container("desk").remove()
    lab.run("base", name="desk", pid_mode="container:app", network="container:app")
    lab.run("base", name="doctor", pid_mode="container:app")


@wrong("02.3", fails=NETWORK, hint="without `network=`")
def app_moves_into_the_network(lab: Lab) -> None:
    lab.run("base", name="doctor")
    inside = {"pid_mode": "container:doctor"}
    _servers(lab, app={"network": "container:doctor", **inside}, **inside)


@wrong("02.3", fails=SEES, hint="with an option of its own")
def a_list_each(lab: Lab) -> None:
    _servers(lab, hostname="desk")
    lab.run("base", name="doctor")


@wrong("02.3", fails=SEES, hint="desk must be started in that one")
def one_patient_of_two(lab: Lab) -> None:
    """As in the chapter."""
    _servers(lab, hostname="desk")
    lab.run("base", name="doctor", pid_mode="container:app")


@wrong("02.3", fails=[SEES, NETWORK])
def the_ordinary_sidecar(lab: Lab) -> None:
    _servers(lab)
    lab.run("base", name="doctor", network="container:app")


@wrong("02.3", fails=NETWORK)
def shares_both(lab: Lab) -> None:
    _servers(lab)
    lab.run("base", name="doctor", network="container:app", pid_mode="container:app")


@wrong("02.3", fails=[SEES, OUT_OF_SIGHT])
def sees_only_the_host(lab: Lab) -> None:
    _servers(lab)
    lab.run("base", name="doctor", pid_mode="host")


@wrong("02.3", fails=OUT_OF_SIGHT)
def all_see_the_host(lab: Lab) -> None:
    _servers(lab, app={"pid_mode": "host"}, pid_mode="host")
    lab.run("base", name="doctor", pid_mode="host")


@wrong("02.3", fails=[SEES, NETWORK, OUT_OF_SIGHT, SERVE])
def app_was_restarted(lab: Lab) -> None:
    """The restart ends the namespace; who was in it is killed."""
    _servers(lab)
    doctor = lab.run("base", name="doctor", pid_mode="container:app")
    lab.container("app").restart(timeout=0)
    doctor.wait_exit()


ADDRESS = "lo in the network of box has your address"
ALONE = "box has a network of its own"


@right("02.4")
def from_the_host(lab: Lab) -> None:
    box = lab.run("base", name="box")
    line = ["ip", "address", "add", f"{variant('02.4').address}/32", "dev", "lo"]
    done = lab.engine.host.run(line, pid=box.pid, namespaces=["net"])
    assert done.exit_code == 0, done


@right("02.4")
def in_a_host_cell(lab: Lab) -> None:
    lab.run("base", name="box")
    address = variant("02.4").address
    on_host("", f"nsenter --target $box --net ip address add {address}/32 dev lo")


@right("02.4")
def by_a_helper_of_no_name(lab: Lab) -> None:
    box = lab.run("base", name="box")
    lab.engine.client.containers.run(
        "labkit/toolbox", ["ip", "address", "add", f"{variant('02.4').address}/8", "dev", "lo"],
        network=f"container:{box.id}", cap_add=["NET_ADMIN"], remove=True,
    )  # fmt: skip


@right("02.4")
def a_chain_of_guests(lab: Lab) -> None:
    from_the_host(lab)
    lab.run("base", name="door", network="container:box")
    lab.run("base", name="more", network="container:door")
    lab.container("door").restart(timeout=0)


@wrong("02.4", fails="box was given no right to do it itself", hint="without options")
def a_very_special_box(lab: Lab) -> None:
    box = lab.run("base", name="box", pid_mode="host", volumes={"/": "/host"})
    line = ["ip", "address", "add", f"{variant('02.4').address}/32", "dev", "lo"]
    assert lab.engine.host.run(line, pid=box.pid, namespaces=["net"]).exit_code == 0


def _by_a_helper(lab: Lab, *line: str) -> None:
    lab.run("base", name="box")
    door = lab.run("toolbox", name="door", network="container:box", cap_add=["NET_ADMIN"])
    done = door.exec(["ip", *line])
    assert done.exit_code == 0, done


@wrong("02.4", fails=ADDRESS, hint="`dev lo`")
def on_another_interface(lab: Lab) -> None:
    _by_a_helper(lab, "address", "add", f"{variant('02.4').address}/32", "dev", "eth0")


@wrong("02.4", fails=ADDRESS, hint="no interface has it")
def a_route_for_an_address(lab: Lab) -> None:
    _by_a_helper(lab, "route", "add", "local", variant("02.4").address, "dev", "lo")


@wrong("02.4", fails=ALONE, hint="moves in with box")
def box_moves_in_with_a_sibling(lab: Lab) -> None:
    sibling = lab.run("toolbox", name="sibling", cap_add=["NET_ADMIN"])
    add_address(sibling, variant("02.4").address)
    lab.run("base", name="box", network="container:sibling")


def add_address(container: Container, address: str) -> None:
    done = container.exec(f"ip address add {address}/32 dev lo")
    assert done.exit_code == 0, done


@wrong("02.4", fails=ADDRESS)
def box_refuses(lab: Lab) -> None:
    box = lab.run("base", name="box")
    box.exec(f"ip address add {variant('02.4').address}/32 dev lo")


@wrong("02.4", fails=ADDRESS)
def another_door(lab: Lab) -> None:
    lab.run("base", name="box")
    door = lab.run("toolbox", name="door", cap_add=["NET_ADMIN"])
    add_address(door, variant("02.4").address)


@wrong("02.4", fails=ADDRESS, hint="see `variant`")
def another_address(lab: Lab) -> None:
    lab.run("base", name="box")
    door = lab.run("toolbox", name="door", network="container:box", cap_add=["NET_ADMIN"])
    add_address(door, "10.200.0.1")


@wrong("02.4", fails=ADDRESS)
def box_was_restarted(lab: Lab) -> None:
    """The address stays in the old network, with the helper."""
    box = lab.run("base", name="box")
    door = lab.run("toolbox", name="door", network="container:box", cap_add=["NET_ADMIN"])
    add_address(door, variant("02.4").address)
    box.restart(timeout=0)


@wrong("02.4", fails="box was given no right to do it itself")
def through_the_front(lab: Lab) -> None:
    box = lab.run("base", name="box", cap_add=["NET_ADMIN"])
    add_address(box, variant("02.4").address)


@wrong("02.4", fails=[ADDRESS, ALONE])
def box_in_the_host(lab: Lab) -> None:
    lab.run("base", name="box", network="host")


USER = "its first process is in a user namespace of its own"
MAPPED = "root inside is your number outside"
CLERK = "the clerk inside is your other number outside"
NOBODY_ELSE = "nobody else is mapped"


def _map() -> str:
    own = variant("02.5")
    return f"0 {own.uid} 1\\n{own.clerk} {own.clerk_uid} 1\\n"


@wrong("02.5", fails=[USER, MAPPED, CLERK, NOBODY_ELSE])
def only_another_user(lab: Lab) -> None:
    lab.run("toolbox", name="humble", user=str(variant("02.5").uid))


@wrong("02.5", fails=[MAPPED, CLERK, NOBODY_ELSE])
def without_a_map(lab: Lab) -> None:
    humble(lab)


@wrong("02.5", fails=[MAPPED, CLERK, NOBODY_ELSE], hint="is written, and stays")
def mapped_to_root(lab: Lab) -> None:
    lab.run("toolbox", "unshare --user --map-root-user sleep infinity", name="humble", **WORKBENCH)


@wrong("02.5", fails=[MAPPED, CLERK, NOBODY_ELSE], hint="first who it is inside")
def mapped_the_wrong_way_round(lab: Lab) -> None:
    write_map(humble(lab), f"{variant('02.5').uid} 0 1")


@wrong("02.5", fails=[CLERK, NOBODY_ELSE], hint="with all its lines")
def one_line_after_the_other(lab: Lab) -> None:
    made, own = humble(lab), variant("02.5")
    write_map(made, f"0 {own.uid} 1")
    second = f"echo {own.clerk} {own.clerk_uid} 1 >/proc/{made.pid}/uid_map"
    assert lab.engine.host.run(["sh", "-c", second]).exit_code


@wrong("02.5", fails=[CLERK, NOBODY_ELSE])
def a_whole_range(lab: Lab) -> None:
    """As in the chapter: it maps the clerk too, to another."""
    write_map(humble(lab), f"0 {variant('02.5').uid} 1000")


@wrong("02.5", fails=NOBODY_ELSE, hint="says how many")
def more_than_two(lab: Lab) -> None:
    own = variant("02.5")
    write_map(humble(lab), f"0 {own.uid} 9\\n{own.clerk} {own.clerk_uid} 1")


@wrong("02.5", fails=[USER, MAPPED, CLERK, NOBODY_ELSE])
def a_child_and_not_the_first(lab: Lab) -> None:
    lab.run("toolbox", ["sh", "-c", "unshare --user sleep 600 & wait"], name="humble", **WORKBENCH)


@right("02.5")
def written_by_the_container_itself(lab: Lab) -> None:
    """By a process that waits outside of the new namespace: it may write, and then goes."""
    waits = "while [ $(readlink /proc/self/ns/user) = $(readlink /proc/1/ns/user) ]; do :; done"
    write = f"printf '{_map()}' >/proc/1/uid_map"
    both = f"({waits}; {write}) & exec unshare --user sleep infinity"
    made = lab.run("toolbox", ["sh", "-c", both], name="humble", **WORKBENCH)
    made.wait_until(lambda: bool(made.id_maps()[0].ranges), what="a map")


@right("02.5")
def the_clerk_first(lab: Lab) -> None:
    own = variant("02.5")
    docker(lab, "run", "-d", "--name", "humble", "--cap-add", "SYS_ADMIN", "--security-opt",
           "seccomp=unconfined", "--security-opt", "apparmor=unconfined", "labkit/toolbox",
           "unshare", "-U", "sleep", "1000")  # fmt: skip
    made = lab.container("humble")
    made.wait_until(lambda: made.namespaces().relation("user") == "its own", what="a new user ns")
    write_map(made, f"{own.clerk} {own.clerk_uid} 1\\n0 {own.uid} 1")


def humble(lab: Lab) -> Container:
    made = lab.run("toolbox", "unshare --user sleep infinity", name="humble", **WORKBENCH)
    made.wait_until(lambda: made.namespaces().relation("user") == "its own", what="a new user ns")
    return made


def write_map(container: Container, lines: str) -> None:
    line = f"printf '{lines}' >/proc/{container.pid}/uid_map"
    done = container.engine.host.run(["sh", "-c", line])
    assert done.exit_code == 0, done


TOGETHER = "all three are in one network"
SERVES = "web serves in it"
NOT_THE_HOSTS = "it is not the host's"


@right("02.6")
def both_guests_by_the_command_line(lab: Lab) -> None:
    docker(lab, "restart", "-t", "0", "web", "watch")


@right("02.6")
def the_guests_made_anew(lab: Lab) -> None:
    docker(lab, "rm", "-f", "web", "watch")
    docker(lab, "run", "-d", "--name", "web", "--network", "container:hold", "labkit/toolbox",
           "python3", "-m", "http.server", "80")  # fmt: skip
    lab.run("base", name="watch", network="container:hold")
    web = lab.container("web")
    web.wait_until(lambda: 80 in web.served(), what="the server")


@right("02.6")
def hold_moves_in_with_web(lab: Lab) -> None:
    docker(lab, "rm", "-f", "hold", "watch")
    for name in ("hold", "watch"):
        lab.run("base", name=name, network="container:web")


@wrong("02.6", fails=TOGETHER, hint="joins its owner when it starts")
def nothing_was_done(lab: Lab) -> None:
    pass


@wrong("02.6", fails=TOGETHER, hint="joins its owner when it starts")
def the_owner_once_more(lab: Lab) -> None:
    lab.container("hold").restart(timeout=0)


@wrong("02.6", fails=SERVES)
def web_that_does_not_serve(lab: Lab) -> None:
    docker(lab, "rm", "-f", "web")
    lab.run("base", name="web", network="container:hold")
    lab.container("watch").restart(timeout=0)


@wrong("02.6", fails=SERVES, hint="every address")
def web_serves_elsewhere(lab: Lab) -> None:
    web_anew(lab, "httpd", "-f", "-p", f"{lab.container('hold').address()}:80")
    web = lab.container("web")
    web.wait_until(lambda: 80 in web.served(), what="the server")


@wrong("02.6", fails=SERVES, hint="docker unpause")
def web_stands_still(lab: Lab) -> None:
    docker(lab, "restart", "-t", "0", "web", "watch")
    web = lab.container("web")
    web.wait_until(lambda: 80 in web.served(), what="the server")
    web.pause()


@wrong("02.6", fails=[TOGETHER, SERVES, NOT_THE_HOSTS], hint="cannot start again")
def the_owner_made_anew(lab: Lab) -> None:
    """Who was its guest can be started no more, and ends when it is restarted."""
    docker(lab, "rm", "-f", "hold")
    lab.run("base", name="hold")
    with suppress(subprocess.CalledProcessError):
        docker(lab, "restart", "-t", "0", "web", "watch")


@wrong("02.6", fails=[SERVES, NOT_THE_HOSTS], hint="everybody else")
def where_everybody_is(lab: Lab) -> None:
    """Without a server: port 80 of the host may be somebody's."""
    docker(lab, "rm", "-f", "hold", "web", "watch")
    for name in ("hold", "web", "watch"):
        lab.run("base", name=name, network="host")


def web_anew(lab: Lab, *command: str) -> None:
    docker(lab, "rm", "-f", "web")
    docker(lab, "run", "-d", "--name", "web", "--network", "container:hold", "labkit/base",
           *command)  # fmt: skip
    lab.container("watch").restart(timeout=0)


POD_NET = "the three have one network, held by pod"
POD_IPC = "they have one set of letterboxes, held by pod, with your queue in it"
POD_SERVES = "shop serves at your port"
POD_IDLE = "pod does nothing but hold"
POD_PORTS = "no port is published"
POD_OWN = "network and letterboxes are nobody else's"
MEMBER: dict[str, Any] = {"network": "container:pod", "ipc_mode": "container:pod"}


def _pod(lab: Lab, **options: Any) -> None:
    lab.run("base", name="pod", **{"ipc_mode": "shareable", **options})


def _members(lab: Lab, **options: Any) -> None:
    own, member = variant("02.7"), {**MEMBER, **options}
    lab.run("base", ["sh", "-c", f"touch /dev/mqueue/{own.queue}; httpd -f -p {own.port}"],
            name="shop", **member)  # fmt: skip
    lab.run("base", name="post", **member)
    _wait_served(lab)


def _wait_served(lab: Lab) -> None:
    shop = lab.container("shop")
    shop.wait_until(lambda: variant("02.7").port in shop.served(), what="the server")


@right("02.7")
def a_pod_by_the_command_line(lab: Lab) -> None:
    own, run = variant("02.7"), ["run", "-d", "--name"]
    member = ["--network", "container:pod", "--ipc", "container:pod"]
    docker(lab, *run, "pod", "--network", "none", "--ipc", "shareable", "labkit/toolbox")
    docker(lab, *run, "shop", *member, "labkit/toolbox", "python3", "-m", "http.server",
           str(own.port), "--bind", "127.0.0.1")  # fmt: skip
    docker(lab, *run, "post", *member, "labkit/base")
    docker(lab, "exec", "pod", "touch", f"/dev/mqueue/{own.queue}")
    _wait_served(lab)


@right("02.7")
def a_guest_of_a_guest(lab: Lab) -> None:
    """Who moves in with a member is where the holder is; and a member was restarted."""
    _pod(lab)
    _members(lab)
    lab.container("post").remove()
    docker(lab, "run", "-d", "--name", "post", "--network", "container:shop", "--ipc",
           "container:pod", "labkit/base")  # fmt: skip
    lab.container("shop").restart(timeout=0)
    _wait_served(lab)


@wrong("02.7", fails=POD_IPC, hint="`ipc_mode=`")
def one_network_and_three_sets_of_letterboxes(lab: Lab) -> None:
    _pod(lab)
    _members(lab, ipc_mode="private")


@wrong("02.7", fails=POD_IPC, hint="can make a queue")
def a_file_for_a_queue(lab: Lab) -> None:
    own = variant("02.7")
    _pod(lab)
    line = f"touch /dev/shm/{own.queue}; httpd -f -p {own.port}"
    lab.run("base", ["sh", "-c", line], name="shop", **MEMBER)
    lab.run("base", name="post", **MEMBER)
    _wait_served(lab)


@wrong("02.7", fails=POD_IPC, hint="can make a queue")
def another_file_system_for_the_queues(lab: Lab) -> None:
    own = variant("02.7")
    _pod(lab)
    lab.run("base", f"httpd -f -p {own.port}", name="shop", **MEMBER)
    line = f"touch /dev/mqueue/{own.queue}; sleep 1000"
    lab.run("base", ["sh", "-c", line], name="post", tmpfs={"/dev/mqueue": "size=1m"}, **MEMBER)
    _wait_served(lab)


@wrong("02.7", fails=[POD_NET, POD_IPC], hint="started again since")
def the_holder_was_restarted(lab: Lab) -> None:
    _pod(lab)
    _members(lab)
    lab.container("pod").restart(timeout=0)


@wrong("02.7", fails=[POD_NET, POD_IPC, POD_OWN], hint="nobody's guest")
def the_server_holds(lab: Lab) -> None:
    own = variant("02.7")
    line = f"touch /dev/mqueue/{own.queue}; httpd -f -p {own.port}"
    lab.run("base", ["sh", "-c", line], name="shop", ipc_mode="shareable")
    for name in ("pod", "post"):
        lab.run("base", name=name, network="container:shop", ipc_mode="container:shop")
    _wait_served(lab)


@wrong("02.7", fails=[POD_NET, POD_IPC, POD_OWN], hint="holder is nobody's guest")
def all_in_the_host(lab: Lab) -> None:
    own = variant("02.7")
    host: dict[str, Any] = {"network": "host", "ipc_mode": "host"}
    for name in ("pod", "post"):
        lab.run("base", name=name, **host)
    line = f"touch /dev/mqueue/{own.queue}; httpd -f -p {own.port}"
    lab.run("base", ["sh", "-c", line], name="shop", **host)
    _wait_served(lab)
    docker(lab, "exec", "pod", "rm", f"/dev/mqueue/{own.queue}")


@wrong("02.7", fails=POD_SERVES, hint="httpd -f -p")
def it_serves_at_the_usual_port(lab: Lab) -> None:
    _pod(lab)
    line = f"touch /dev/mqueue/{variant('02.7').queue}; httpd -f -p 80"
    shop = lab.run("base", ["sh", "-c", line], name="shop", **MEMBER)
    lab.run("base", name="post", **MEMBER)
    shop.wait_until(shop.served, what="the server")


@wrong("02.7", fails=[POD_SERVES, POD_IDLE], hint="let a member serve")
def the_holder_serves(lab: Lab) -> None:
    own = variant("02.7")
    pod = lab.run("base", f"httpd -f -p {own.port}", name="pod", ipc_mode="shareable")
    lab.run("base", name="shop", **MEMBER)
    lab.run("base", ["sh", "-c", f"touch /dev/mqueue/{own.queue}; sleep 999"], name="post",
            **MEMBER)  # fmt: skip
    pod.wait_until(pod.served, what="the server")


@wrong("02.7", fails=POD_PORTS, hint="without `ports=`")
def a_port_is_published(lab: Lab) -> None:
    _pod(lab, ports=[variant("02.7").port])
    _members(lab)


WORD, AS_IT_WAS = "the word in the file underneath", "vault sees what it saw"


@right("02.8")
def underneath_in_a_host_cell(lab: Lab) -> None:
    place = variant("02.8").place
    look = f"nsenter --target $vault --mount unshare --mount sh -c 'umount {place}; cat {place}/*'"
    with redirect_stdout(StringIO()) as told:
        on_host("", look)
    answer("02.8", word=told.getvalue())


@right("02.8")
def moved_aside_and_back(lab: Lab) -> None:
    place, vault = variant("02.8").place, lab.container("vault")
    line = f"mount -o move {place} /tmp; cat {place}/word; mount -o move /tmp {place}"
    told = lab.engine.host.run(["sh", "-c", line], pid=vault.pid, namespaces=["mnt"])
    answer("02.8", word=told.stdout)


@right("02.8")
def by_a_helper_with_the_rights(lab: Lab) -> None:
    place = variant("02.8").place
    helper = lab.run("toolbox", name="helper", pid_mode="container:vault",
                     cap_add=["SYS_ADMIN", "SYS_PTRACE"],
                     security_opt=["seccomp=unconfined", "apparmor=unconfined"])  # fmt: skip
    inner = f"umount {place}; cat {place}/word"
    told = helper.exec(["nsenter", "-t", "1", "--mount", "unshare", "--mount", "sh", "-c", inner])
    answer("02.8", word=told.stdout.strip())


@wrong("02.8", fails=WORD)
def nobody_looked(lab: Lab) -> None:
    pass


@wrong("02.8", fails=WORD)
def the_note_on_top(lab: Lab) -> None:
    answer(
        "02.8", word=lab.container("vault").exec(["cat", f"{variant('02.8').place}/note"]).stdout
    )


@wrong("02.8", fails=AS_IT_WAS, hint="change a copy")
def taken_away_for_all(lab: Lab) -> None:
    place, vault = variant("02.8").place, lab.container("vault")
    lab.engine.host.run(["umount", place], pid=vault.pid, namespaces=["mnt"])
    answer("02.8", word=vault.exec(["cat", f"{place}/word"]).stdout)


@wrong("02.8", fails=[WORD, AS_IT_WAS], hint="sets it anew")
def vault_was_restarted(lab: Lab) -> None:
    lab.container("vault").restart(timeout=0)
    answer("02.8", word=42)


AHEAD = "its uptime is ahead by your days"
CGROUP = "it has a cgroup namespace of its own"
SAME_ROOT = "its root is that of moved"


def _moved(lab: Lab, options: str, *, front: str = "", rights: Sequence[str] = ()) -> Container:
    own = variant("02.9")
    line = f"{front} unshare {options} sleep {own.seconds} & wait"
    moved = lab.run("toolbox", ["sh", "-c", line], name="moved", cgroupns="private",
                    cap_add=["SYS_ADMIN", "SYS_TIME", *rights],
                    security_opt=["seccomp=unconfined", "apparmor=unconfined"])  # fmt: skip
    return _asleep(moved)


def _asleep(moved: Container) -> Container:
    wanted = str(variant("02.9").seconds)
    moved.wait_until(
        lambda: any(p.comm == "sleep" and p.cmdline[-1] == wanted for p in moved.processes()),
        what="the program",
    )
    return moved


def _ahead(days: int = 0) -> str:
    return f"--time --boottime {(days or variant('02.9').days) * 86_400} --fork"


@right("02.9")
def by_exec_and_in_two_steps(lab: Lab) -> None:
    own = variant("02.9")
    docker(lab, "run", "-d", "--name", "moved", "--cap-add", "SYS_ADMIN", "--cap-add", "SYS_TIME",
           "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
           "labkit/toolbox")  # fmt: skip
    docker(lab, "exec", "-d", "moved", "unshare", "-C", "unshare", "--time", "--boottime",
           str(own.days * 86_400), "--monotonic", "77", "--fork", "--pid", "/bin/sleep",
           str(own.seconds))  # fmt: skip
    _asleep(lab.container("moved"))


@right("02.9")
def with_another_that_is_not_ahead(lab: Lab) -> None:
    moved = _moved(lab, f"--cgroup {_ahead()}", front=f"sleep {variant('02.9').seconds} &")
    moved.wait_until(lambda: sum(p.comm == "sleep" for p in moved.processes()) == 2, what="both")


@wrong("02.9", fails=SAME_ROOT, hint="leave out `--user`")
def as_in_the_chapter(lab: Lab) -> None:
    _moved(lab, f"--user --map-root-user --cgroup {_ahead()}")


@wrong("02.9", fails=AHEAD, hint="86,400")
def in_hours(lab: Lab) -> None:
    _moved(lab, f"--cgroup --time --boottime {variant('02.9').days * 24} --fork")


@wrong("02.9", fails=AHEAD, hint="86,400")
def the_other_clock(lab: Lab) -> None:
    options = f"--cgroup --time --monotonic {variant('02.9').days * 86_400} --fork"
    _moved(lab, options)


@wrong("02.9", fails=AHEAD, hint="with `--fork`")
def without_a_child(lab: Lab) -> None:
    _moved(lab, "--cgroup")


@wrong("02.9", fails=CGROUP, hint="several kinds at once")
def the_clock_alone(lab: Lab) -> None:
    _moved(lab, _ahead())


@wrong("02.9", fails=CGROUP, hint="first process itself")
def as_the_containers_command(lab: Lab) -> None:
    own = variant("02.9")
    moved = lab.run("toolbox", f"unshare --cgroup {_ahead()} sleep {own.seconds}", name="moved",
                    cap_add=["SYS_ADMIN", "SYS_TIME"],
                    security_opt=["seccomp=unconfined", "apparmor=unconfined"])  # fmt: skip
    _asleep(moved)


@wrong("02.9", fails=[AHEAD, CGROUP, SAME_ROOT], hint="counted elsewhere")
def another_number(lab: Lab) -> None:
    lab.run("toolbox", "sleep 1000", name="moved")


SIX = "your program has six namespaces of its own"
FIRST = "it is process 1"
OWN_PROC = "its /proc shows its own list"
CALLED = "its host name is the one that was given"
LOOP = "it reaches itself at 127.0.0.1"
BENCH = "the workbench is as it was"
ALL = [SIX, FIRST, OWN_PROC, CALLED, LOOP]
UNSHARE = "unshare --uts --ipc --net --cgroup --mount --pid --fork"
IN_PYTHON = """#!/usr/bin/env python3
import os, sys, subprocess, socket
name, *program = sys.argv[1:]
os.unshare(os.CLONE_NEWUTS | os.CLONE_NEWIPC | os.CLONE_NEWNET | os.CLONE_NEWCGROUP
           | os.CLONE_NEWNS | os.CLONE_NEWPID)
if child := os.fork():
    os.waitpid(child, 0)
    sys.exit()
socket.sethostname(name)
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True)
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
os.execvp(program[0], program)
"""


def _tried(script: str) -> None:
    piece("02.10").write(script)
    trial("02.10")


@right("02.10")
def a_piece_in_python(lab: Lab) -> None:
    _tried(IN_PYTHON)


@right("02.10")
def a_piece_from_another_editor(lab: Lab) -> None:
    """One namespace after the other, no line that names a shell, and Windows' ends of lines."""
    script = (
        "NAME=$1; shift\nexec unshare -u unshare -i unshare -n unshare -C unshare -m unshare -p -f "
        '--mount-proc sh -c "hostname $NAME; ip link set dev lo up; exec \\"\\$@\\"" sh "$@"\n'
    )
    file = piece("02.10").path
    file.parent.mkdir(parents=True)
    file.write_bytes(script.replace("\n", "\r\n").encode())
    trial("02.10")


@right("02.10")
def without_the_trial(lab: Lab) -> None:
    """By hand, in a workbench of one's own."""
    rights = ["--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--security-opt",
              "seccomp=unconfined", "--security-opt", "apparmor=unconfined"]  # fmt: skip
    docker(lab, "run", "-d", "--name", "bench", *rights, "labkit/toolbox")
    bench = lab.container("bench")
    for name, seconds in variant("02.10").boxes.items():
        line = f'hostname {name}; ip link set lo up; exec "$@"'
        docker(lab, "exec", "-d", "bench", *UNSHARE.split(), "--mount-proc", "sh", "-c", line, "sh",
               "sleep", str(seconds))  # fmt: skip
        wanted = ("sleep", str(seconds))
        bench.wait_until(
            lambda wanted=wanted: any(  # type: ignore[misc]
                p.cmdline == wanted and p.comm == "sleep" for p in bench.processes()
            ),
            what="the program",
        )


@wrong("02.10", fails=ALL, hint="shows what your piece says")
def it_ends_at_once(lab: Lab) -> None:
    _tried("#!/bin/sh\necho no\n")


@wrong("02.10", fails=ALL)
def it_only_becomes_the_program(lab: Lab) -> None:
    _tried('#!/bin/sh\nshift; exec "$@"\n')


@wrong("02.10", fails=FIRST, hint="exec")
def a_shell_stays_in_front(lab: Lab) -> None:
    _tried(f"""#!/bin/sh
        {UNSHARE} --mount-proc sh -c 'hostname "$0"; ip link set lo up; "$@"; true' "$@" """)


@wrong("02.10", fails=OWN_PROC, hint="mounted anew")
def with_the_old_proc(lab: Lab) -> None:
    _tried(f"""#!/bin/sh
        exec {UNSHARE} sh -c 'hostname "$0"; ip link set lo up; exec "$@"' "$@" """)


@wrong("02.10", fails=[SIX, CALLED, BENCH], hint="and not before")
def named_too_early(lab: Lab) -> None:
    _tried(f"""#!/bin/sh
        hostname "$1"
        exec {UNSHARE.replace("--uts", "")} --mount-proc \\
            sh -c 'ip link set lo up; exec "$@"' "$@" """)


@wrong("02.10", fails=[*ALL, BENCH], hint="and not before")
def a_new_proc_for_all(lab: Lab) -> None:
    """Without a mnt namespace: where runc is the runtime, nothing can be started there any more."""
    _tried(f"""#!/bin/sh
        exec {UNSHARE.replace("--mount", "")} mount -t proc proc /proc""")


@wrong("02.10", fails=CALLED, hint="hostname")
def a_name_of_its_own(lab: Lab) -> None:
    _tried(f"""#!/bin/sh
        exec {UNSHARE} --mount-proc sh -c 'hostname box; ip link set lo up; exec "$@"' "$@" """)


@wrong("02.10", fails=LOOP, hint="plug it in")
def not_plugged_in(lab: Lab) -> None:
    _tried(f"""#!/bin/sh
        exec {UNSHARE} --mount-proc sh -c 'hostname "$0"; exec "$@"' "$@" """)


@wrong("02.10", fails=SIX, hint="an option for each kind")
def a_kind_was_forgotten(lab: Lab) -> None:
    _tried(f"""#!/bin/sh
        exec {UNSHARE.replace("--ipc", "")} --mount-proc \\
            sh -c 'hostname "$0"; ip link set lo up; exec "$@"' "$@" """)
