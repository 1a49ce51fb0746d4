"""Wrong solutions of the exercises of chapter 02, and the criterion that must notice each."""

from typing import Any

from labkit import Container, Lab, answer, variant
from labkit.checks.catalog import mistake

WORKBENCH: dict[str, Any] = {
    "cap_add": ["SYS_ADMIN"],
    "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
}


@mistake("02.1", fails="it sees the processes of the host")
def no_window(lab: Lab) -> None:
    lab.run("base", name="watcher")


@mistake("02.1", fails="it sees the processes of the host")
def window_to_the_network(lab: Lab) -> None:
    lab.run("base", name="watcher", network="host")


@mistake("02.1", fails="it sees the processes of the host")
def window_to_the_neighbour(lab: Lab) -> None:
    lab.run("base", name="neighbour")
    lab.run("base", name="watcher", pid_mode="container:neighbour")


@mistake("02.1", fails="its network, its host name and its files are its own")
def too_many_windows(lab: Lab) -> None:
    lab.run("base", name="watcher", pid_mode="host", network="host")


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


@mistake("02.2", fails="the three share what your variant says")
def nobody_shares(lab: Lab) -> None:
    for name in ("one", "two", "three"):
        lab.run("base", name=name)
    answer("02.2", **right_counts())


@mistake("02.2", fails="your count of uts namespaces")
def equal_names_are_one_namespace(lab: Lab) -> None:
    as_planned(lab)
    answer("02.2", **{**right_counts(), "uts": 3})


@mistake("02.2", fails="your count of net namespaces")
def forgot_the_host(lab: Lab) -> None:
    as_planned(lab)
    answer("02.2", **{kind: number - 1 for kind, number in right_counts().items()})


@mistake("02.2", fails="your count of pid namespaces")
def predicted_and_not_counted(lab: Lab) -> None:
    as_planned(lab)
    counts = right_counts()
    answer("02.2", net=counts["net"], uts=counts["uts"])


@mistake("02.3", fails="doctor sees the processes of app")
def a_room_each(lab: Lab) -> None:
    lab.run("base", "httpd -f -p 80", name="app")
    lab.run("base", name="doctor")


@mistake("02.3", fails="doctor has a network of its own")
def the_ordinary_sidecar(lab: Lab) -> None:
    lab.run("base", "httpd -f -p 80", name="app")
    lab.run("base", name="doctor", network="container:app")


@mistake("02.3", fails="doctor has a network of its own")
def shares_both(lab: Lab) -> None:
    lab.run("base", "httpd -f -p 80", name="app")
    lab.run("base", name="doctor", network="container:app", pid_mode="container:app")


@mistake("02.3", fails="doctor sees the processes of app")
def sees_only_the_host(lab: Lab) -> None:
    lab.run("base", "httpd -f -p 80", name="app")
    lab.run("base", name="doctor", pid_mode="host")


@mistake("02.3", fails="the host's processes stay out of sight")
def both_see_the_host(lab: Lab) -> None:
    lab.run("base", "httpd -f -p 80", name="app", pid_mode="host")
    lab.run("base", name="doctor", pid_mode="host")


@mistake("02.3", fails="doctor sees the processes of app")
def app_was_restarted(lab: Lab) -> None:
    """The restart ends the room; doctor is killed with it."""
    app = lab.run("base", "httpd -f -p 80", name="app")
    doctor = lab.run("base", name="doctor", pid_mode="container:app")
    app.restart(timeout=0)
    doctor.wait_exit()


def add_address(container: Container, address: str) -> None:
    done = container.exec(f"ip address add {address}/32 dev lo")
    assert done.exit_code == 0, done


@mistake("02.4", fails="the network of box has your address")
def box_refuses(lab: Lab) -> None:
    box = lab.run("base", name="box")
    box.exec(f"ip address add {variant('02.4').address}/32 dev lo")


@mistake("02.4", fails="the network of box has your address")
def another_door(lab: Lab) -> None:
    lab.run("base", name="box")
    door = lab.run("toolbox", name="door", cap_add=["NET_ADMIN"])
    add_address(door, variant("02.4").address)


@mistake("02.4", fails="the network of box has your address")
def another_address(lab: Lab) -> None:
    lab.run("base", name="box")
    door = lab.run("toolbox", name="door", network="container:box", cap_add=["NET_ADMIN"])
    add_address(door, "10.200.0.1")


@mistake("02.4", fails="the network of box has your address")
def box_was_restarted(lab: Lab) -> None:
    """The address stays in the old network, with the helper."""
    box = lab.run("base", name="box")
    door = lab.run("toolbox", name="door", network="container:box", cap_add=["NET_ADMIN"])
    add_address(door, variant("02.4").address)
    box.restart(timeout=0)


@mistake("02.4", fails="box was given no right to do it itself")
def through_the_front(lab: Lab) -> None:
    box = lab.run("base", name="box", cap_add=["NET_ADMIN"])
    add_address(box, variant("02.4").address)


@mistake("02.4", fails="box has a network of its own")
def box_in_the_host(lab: Lab) -> None:
    lab.run("base", name="box", network="host")


@mistake("02.5", fails="its first process is in a user namespace of its own")
def only_another_user(lab: Lab) -> None:
    lab.run("toolbox", name="humble", user=str(variant("02.5").uid))


@mistake("02.5", fails="root inside is your number outside")
def without_a_map(lab: Lab) -> None:
    humble(lab)


@mistake("02.5", fails="root inside is your number outside")
def mapped_to_root(lab: Lab) -> None:
    lab.run("toolbox", "unshare --user --map-root-user sleep infinity", name="humble", **WORKBENCH)


@mistake("02.5", fails="root inside is your number outside")
def mapped_the_wrong_way_round(lab: Lab) -> None:
    write_map(humble(lab), f"{variant('02.5').uid} 0 1")


@mistake("02.5", fails="root inside is your number outside")
def mapped_to_the_next_one(lab: Lab) -> None:
    write_map(humble(lab), f"0 {variant('02.5').uid + 1} 1")


@mistake("02.5", fails="its first process is in a user namespace of its own")
def a_child_and_not_the_first(lab: Lab) -> None:
    lab.run("toolbox", ["sh", "-c", "unshare --user sleep 600 & wait"], name="humble", **WORKBENCH)


def humble(lab: Lab) -> Container:
    made = lab.run("toolbox", "unshare --user sleep infinity", name="humble", **WORKBENCH)
    made.wait_until(lambda: made.namespaces().relation("user") == "its own", what="a new user ns")
    return made


def write_map(container: Container, line: str) -> None:
    done = container.exec(["sh", "-c", f"echo {line} > /proc/1/uid_map"])
    assert done.exit_code == 0, done
