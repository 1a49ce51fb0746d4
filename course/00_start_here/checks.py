"""How the exercises of chapter 00 are judged."""

from labkit.checks import Evidence, Exercise, Finding, made_from, parse_size, show_size
from labkit.inspect import ConditionKind, read_process

SETTLED = 10  # seconds
TICKS = 100  # of Process.start_time in a second: USER_HZ, time(7)

stays = Exercise(
    "00.1",
    "A container that stays",
    containers=["first"],
    hints=[
        "`lab.run(image, command, name=...)` starts a container. It lives as long as its command.",
        "`sleep 1000` is a command that does not end soon.",
    ],
    lasts=1.5,
)


@stays.criterion("first is running, and stays")
def _(see: Evidence) -> Finding:
    first = see.container("first")
    condition = first.condition()
    restarts = int(first.inspect().get("RestartCount") or 0)
    if condition.kind is not ConditionKind.RUNNING or not restarts:
        return Finding(
            passed=condition.kind is ConditionKind.RUNNING,
            expected="running",
            observed=condition.told,
            hint=condition.advice,
        )
    # Somebody may have killed it once; one that ends all the time is never up for long.
    uptime = float(see.host.read("/proc/uptime").split()[0])
    up = uptime - read_process(see.host, first.pid).start_time / TICKS
    return Finding(
        passed=up >= SETTLED,
        expected=f"running, for {SETTLED} s at least, since it was started again",
        observed=f"the engine started it again {restarts} times, the last time {up:.0f} s ago",
        hint="if it ends by itself, correct its command; if it does not, check again in a moment",
    )


@stays.criterion("it was started from the image base", guard=True)
def _(see: Evidence) -> Finding:
    return made_from(see, "first", "base")


numbers = Exercise(
    "00.2",
    "One process, two numbers",
    containers=["counted"],
    answers=["outside", "inside"],
    hints=[
        "Outside: `counted.pid`, or `docker inspect`. Inside: run `ps` in it, with `counted.exec`.",
        '`answer` takes two whole numbers: `answer("00.2", outside=4242, inside=7)`.',
    ],
)


@numbers.criterion("the number on the host")
def _(see: Evidence) -> Finding:
    given, live = see.number("outside"), see.container("counted").pid
    swapped = given == read_process(see.host, live).inside_pid
    return Finding(
        passed=given == live,
        expected="the pid that the host knows the first process of counted by",
        observed=f"your answer, {given!r}, is {'its number inside' if swapped else 'not that'}",
        hint="ask again: it changes with every start of the container",
    )


@numbers.criterion("the number inside")
def _(see: Evidence) -> Finding:
    given = see.number("inside")
    live = read_process(see.host, see.container("counted").pid).inside_pid
    return Finding(
        passed=given == live,
        expected="the pid that the first process of counted has for itself",
        observed=f"your answer, {given!r}, is not that",
        hint='`counted.exec("ps")` lists what the container sees; which line is its first process?',
    )


# How the path of a container's own group ends after its id: Docker's, systemd's, Podman's. Whatever
# is started in the container next is there.
OWN_GROUP = ("", ".scope", ".scope/container", "/container")

small = Exercise(
    "00.3",
    "Not more than this",
    containers=["small"],
    hints=[
        "Look at the options of `lab.run`: `help(lab.run)`.",
        '`memory="48m"` limits a container to 48 MiB; yours is `variant("00.3").memory`.',
    ],
    vary=lambda draw: {"memory": draw.choice(["32m", "40m", "56m", "72m", "88m"])},
)


@small.criterion("the kernel limits small to your size", points=2)
def _(see: Evidence) -> Finding:
    container, wanted = see.container("small"), parse_size(see.variant["memory"])
    group = container.cgroup()
    limit, where = group.memory_limit(), group.directory("memory")
    if where.partition(container.id)[2] not in OWN_GROUP:
        return Finding(
            passed=False,
            expected=show_size(wanted),
            observed=f"its first process was moved into another control group, {where}",
            hint="give small the limit itself: `reset`, and start it with `memory=`",
        )
    return Finding(
        passed=limit == wanted,
        expected=show_size(wanted),
        observed="no limit" if limit is None else show_size(limit),
        hint="start it again with `memory=`; remove the old one first, with `reset`"
        if limit is None
        else "that is a limit, but not yours: see `variant`",
    )
