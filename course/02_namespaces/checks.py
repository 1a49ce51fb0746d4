"""How the exercises of chapter 02 are judged: by the numbers of namespaces, read on the host."""

from collections.abc import Mapping
from random import Random
from typing import Any

from labkit.checks import Evidence, Exercise, Finding
from labkit.inspect import IdMap, Namespaces, read_namespaces, read_namespaces_of


def of_host(see: Evidence) -> Namespaces:
    return read_namespaces(see.host, see.host.anchor)


def of(see: Evidence, name: str) -> Namespaces:
    return read_namespaces(see.host, see.container(name).pid)


# --- 02.1 ------------------------------------------------------------------------------------

window = Exercise(
    "02.1",
    "A window in the wall",
    containers=["watcher"],
    hints=[
        "Process numbers are the business of one kind of namespace. Which one?",
        "`lab.run` hands every option on to the engine; the one you need is `pid_mode`.",
        '`pid_mode="container:web"` shares with a container. With whom does `pid_mode="host"`?',
    ],
)


@window.criterion("it sees the processes of the host", points=2, steady=True)
def _(see: Evidence) -> Finding:
    own, host = of(see, "watcher"), of_host(see)
    other = sorted(own.shared_with(host) & {"net", "ipc", "uts"})
    return Finding(
        passed=own["pid"] == host["pid"],
        expected="watcher is in the pid namespace of the host",
        observed="it is in another pid namespace"
        + (f", and shares {', '.join(other)} with the host" if other else ""),
        hint=f"`reset` it: that option shares the {other[0]} namespace; the pid namespace, which "
        "holds the process numbers, has an option of its own"
        if other
        else '`reset("02.1")`, and start it again with `pid_mode="host"`: then it gets no new one',
    )


@window.criterion("its network, its host name and its files are its own")
def _(see: Evidence) -> Finding:
    shared = sorted(of(see, "watcher").shared_with(of_host(see)) & {"net", "uts", "mnt"})
    return Finding(
        passed=not shared,
        expected="net, uts and mnt namespaces other than those of the host",
        observed=f"it shares {', '.join(shared)} with the host",
        hint="one option is enough; `reset` it, and start it without the other",
    )


# --- 02.2 ------------------------------------------------------------------------------------

OPTION = {"net": "network", "pid": "pid_mode"}


def draw_plan(draw: Random) -> dict[str, Any]:
    second, third = draw.choice(["net", "pid"]), draw.choice(["net", "pid"])
    whom = draw.choice(["container:two", "host"])
    return {"two": {OPTION[second]: "container:one"}, "three": {OPTION[third]: whom}}


rooms = Exercise(
    "02.2",
    "How many rooms?",
    containers=["one", "two", "three"],
    answers=["net", "pid", "uts"],
    hints=[
        "Without options each container gets a namespace of each of these kinds. The host has one "
        "too. What does your variant take away from four?",
        "`labkit.show.namespace_matrix(one, two, three)`: count the letters in a row.",
        "Sharing a network copies the host name. Is a copy the same namespace?",
    ],
    vary=draw_plan,
)


def members(see: Evidence) -> dict[str, Namespaces]:
    pids = {name: see.container(name).pid for name in ("one", "two", "three")}
    pids["host"] = see.host.anchor
    found = read_namespaces_of(see.host, pids.values())
    return {name: found[pid] for name, pid in pids.items()}


def planned(plan: Mapping[str, Mapping[str, str]], kind: str) -> dict[str, str]:
    """Whose namespace of this kind each of the four is in, by the variant."""
    owner = {name: name for name in ("host", "one", "two", "three")}
    for name in ("two", "three"):
        if whom := plan[name].get(OPTION[kind]):
            owner[name] = owner[whom.removeprefix("container:")]
    return owner


@rooms.criterion("the three share what your variant says")
def _(see: Evidence) -> Finding:
    live, wrong = members(see), []
    for kind in OPTION:
        owner = planned(see.variant, kind)
        for a, b in (("two", "one"), ("three", "two"), ("three", "one"), ("one", "host"),
                     ("two", "host"), ("three", "host")):  # fmt: skip
            shared = live[a][kind] == live[b][kind]
            if shared != (owner[a] == owner[b]):
                wrong.append(f"{a} and {b} {'share' if shared else 'do not share'} {kind}")
    return Finding(
        passed=not wrong,
        expected=f"two: {see.variant['two']}, three: {see.variant['three']}, one: nothing",
        observed="; ".join(wrong),
        hint='`reset("02.2")`; then `lab.run("base", name="two", **variant("02.2").two)`',
    )


def count(kind: str) -> None:
    @rooms.criterion(f"your count of {kind} namespaces")
    def _(see: Evidence) -> Finding:
        given = see.answer(kind)
        live = len({one[kind] for one in members(see).values()})
        hint = f"in `namespace_matrix(one, two, three)`, count the letters of the row {kind}"
        if given == live - 1:
            hint = "count the host too; and that two names are equal does not make them one"
        return Finding(
            passed=given == live,
            expected=f"how many different {kind} namespaces the kernel has for these four",
            observed=f"your answer, {given!r}, is not that",
            hint=hint,
        )


for each in ("net", "pid", "uts"):
    count(each)


# --- 02.3 ------------------------------------------------------------------------------------

doctor = Exercise(
    "02.3",
    "A doctor who may look and not listen",
    containers=["doctor", "app"],
    hints=[
        "Two kinds of namespaces matter here: one must be shared, one must not.",
        "`sidecar` and `debug` in the chapter each share one kind. Which is the doctor?",
        "`pid_mode=` takes `container:` and the name of the container whose processes to see.",
    ],
)


@doctor.criterion("doctor sees the processes of app", points=2, steady=True)
def _(see: Evidence) -> Finding:
    if see.container("doctor").exit_code == 137 and see.container("app").status == "running":
        return Finding(
            passed=False,
            expected="one pid namespace for both",
            observed="doctor was killed: process 1 of the namespace it was in has ended",
            hint="start doctor again, after app: it goes where app is now",
        )
    mine, app, host = of(see, "doctor"), of(see, "app"), of_host(see)
    if mine["pid"] == host["pid"]:
        observed, hint = "doctor is in the host's", 'share with app: `pid_mode="container:app"`'
    else:
        also = "; they share a network" if mine["net"] == app["net"] else ""
        observed = f"doctor and app are in different ones{also}"
        hint = 'the option that shares process numbers is `pid_mode`: "container:app"'
    return Finding(
        passed=mine["pid"] == app["pid"],
        expected="one pid namespace for both",
        observed=observed,
        hint=hint,
    )


@doctor.criterion("doctor has a network of its own")
def _(see: Evidence) -> Finding:
    mine = of(see, "doctor")["net"]
    others = {"app": of(see, "app")["net"], "the host": of_host(see)["net"]}
    shared = [name for name, net in others.items() if net == mine]
    return Finding(
        passed=not shared,
        expected="a net namespace that neither app nor the host is in",
        observed=f"doctor shares the network of {' and '.join(shared)}",
        hint="start doctor without `network=`: then the engine makes a new one",
    )


@doctor.criterion("the host's processes stay out of sight")
def _(see: Evidence) -> Finding:
    host = of_host(see)["pid"]
    inside = [name for name in ("doctor", "app") if of(see, name)["pid"] == host]
    return Finding(
        passed=not inside,
        expected="neither doctor nor app is in the pid namespace of the host",
        observed=f"{' and '.join(inside)} can see every process of the host",
        hint='share the room of one container, not the whole house: no `pid_mode="host"`',
    )


# --- 02.4 ------------------------------------------------------------------------------------

door = Exercise(
    "02.4",
    "By the side door",
    containers=["box", "door"],  # the helper of the solution: `reset` removes it too
    hints=[
        "`box` may not. But the right to change a network counts where it is used, and a process "
        "with that right can stand in the network of `box`.",
        'From the host: `lab.engine.host.run([...], pid=box.pid, namespaces=["net"])`. '
        "Or with a second container.",
        'A `toolbox` with `network="container:box"` and `cap_add=["NET_ADMIN"]` may do it: '
        "`ip address add ADDRESS/32 dev lo`.",
    ],
    vary=lambda draw: {
        "address": f"10.{draw.randint(1, 99)}.{draw.randint(1, 254)}.{draw.randint(1, 254)}"
    },
)


@door.criterion("the network of box has your address", points=2, steady=True)
def _(see: Evidence) -> Finding:
    wanted, found = see.variant["address"], see.container("box").local_addresses()
    elsewhere = [
        one.name
        for one in see.containers()
        if one.name != "box" and one.status == "running" and wanted in one.local_addresses()
    ]
    if elsewhere:
        hint = f"it is in the network of {elsewhere[0]}, which is not that of box: compare `net`"
    else:
        hint = "a process that has NET_ADMIN must run `ip address add` in the net namespace of box"
    return Finding(
        passed=wanted in found,
        expected=wanted,
        observed=", ".join(sorted(found)) or "no address",
        hint=hint,
    )


@door.criterion("box was given no right to do it itself")
def _(see: Evidence) -> Finding:
    has = "cap_net_admin" in see.container("box").capabilities().bounding
    return Finding(
        passed=not has,
        expected="no NET_ADMIN among the capabilities of box",
        observed="box has NET_ADMIN",
        hint="start box without `cap_add`; let somebody else who has it walk in",
    )


@door.criterion("box has a network of its own")
def _(see: Evidence) -> Finding:
    return Finding(
        passed=of(see, "box")["net"] != of_host(see)["net"],
        expected="a net namespace that is not the host's",
        observed="box is in the network of the host",
        hint='start it without `network="host"`',
    )


# --- 02.5 ------------------------------------------------------------------------------------

humble = Exercise(
    "02.5",
    "A humble root",
    containers=["humble"],
    hints=[
        "Look at `boxed` in the chapter: first a user namespace, then its map.",
        "`unshare --user PROGRAM` as the container's command puts its first process into a new "
        "one. It takes the rights of the workbench: SYS_ADMIN, and no filters.",
        "Then, from the container, as root: `echo 0 NUMBER 1 > /proc/1/uid_map`. A map can be "
        "written once.",
    ],
    vary=lambda draw: {"uid": draw.randint(20_000, 60_000)},
)


@humble.criterion("its first process is in a user namespace of its own")
def _(see: Evidence) -> Finding:
    return Finding(
        passed=of(see, "humble")["user"] != of_host(see)["user"],
        expected="a user namespace that is not the host's",
        observed="it is in the host's",
        hint="`user=` only chooses a number, in the same namespace; the command must begin with "
        "`unshare --user`",
    )


@humble.criterion("root inside is your number outside", points=2)
def _(see: Evidence) -> Finding:
    uids: IdMap = see.container("humble").id_maps()[0]
    root, wanted = uids.to_outside(0), see.variant["uid"]
    if root is None:
        observed, hint = "0 is not mapped at all", f"write `0 {wanted} 1` into /proc/1/uid_map"
    elif uids.is_identity:
        observed, hint = "0 is 0: root outside too", "give it a user namespace, and a map, first"
    else:
        observed, hint = f"0 is {root}", "a map can be written once: `reset`, and write yours"
    return Finding(passed=root == wanted, expected=f"0 is {wanted}", observed=observed, hint=hint)
