"""How the exercises of chapter 02 are judged: by the numbers of namespaces, read on the host."""

from collections.abc import Mapping
from random import Random
from typing import Any

from labkit.checks import HOST, Evidence, Exercise, Finding, made_from
from labkit.inspect import ConditionKind, Container, IdMap, Namespaces, read_interface_addresses


def no_keys(see: Evidence, name: str, why: str) -> Finding:
    """A container whose new programs get what those of any container get."""
    found = see.container(name).new_exec().beyond
    return Finding(
        passed=not found,
        expected="the rights and the devices of any container",
        observed=f"a new program in it gets {', '.join(found)}",
        hint=f"with that, {why}: `reset` it, and start it without",
    )


def stands_still(container: Container) -> bool:
    """It was paused, or a program of it was stopped: who listens in it does not answer."""
    still = any(process.state in set("Tt") for process in container.processes())
    return container.condition().kind is ConditionKind.PAUSED or still


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


@window.criterion("it sees the processes of the host", points=2)
def _(see: Evidence) -> Finding:
    own, host = see.namespaces("watcher"), see.namespaces(HOST)
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


@window.criterion("its network, its host name and its files are its own", guard=True)
def _(see: Evidence) -> Finding:
    shared = [
        f"its {kind} namespace is shared with {', '.join(others)}"
        for kind in ("net", "uts", "mnt")
        if (others := see.sharing("watcher", kind))
    ]
    folders = see.container("watcher").new_exec().folders
    return Finding(
        passed=not shared and not folders,
        expected="net, uts and mnt namespaces that nobody else is in, and no folder of the host's",
        observed="; ".join([*shared, *(f"it has the host's folder {one}" for one in folders)]),
        hint="one option is enough; `reset` it, and start it without the others",
    )


@window.criterion("it may look, and no more", guard=True)
def _(see: Evidence) -> Finding:
    return no_keys(see, "watcher", "whoever sees the host's processes can enter them")


@window.criterion("it was started from the image base", guard=True)
def _(see: Evidence) -> Finding:
    return made_from(see, "watcher", "base")


# --- 02.2 ------------------------------------------------------------------------------------

OPTION = {"net": "network", "pid": "pid_mode"}


def draw_plan(draw: Random) -> dict[str, Any]:
    second, third = draw.choice(["net", "pid"]), draw.choice(["net", "pid"])
    whom = draw.choice(["container:two", "host"])
    return {"two": {OPTION[second]: "container:one"}, "three": {OPTION[third]: whom}}


lists = Exercise(
    "02.2",
    "How many lists?",
    containers=["one", "two", "three"],
    answers=["net", "pid", "uts"],
    hints=[
        "Without options each container gets a namespace of each of these kinds. The host has one "
        "too: in a `%%host` cell it is in `/proc/$engine/ns`. What does your variant take away?",
        "`labkit.show.namespace_matrix(one, two, three)`: count the letters in a row.",
        "Sharing a network copies the host name. Is a copy the same namespace?",
    ],
    vary=draw_plan,
)


def members(see: Evidence) -> dict[str, Namespaces]:
    found = {name: see.namespaces(name) for name in ("one", "two", "three")}
    return found | {"host": see.namespaces(HOST)}


def planned(plan: Mapping[str, Mapping[str, str]], kind: str) -> dict[str, str]:
    """Whose namespace of this kind each of the four is in, by the variant."""
    owner = {name: name for name in ("host", "one", "two", "three")}
    for name in ("two", "three"):
        if whom := plan[name].get(OPTION.get(kind, "")):
            owner[name] = owner[whom.removeprefix("container:")]
    return owner


@lists.criterion("the three share what your variant says")
def _(see: Evidence) -> Finding:
    live, wrong = members(see), []
    for kind in (*OPTION, "uts"):
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
    @lists.criterion(
        f"your count of {kind} namespaces", guard=True
    )  # where there is a count to make
    def _(see: Evidence) -> Finding:
        given = see.number(kind)
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


@doctor.criterion("doctor sees the processes of app", points=2)
def _(see: Evidence) -> Finding:
    mine, app, host = (see.namespaces(name) for name in ("doctor", "app", HOST))
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


@doctor.criterion("doctor has a network of its own", guard=True)
def _(see: Evidence) -> Finding:
    mine = see.namespaces("doctor")["net"]
    shared = see.sharing("doctor", "net")
    if "app" not in shared and see.namespaces("app")["net"] == mine:
        shared.append("app")  # which has moved in with doctor: it can listen in all the same
    return Finding(
        passed=not shared,
        expected="a net namespace that nobody else is in",
        observed=f"doctor shares the network of {' and '.join(shared)}",
        hint="start doctor without `network=`: then the engine makes a new one",
    )


@doctor.criterion("doctor cannot enter another's", guard=True)
def _(see: Evidence) -> Finding:
    return no_keys(see, "doctor", "it can walk into the network of app, `nsenter` is enough")


@doctor.criterion("the host's processes stay out of sight", guard=True)
def _(see: Evidence) -> Finding:
    host = see.namespaces(HOST)["pid"]
    inside = [name for name in ("doctor", "app") if see.namespaces(name)["pid"] == host]
    return Finding(
        passed=not inside,
        expected="neither doctor nor app is in the pid namespace of the host",
        observed=f"{' and '.join(inside)} can see every process of the host",
        hint='share the pid namespace of one container, not that of the host: no `pid_mode="host"`',
    )


@doctor.criterion("app serves", guard=True)
def _(see: Evidence) -> Finding:
    app = see.container("app")
    ports, stands = app.served(), stands_still(app)
    if ports and stands:
        observed = "its program stands still"
        hint = f"let it run on. {app.condition().advice}".strip()
    else:
        observed = "no process of app listens on a TCP port"
        hint = "start app with a server as its command: `httpd -f -p 80` will do"
    return Finding(
        passed=bool(ports) and not stands,
        expected="a program of app that listens on a TCP port",
        observed=observed,
        hint=hint,
    )


# --- 02.4 ------------------------------------------------------------------------------------

door = Exercise(
    "02.4",
    "By the side door",
    containers=["box", "door"],  # the helper of the solution: `reset` removes it too
    hints=[
        "`box` may not. But the right to change a network counts where it is used, and a process "
        "with that right can stand in the network of `box`.",
        "From the host, as the chapter's `curl` did: a `%%host` cell, and `nsenter` into one kind. "
        "Or with a second container.",
        'A `toolbox` with `network="container:box"` and `cap_add=["NET_ADMIN"]` may do it: '
        "`ip address add ADDRESS/32 dev lo`.",
    ],
    vary=lambda draw: {
        "address": f"10.{draw.randint(1, 99)}.{draw.randint(1, 254)}.{draw.randint(1, 254)}"
    },
)


@door.criterion("lo in the network of box has your address", points=2)
def _(see: Evidence) -> Finding:
    wanted, box = see.variant["address"], see.container("box")
    found = read_interface_addresses(see.host, box.pid)
    has = sorted(f"{address} on {name}" for name, all in found.items() for address in all)

    def diagnose() -> str:
        if any(wanted in addresses for addresses in found.values()):
            return "that is the address, on another interface: take `dev lo`"
        if wanted in box.local_addresses():
            return "it is local there, and no interface has it: `ip address add ADDRESS/32 dev lo`"
        for one in see.containers():
            if one.condition().is_up and wanted in one.local_addresses():
                return f"it is in the network of {one.name}, which is not that of box: see `net`"
        if others := [one for one in found.get("lo", ()) if one != "127.0.0.1"]:
            return f"{others[0]} is not the one that you were given: see `variant`"
        return "a process that has NET_ADMIN must run `ip address add` in the net namespace of box"

    return Finding(
        passed=wanted in found.get("lo", ()),
        expected=f"{wanted} on lo",
        observed=", ".join(has) or "no address",
        diagnose=diagnose,
    )


@door.criterion("box was given no right to do it itself", guard=True)
def _(see: Evidence) -> Finding:
    found = list(see.container("box").new_exec().beyond)
    found += [f"the {kind} namespace of the host" for kind in ("pid", "ipc", "uts")
              if HOST in see.sharing("box", kind)]  # fmt: skip
    return Finding(
        passed=not found,
        expected="nothing for a new program in box that not any container gets",
        observed=f"it gets {', '.join(found)}",
        hint="start box without options; let somebody else who has the right walk in",
    )


@door.criterion("box has a network of its own", guard=True)
def _(see: Evidence) -> Finding:
    shared = see.sharing("box", "net")
    return Finding(
        passed=not shared,
        expected="a net namespace that box was not invited into",
        observed=f"box is in the network of {' and '.join(shared)}",
        hint="start it without `network=`; whoever helps moves in with box, not box with them",
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
        "Then, in a cell with `%%host`: `echo 0 NUMBER 1 >/proc/$humble/uid_map`. A map can be "
        "written once.",
    ],
    vary=lambda draw: {"uid": draw.randint(20_000, 60_000)},
)


@humble.criterion("its first process is in a user namespace of its own")
def _(see: Evidence) -> Finding:
    shared = see.sharing("humble", "user")
    return Finding(
        passed=not shared,
        expected="a user namespace that nobody else is in",
        observed=f"it is in that of {' and '.join(shared[:3])}",
        hint="`user=` only chooses a number, in the same namespace; the command must begin with "
        "`unshare --user`",
    )


@humble.criterion("root inside is your number outside", points=2)
def _(see: Evidence) -> Finding:
    uids: IdMap = see.container("humble").id_maps()[0]
    root, wanted = uids.to_outside(0), see.variant["uid"]
    if root is None and not uids.ranges:
        observed, hint = "no map was written", f"write `0 {wanted} 1` into /proc/$humble/uid_map"
    elif root is None:
        observed = "0 is not mapped at all"
        hint = f"a map can be written once: `reset`, and write `0 {wanted} 1`, inside first"
    elif root == 0:
        observed, hint = "0 is 0: root outside too", "give it a user namespace with a map of yours"
        if not see.sharing("humble", "user"):  # as `unshare --map-root-user` writes it
            hint = "its map is written, and stays: `reset`, start it without one, and write yours"
    else:
        observed, hint = f"0 is {root}", "a map can be written once: `reset`, and write yours"
    return Finding(passed=root == wanted, expected=f"0 is {wanted}", observed=observed, hint=hint)


# --- 02.6 ------------------------------------------------------------------------------------

pod = Exercise(
    "02.6",
    "Nobody answers",
    containers=["hold", "web", "watch"],
    hints=[
        "All are running, and one does not reach another at `127.0.0.1`. What did the chapter say "
        "of which proof there is?",
        "Compare three numbers in a `%%host` cell: `readlink /proc/$hold/ns/net /proc/$web/ns/net "
        "/proc/$watch/ns/net`. Which of them is alone?",
        "A guest who is not where `hold` is, is in a network that `hold` has left. It looks for "
        "its owner's network when it starts: `docker restart -t 0` and the name of the guest.",
    ],
    vary=lambda draw: {"_restarted": draw.choice(["web", "watch"])},
    scene=True,
)
MEMBERS = ("hold", "web", "watch")
ANEW = (
    "make it anew, as a guest of hold: `--network container:hold`; or begin again, with "
    '`scene("02.6")`'
)


@pod.criterion("all three are in one network", points=2)
def _(see: Evidence) -> Finding:
    modes = {name: see.container(name).inspect()["HostConfig"]["NetworkMode"] for name in MEMBERS}
    owners = {
        name: mode.removeprefix("container:")
        for name, mode in modes.items()
        if mode.startswith("container:")
    }
    there = {one.id for one in see.containers()}
    left = [name for name, owner in owners.items() if owner not in there]
    if ended := [name for name in left if not see.container(name).condition().is_up]:
        seen = f"{ended[0]} has ended, and the container whose guest it was is gone"
        return Finding(False, f"{ended[0]} is running", seen, f"it cannot start again: {ANEW}")
    where = {name: see.namespaces(name)["net"] for name in MEMBERS}
    counts = {name: list(where.values()).count(net) for name, net in where.items()}
    alone = [name for name, count in counts.items() if count == 1]
    observed = "one of them is in another" if len(alone) == 1 else "each is in another"

    def diagnose() -> str:
        for name in MEMBERS[1:] if "hold" in alone else alone:
            if name in left:
                return f"the container whose guest {name} was is gone; {ANEW}"
            if name not in owners and len(owners) < len(MEMBERS) - 1:
                return f"{name} is nobody's guest; {ANEW}"
        return (
            "a guest joins its owner when it starts. Which of them started when? The numbers in "
            "/proc/NUMBER/ns tell who is together: `hint` says how to read them"
        )

    return Finding(
        passed=not alone,
        expected="hold, web and watch in one net namespace",
        observed=observed,
        diagnose=diagnose,
    )


@pod.criterion("web serves in it", guard=True)
def _(see: Evidence) -> Finding:
    web = see.container("web")
    serves, stands = 80 in web.served(loopback=True), stands_still(web)
    if serves:
        observed = "its program stands still"
        hint = f"let it run on. {web.condition().advice}".strip()
    elif 80 in web.served():
        observed = "one does, and is not reached at 127.0.0.1"
        hint = "let it listen at every address, as `httpd -f -p 80` does"
    else:
        observed = "none does"
        hint = '`scene("02.6")` sets it up anew, with the server that belongs in it'
    return Finding(
        passed=serves and not stands,
        expected="a program of web that listens on port 80, where 127.0.0.1 reaches it",
        observed=observed,
        hint=hint,
    )


@pod.criterion("it is not the host's", guard=True)
def _(see: Evidence) -> Finding:
    inside = [n for n in MEMBERS if see.namespaces(n)["net"] == see.namespaces(HOST)["net"]]
    return Finding(
        passed=not inside,
        expected="a net namespace of the pod's own",
        observed=f"the host's network has {' and '.join(inside)} in it",
        hint="there they meet, and everybody else too; `reset`, and let the guests join hold",
    )
