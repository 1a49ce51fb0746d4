"""How the exercises of chapter 02 are judged: by the numbers of namespaces, read on the host."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from labkit.checks import HOST, Evidence, Exercise, Finding, made_from
from labkit.inspect import (
    ConditionKind,
    Container,
    IdMap,
    Namespaces,
    Process,
    read_hostname,
    read_interface_addresses,
    read_namespaces,
    read_time_offsets,
)


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


def serves(see: Evidence, name: str, port: int, *, anew: str) -> Finding:
    """A container that serves at a port, where 127.0.0.1 reaches it; `anew`: how it would."""
    container = see.container(name)
    does, stands = port in container.served(loopback=True), stands_still(container)
    if does:
        observed = "its program stands still"
        hint = f"let it run on. {container.condition().advice}".strip()
    elif port in container.served():
        observed = "one does, and is not reached at 127.0.0.1"
        hint = f"let it listen at every address, as `httpd -f -p {port}` does"
    else:
        observed, hint = "none does", anew
    return Finding(
        passed=does and not stands,
        expected=f"a program of {name} that listens on port {port}, where 127.0.0.1 reaches it",
        observed=observed,
        hint=hint,
    )


def sleeping(container: Container, seconds: int) -> list[Process]:
    """The container's processes that run `sleep SECONDS`, by whatever path it was called."""
    return [
        process
        for process in container.processes()
        # The kernel names it by its file; its words are its own choice.
        if process.comm in ("sleep", "busybox", "coreutils")
        and process.cmdline[-1:] == (str(seconds),)
        and process.state not in "ZX"
    ]


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
        else "`reset` it, and start it with an option for process numbers: it gets no new list",
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
    containers=["doctor", "app", "desk"],
    hints=[
        "Two kinds of namespaces matter here: one must be shared by all three, one by none.",
        "`sidecar` and `debug` in the chapter each share one kind. Which is the doctor? But one "
        "process is in one namespace of each kind: doctor alone cannot be with both. Who else "
        "must move?",
        "`pid_mode=` takes `container:` and the name of the container whose processes to see; what "
        "doctor is given, `desk` can be given too.",
    ],
)
PATIENTS = ("app", "desk")


@doctor.criterion("doctor sees the processes of app and desk", points=2)
def _(see: Evidence) -> Finding:
    mine, host = see.namespaces("doctor")["pid"], see.namespaces(HOST)["pid"]
    theirs = {name: see.namespaces(name) for name in PATIENTS}
    unseen = [name for name, found in theirs.items() if found["pid"] != mine]
    nets = [name for name in PATIENTS if theirs[name]["net"] == see.namespaces("doctor")["net"]]
    if mine == host:
        observed, hint = "doctor is in the host's", "share with a container, and not with the host"
    elif len(unseen) == 1:
        observed = f"doctor and {unseen[0]} are in different ones"
        hint = f"who is in the right one already? {unseen[0]} must be started in that one, too"
    else:
        also = f"; it shares a network with {' and '.join(nets)}" if nets else ""
        observed = f"doctor is in one, and they are in others{also}"
        hint = (
            "process numbers are the business of one kind of namespace, with an option of its own"
        )
    return Finding(
        passed=not unseen,
        expected="one pid namespace for the three",
        observed=observed,
        hint=hint,
    )


@doctor.criterion("each has a network of its own", guard=True)
def _(see: Evidence) -> Finding:
    names = ("doctor", *PATIENTS)
    nets = {name: see.namespaces(name)["net"] for name in names}
    shared = {
        name: {*see.sharing(name, "net")} | {n for n in names if nets[n] == nets[name]} - {name}
        for name in names
    }
    told = [f"{name} with {' and '.join(sorted(who))}" for name, who in shared.items() if who]
    return Finding(
        passed=not told,
        expected="net namespaces that nobody else is in",
        observed=f"a network is shared: {'; '.join(told)}",
        hint="start it without `network=`: then the engine makes a new one",
    )


@doctor.criterion("doctor cannot enter another's", guard=True)
def _(see: Evidence) -> Finding:
    return no_keys(see, "doctor", "it can walk into another network, `nsenter` is enough")


@doctor.criterion("the host's processes stay out of sight", guard=True)
def _(see: Evidence) -> Finding:
    host = see.namespaces(HOST)["pid"]
    inside = [name for name in ("doctor", *PATIENTS) if see.namespaces(name)["pid"] == host]
    return Finding(
        passed=not inside,
        expected="none of the three is in the pid namespace of the host",
        observed=f"{' and '.join(inside)} can see every process of the host",
        hint="share the pid namespace of one container, not that of the host",
    )


@doctor.criterion("app and desk serve", guard=True)
def _(see: Evidence) -> Finding:
    for name in PATIENTS:
        one = see.container(name)
        ports, stands = one.served(), stands_still(one)
        if not ports or stands:
            return Finding(
                passed=False,
                expected=f"a program of {name} that listens on a TCP port",
                observed="its program stands still" if ports else f"no process of {name} listens",
                hint=f"let it run on. {one.condition().advice}".strip()
                if ports
                else f"start {name} with a server as its command: `httpd -f -p 80` will do",
            )
    return Finding(True, "", "")


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


def draw_ids(draw: Random) -> dict[str, int]:
    root, clerk = draw.sample(range(20_000, 60_000), 2)
    return {"uid": root, "clerk": draw.randint(100, 900), "clerk_uid": clerk}


humble = Exercise(
    "02.5",
    "A humble root",
    containers=["humble"],
    hints=[
        "Look at `boxed` in the chapter: first a user namespace, then its map. That one has a "
        "single line, of 500 numbers; yours needs two lines, of one number each.",
        "`unshare --user PROGRAM` as the container's command puts its first process into a new "
        "one. It takes the rights of the workbench: SYS_ADMIN, and no filters.",
        "A map can be written once, so both lines must be in one write: two `echo` will not do; "
        "`printf` can put a line end between them.",
        "In a cell with `%%host`, with your numbers: "
        "`printf '0 UID 1\\nCLERK CLERK_UID 1\\n' >/proc/$humble/uid_map`.",
    ],
    vary=draw_ids,
)


@humble.criterion("its first process is in a user namespace of its own")
def _(see: Evidence) -> Finding:
    shared = see.sharing("humble", "user")
    return Finding(
        passed=not shared,
        expected="a user namespace that nobody else is in",
        observed=f"it is in that of {' and '.join(shared[:3])}",
        hint="`user=` only chooses a number, in the same namespace; the first process must begin "
        "in a new one",
    )


def mapped(see: Evidence, inside: int, wanted: int) -> Finding:
    """Whether a user inside is a user outside."""
    uids: IdMap = see.container("humble").id_maps()[0]
    outside = uids.to_outside(inside)
    hint = "a map can be written once, with all its lines: `reset`, and write yours"
    if not uids.ranges:
        observed, hint = "no map was written", "the chapter writes one into /proc/$boxed/uid_map"
    elif outside is None:
        observed = f"{inside} is not mapped at all"
        hint += "; a line says first who it is inside"
    else:
        observed = f"{inside} is {outside}"
        if see.sharing("humble", "user"):
            hint = "give it a user namespace, with a map of yours"
        elif outside == 0:  # as `unshare --map-root-user` writes it
            hint = "its map is written, and stays: `reset`, start it without one, and write yours"
    expected = f"{inside} inside is {wanted} outside"
    return Finding(passed=outside == wanted, expected=expected, observed=observed, hint=hint)


@humble.criterion("root inside is your number outside", points=2)
def _(see: Evidence) -> Finding:
    return mapped(see, 0, see.variant["uid"])


@humble.criterion("the clerk inside is your other number outside", points=2)
def _(see: Evidence) -> Finding:
    return mapped(see, see.variant["clerk"], see.variant["clerk_uid"])


@humble.criterion("nobody else is mapped", guard=True)
def _(see: Evidence) -> Finding:
    uids = see.container("humble").id_maps()[0]
    count = sum(one.count for one in uids.ranges)
    return Finding(
        passed=count == 2,
        expected="a map of two numbers",
        observed=f"a map of {count:,}",
        hint="the last number of a line says how many; `reset`, and write yours",
    )


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
    return serves(see, "web", 80, anew='`scene("02.6")` sets it up anew, with the server in it')


@pod.criterion("it is not the host's", guard=True)
def _(see: Evidence) -> Finding:
    inside = [n for n in MEMBERS if see.namespaces(n)["net"] == see.namespaces(HOST)["net"]]
    return Finding(
        passed=not inside,
        expected="a net namespace of the pod's own",
        observed=f"the host's network has {' and '.join(inside)} in it",
        hint="there they meet, and everybody else too; `reset`, and let the guests join hold",
    )


# --- 02.7 ------------------------------------------------------------------------------------

TRIO = ("pod", "shop", "post")


def draw_pod(draw: Random) -> dict[str, Any]:
    letters = "".join(draw.sample("abcdefghkmnpqrstvwxyz", 5))
    return {"port": draw.randrange(2000, 9000), "queue": f"orders-{letters}"}


three = Exercise(
    "02.7",
    "A pod",
    containers=TRIO,
    hints=[
        "Who must be there first, and whom do the others name when they are started? In the "
        "chapter `pause` is such a holder, of one kind of namespace; here it holds two.",
        "One of the two kinds its owner must lend: how was `web` started before `post` moved in? "
        "Then a queue: any program that sees `/dev/mqueue` can make one there.",
        "`docker run -d --name pod --ipc shareable labkit/base`; both members with `--network "
        "container:pod --ipc container:pod`; and `touch /dev/mqueue/QUEUE` in one of them.",
    ],
    vary=draw_pod,
)


def held_by(see: Evidence, name: str, option: str) -> str:
    """Whose namespace a container was started in: the id at the end of the chain of guests."""
    by_id = {one.id: one for one in see.containers()}
    owner = see.container(name)
    for _ in by_id:  # a circle cannot be, but a look may be of two moments
        kind, _, whose = str(owner.inspect()["HostConfig"].get(option) or "").partition(":")
        if kind != "container":
            break
        if whose not in by_id:
            return whose
        owner = by_id[whose]
    return owner.id


def together(see: Evidence, kind: str, option: str, what: str) -> Finding:
    """All three are in one namespace of a kind, and it is that of pod."""
    where = {name: see.namespaces(name)[kind] for name in TRIO}
    apart = [name for name in TRIO[1:] if where[name] != where["pod"]]
    holder = see.container("pod").id
    foreign = [name for name in TRIO if held_by(see, name, option) != holder]
    expected = f"pod, shop and post in one {kind} namespace, which is held by pod"
    if apart:
        observed = f"{' and '.join(apart)} {'is' if len(apart) == 1 else 'are'} in another than pod"
        hint = (
            "a member joins the holder when it is started: was the holder started again since?"
            if not foreign
            else f"start {apart[0]} as a guest of pod: {what}"
        )
        return Finding(False, expected, observed, hint)
    return Finding(
        passed=not foreign,
        expected=expected,
        observed=f"they are together, and {' and '.join(foreign)} not as a guest of pod: when "
        "one of them is started again, they come apart",
        hint=f"the holder is nobody's guest; the others are started with {what}",
    )


@three.criterion("the three have one network, held by pod", points=2)
def _(see: Evidence) -> Finding:
    return together(see, "net", "NetworkMode", "`network=`, or `--network`")


@three.criterion("they have one set of letterboxes, held by pod, with your queue in it", points=2)
def _(see: Evidence) -> Finding:
    finding = together(see, "ipc", "IpcMode", "`ipc_mode=`, or `--ipc`")
    if not finding.passed:
        return finding
    queue, found = see.variant["queue"], list[str]()
    for one in map(see.container, TRIO):  # all have the same, but where something else is mounted
        there = one.mounts().at("/dev/mqueue")
        if there is not None and there.fs_type == "mqueue":
            found = found or see.host.list(f"/proc/{one.pid}/root/dev/mqueue")
    return Finding(
        passed=queue in found,
        expected=f"{queue} in /dev/mqueue",
        observed=f"in /dev/mqueue: {', '.join(found) or 'nothing'}",
        hint="whoever is in the namespace can make a queue as one makes a file there",
    )


@three.criterion("shop serves at your port", guard=True)
def _(see: Evidence) -> Finding:
    port = see.variant["port"]
    return serves(see, "shop", port, anew=f"start it with a server: `httpd -f -p {port}` will do")


@three.criterion("pod does nothing but hold", guard=True)
def _(see: Evidence) -> Finding:
    pod = see.container("pod")
    served = sorted(pod.served())
    return Finding(
        passed=not served,
        expected="a program that listens on no port",
        observed=f"a program of pod listens on port {', '.join(map(str, served))}",
        hint="let a member serve: who serves is restarted some day, and the holder should not be",
    )


@three.criterion("no port is published", guard=True)
def _(see: Evidence) -> Finding:
    published = [
        name
        for name in TRIO
        if any((see.container(name).inspect()["NetworkSettings"].get("Ports") or {}).values())
    ]
    return Finding(
        passed=not published,
        expected="no port of the pod is one of the host's",
        observed=f"{' and '.join(published)} publishes one",
        hint="members reach each other at 127.0.0.1: start it without `ports=`, or `-p`",
    )


@three.criterion("network and letterboxes are nobody else's", guard=True)
def _(see: Evidence) -> Finding:
    found = {kind: see.sharing("pod", kind) for kind in ("net", "ipc")}
    told = [f"{kind} with {' and '.join(whose)}" for kind, whose in found.items() if whose]
    return Finding(
        passed=not told,
        expected="net and ipc namespaces of the pod's own",
        observed=f"pod shares {'; '.join(told)}",
        hint="start pod anew with a network of its own, and an `ipc` that it lends to its members",
    )


# --- 02.8 ------------------------------------------------------------------------------------


def draw_vault(draw: Random) -> dict[str, Any]:
    letters = "bcdfghkmnprstvwz"
    return {
        "place": f"/srv/{draw.choice(['maps', 'mail', 'tools', 'seeds', 'notes'])}",
        "_word": "".join(draw.sample(letters, 7)),
    }


underneath = Exercise(
    "02.8",
    "Underneath",
    containers=["vault"],
    answers=["word"],
    hints=[
        "What is mounted at your place? `docker exec vault cat /proc/mounts` lists it in the order "
        "of mounting. What is found at a place at which there are two?",
        "You want to take one mount away from a list of mounts, and not from that of `vault`. A "
        "program in a new `mnt` namespace begins with a copy of the list. Whose copy must it be?",
        "Step into the `mnt` namespace of `vault` from the host, with `nsenter`, and make a new "
        "one from there, with `unshare`; in that, `umount` the place, and look.",
        "In a `%%host` cell: `nsenter --target $vault --mount unshare --mount sh -c 'umount PLACE; "
        "cat PLACE/word'`, with your own place.",
    ],
    vary=draw_vault,
    scene=True,
)


@underneath.criterion("the word in the file underneath", points=2)
def _(see: Evidence) -> Finding:
    given = see.answer("word")
    wrong = f"{given!r}" if isinstance(given, str) else f"{given!r}, is no text"
    return Finding(
        passed=isinstance(given, str) and given.strip() == see.variant["_word"],
        expected="the word that the first file system at your place has in its file `word`",
        observed=f"your answer, {wrong}",
        hint="it is in a file that nobody in vault can open now: see `hint`",
    )


@underneath.criterion("vault sees what it saw", guard=True)
def _(see: Evidence) -> Finding:
    vault, place = see.container("vault"), see.variant["place"]
    found = see.host.list(f"/proc/{vault.pid}/root{place}")
    mounted = [mount for mount in vault.mounts() if mount.mount_point == place]
    if "word" in found:
        seen = "the file underneath: the mount over it was taken away for all in vault"
    elif len(mounted) < 2:
        seen = f"{len(mounted)} file systems at {place}: mounts go when the container ends"
    else:
        seen = ", ".join(found) or "nothing"
    return Finding(
        passed="note" in found and "word" not in found and len(mounted) >= 2,
        expected=f"{place} as `scene` left it, with the file `note`",
        observed=seen,
        hint='`scene("02.8")` sets it anew; then change a copy of its list of mounts',
    )


# --- 02.9 ------------------------------------------------------------------------------------

DAY = 86_400  # seconds
carried = Exercise(
    "02.9",
    "Carried here",
    containers=["moved"],
    hints=[
        "What does the program's own `unshare` have to be asked for: which two kinds, and how far "
        "ahead, in which unit? What did the chapter say it takes to move a clock?",
        "The chapter went round that with a `user` namespace. `moved` itself can be given the "
        "right to move a clock: `cap_add` takes a list.",
        "`unshare` moves itself before it starts your program. So it must not be the first "
        "process: start it from a shell, as in `sh -c 'unshare ... & wait'`, or by "
        "`docker exec --detach`.",
        "`unshare --cgroup --time --boottime SECONDS --fork sleep NUMBER`, in a `toolbox` with "
        "`SYS_ADMIN` and `SYS_TIME` and the two filters left out.",
    ],
    vary=lambda draw: {"seconds": draw.randrange(2000, 9000), "days": draw.randrange(20, 400)},
)


def carried_one(see: Evidence) -> tuple[Process | None, Finding]:
    """The program of moved that sleeps for the learner's time, the best placed of several."""
    moved, seconds = see.container("moved"), see.variant["seconds"]
    see.must_have("time")
    found = sleeping(moved, seconds)
    missing = Finding(
        passed=False,
        expected=f"`sleep {seconds}`, which is counted in the control group of moved",
        observed="no such process in moved",
        hint="start it in moved, by the container's command or by `docker exec`: who comes from "
        "the host is counted elsewhere",
    )
    first = see.namespaces("moved")

    def own(process: Process) -> int:
        return len(read_namespaces(see.host, process.pid).differs_from(first) & {"time", "cgroup"})

    return max(found, key=own, default=None), missing


@carried.criterion("its uptime is ahead by your days", points=2)
def _(see: Evidence) -> Finding:
    program, missing = carried_one(see)
    if program is None:
        return missing
    wanted = see.variant["days"] * DAY
    own = read_namespaces(see.host, program.pid)["time"] != see.namespaces("moved")["time"]
    ahead = read_time_offsets(see.host, program.pid).boottime if own else 0
    return Finding(
        passed=own and ahead == wanted,
        expected=f"a time namespace that is not the first process's, {wanted:,} s ahead",
        observed=f"{ahead:,.0f} s ahead" if own else "it has the time namespace of moved",
        hint="the uptime is `--boottime`, and it is told in seconds: a day has 86,400"
        if own
        else "make one for it with `unshare --time`; with `--fork`, because who makes it stays out",
    )


@carried.criterion("it has a cgroup namespace of its own", points=2)
def _(see: Evidence) -> Finding:
    program, missing = carried_one(see)
    if program is None:
        return missing
    mine = read_namespaces(see.host, program.pid)["cgroup"]
    others = {"the first process of moved": see.namespaces("moved"), HOST: see.namespaces(HOST)}
    others |= {
        one.name: see.namespaces(one.name)
        for one in see.containers()
        if one.condition().is_up and one.name != "moved"
    }
    shared = [name for name, found in others.items() if found.get("cgroup") == mine]
    return Finding(
        passed=not shared,
        expected="a cgroup namespace that is not the first process's, nor anybody else's",
        observed=f"it has that of {' and '.join(shared)}",
        hint="`unshare` takes several kinds at once. Who unshares is in it too: if that is the "
        "first process itself, start it from a shell, or by `docker exec`",
    )


@carried.criterion("its root is that of moved", guard=True)
def _(see: Evidence) -> Finding:
    program, missing = carried_one(see)
    if program is None:
        return missing
    own = read_namespaces(see.host, program.pid)["user"] != see.namespaces("moved")["user"]
    return Finding(
        passed=not own,
        expected="the user namespace of moved",
        observed="it is in a user namespace of its own",
        hint="leave out `--user`, and give moved the right that the program then lacks: to move a "
        "clock takes a capability of its own",
    )


# --- 02.10 -----------------------------------------------------------------------------------

# The pieces of the learner's container are tried on two at once: none is left over from before.
OF_ITS_OWN = ("uts", "pid", "ipc", "mnt", "net", "cgroup")


def draw_boxes(draw: Random) -> dict[str, Any]:
    names = draw.sample(["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "oak"], 2)
    return {"boxes": {name: draw.randrange(2000, 9000) for name in names}}


piece = Exercise(
    "02.10",
    "Your own container: the namespaces",
    containers=["bench"],
    hints=[
        "A shell script begins with `#!/bin/sh`. In it, `$1` is the name, and after `shift`, "
        '`"$@"` is the program with its arguments. One `unshare` makes several kinds.',
        "What the program needs must be done *in* the new namespaces, and before it: host name, "
        "`lo`. So `unshare` starts a small shell, which does that, and then becomes the program: "
        "`exec`. Else the shell is process 1, and the program its child.",
        "`--mount-proc` was in the chapter. `ip link set lo up` plugs in the loopback interface.",
        "`exec unshare --uts --ipc --net --cgroup --mount --pid --fork --mount-proc sh -c "
        '\'hostname "$0" && ip link set lo up && exec "$@"\' "$@"`',
    ],
    vary=draw_boxes,
    piece="namespaces",
)


def boxes(see: Evidence) -> dict[str, Process]:
    """The programs of the trial, by the name of their box; of several, the innermost."""
    bench, found = see.container("bench"), {}
    for name, seconds in see.variant["boxes"].items():
        if programs := sleeping(bench, seconds):
            found[name] = max(programs, key=lambda one: len(one.nspid))
    return found


def each_box(
    see: Evidence,
    expected: str,
    seen: Callable[[str, Process], str],
    hint: str,
    *,
    first: str = "",
) -> Finding:
    """Of both boxes alike: `seen` says what is wrong with one, or nothing.

    `first` is the advice where there is no program at all.
    """
    found = boxes(see)
    if missing := [name for name in see.variant["boxes"] if name not in found]:
        return Finding(
            passed=False,
            expected=f"`sleep {see.variant['boxes'][missing[0]]}` in bench, started by your piece",
            observed="no such process",
            hint=first or "it must run first: see the first of these",
        )
    wrong = {name: told for name, one in found.items() if (told := seen(name, one))}
    return Finding(
        passed=not wrong,
        expected=expected,
        observed="; ".join(f"{name}: {told}" for name, told in wrong.items()),
        hint=hint,
    )


@piece.criterion("your program has six namespaces of its own", points=2)
def _(see: Evidence) -> Finding:
    others = [see.namespaces("bench"), see.namespaces(HOST)]
    all_boxes = {name: read_namespaces(see.host, one.pid) for name, one in boxes(see).items()}

    def shared(name: str, process: Process) -> str:
        mine = all_boxes[name]
        rest = others + [found for other, found in all_boxes.items() if other != name]
        kinds = [kind for kind in OF_ITS_OWN if any(o.get(kind) == mine[kind] for o in rest)]
        return f"shares {', '.join(kinds)}" if kinds else ""

    return each_box(
        see,
        f"{', '.join(OF_ITS_OWN)} that nobody else is in",
        shared,
        "`man unshare` has an option for each kind; `lsns --task`, with the program's number, "
        "lists what it is in",
        first='`trial("02.10")` shows what your piece says; try it by hand in a `%%in bench` cell: '
        "`namespaces oak hostname`",
    )


def is_benchs(see: Evidence, process: Process, kind: str) -> bool:
    return read_namespaces(see.host, process.pid)[kind] == see.namespaces("bench")[kind]


@piece.criterion("it is process 1")
def _(see: Evidence) -> Finding:
    def number(_: str, process: Process) -> str:
        first = process.inside_pid == 1 and not is_benchs(see, process, "pid")
        return "" if first else f"it is number {process.inside_pid}"

    return each_box(
        see,
        "number 1 of its own list",
        number,
        "whatever makes things ready before it must become the program, not start it: `exec`",
    )


@piece.criterion("its /proc shows its own list")
def _(see: Evidence) -> Finding:
    def shown(_: str, process: Process) -> str:
        if is_benchs(see, process, "pid"):
            return "its list is that of bench"
        path = f"/proc/{process.pid}/root/proc/{process.inside_pid}/cmdline"
        there = see.host.read_many([path]).get(path, "")
        if there.split("\0")[:-1] == list(process.cmdline):
            return ""
        return f"there, process {process.inside_pid} is not the program"

    return each_box(
        see,
        "a /proc in which it is found under its own number",
        shown,
        "whose /proc does it read? It must be mounted anew, in the new mnt namespace",
    )


@piece.criterion("its host name is the one that was given")
def _(see: Evidence) -> Finding:
    def told(name: str, process: Process) -> str:
        there = read_hostname(see.host, process.pid)
        return "" if there == name else f"its machine is called {there}"

    return each_box(
        see,
        "the first word after your piece's own name",
        told,
        "set it in the new uts namespace: `hostname`, and what your piece was given",
    )


@piece.criterion("it reaches itself at 127.0.0.1")
def _(see: Evidence) -> Finding:
    def lo(_: str, process: Process) -> str:
        if is_benchs(see, process, "net"):
            return "its network is that of bench"
        there = read_interface_addresses(see.host, process.pid).get("lo", frozenset())
        return "" if "127.0.0.1" in there else "lo has no address"

    return each_box(
        see,
        "a lo of its own, with its address",
        lo,
        "a new `lo` begins as DOWN: plug it in, in the new net namespace: `ip link set lo up`",
    )


@piece.criterion("the workbench is as it was", guard=True)
def _(see: Evidence) -> Finding:
    bench = see.container("bench")
    given, name = bench.inspect()["Config"]["Hostname"], read_hostname(see.host, bench.pid)
    mounts = [mount for mount in bench.mounts() if mount.mount_point == "/proc"]
    observed = f"its host name is {name}" if name != given else ""
    if len(mounts) != 1:
        observed = f"{len(mounts)} file systems are mounted at its /proc"
    return Finding(
        passed=not observed,
        expected=f"the host name {given}, and one /proc",
        observed=observed,
        hint="what your piece changes it must change in the new namespaces, and not before",
    )
