"""How the exercises of chapter 00 are judged."""

from labkit.checks import Evidence, Exercise, Finding, made_from, parse_size, show_size
from labkit.inspect import ConditionKind, read_process

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
    often = f", after it ended {restarts} times and was started again" if restarts else ""
    return Finding(
        passed=condition.kind is ConditionKind.RUNNING and not restarts,
        expected="running, since you started it",
        observed=condition.seen + often,
        hint=condition.advice or "correct its command: it does not last",
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
    if container.id not in where:  # where whatever is started in it next would not be
        return Finding(
            passed=False,
            expected=show_size(wanted),
            observed=f"its first process is in another container's control group, {where}",
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
