"""How the exercises of chapter 03 are judged: by the files of control groups."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from labkit.checks import Evidence, Exercise, Finding, parse_size, show_size
from labkit.inspect import Cgroup, Container, read_processes

# How the path of a container's own group ends after its id: Docker's, systemd's, Podman's. Whatever
# is started in the container next is there.
OWN_GROUP = ("", ".scope", ".scope/container", "/container")


def not_its_own(container: Container) -> str:
    """Where its first process is, if that is not the container's own group."""
    where = container.cgroup().directory("memory")
    return "" if where.partition(container.id)[2] in OWN_GROUP else where


# --- 03.1 ------------------------------------------------------------------------------------


def draw_limits(draw: random.Random) -> dict[str, Any]:
    period = draw.choice([20_000, 25_000, 40_000])
    return {
        "memory": draw.choice(["40m", "44m", "52m", "60m"]),
        "tasks": draw.randint(12, 28),
        "period": period,
        "quota": period * draw.choice([3, 4, 6]) // 10,
    }


tight = Exercise(
    "03.1",
    "By the stop watch",
    containers=["tight"],
    hints=[
        "The chapter changes a quota and a period while a container runs. Both can be said at the "
        "start, too.",
        "`docker run` has `--cpu-period` and `--cpu-quota`, `--memory` and `--pids-limit`.",
        "`lab.run(..., cpu_period=variant('03.1').period, cpu_quota=variant('03.1').quota)`; "
        "`memory=` and `pids=` as in the chapter.",
    ],
    vary=draw_limits,
)


def of_its_own_group(see: Evidence, judge: Callable[[Cgroup], Finding]) -> Finding:
    container = see.container("tight")
    if where := not_its_own(container):
        return Finding(
            passed=False,
            expected="a limit of the container",
            observed=f"its first process was moved into another control group, {where}",
            hint="give tight the limits itself: `reset`, and start it with them",
        )
    return judge(container.cgroup())


@tight.criterion("the kernel limits its memory to yours")
def _(see: Evidence) -> Finding:
    wanted = parse_size(see.variant["memory"])

    def judge(group: Cgroup) -> Finding:
        limit = group.memory_limit()
        return Finding(
            passed=limit == wanted,
            expected=show_size(wanted),
            observed="no limit" if limit is None else f"{show_size(limit)}, {limit} bytes",
            hint='`memory=variant("03.1").memory`; 1 MiB is 2**20 bytes',
        )

    return of_its_own_group(see, judge)


@tight.criterion("of each period of yours it may run your quota", points=2)
def _(see: Evidence) -> Finding:
    quota, period = see.variant["quota"], see.variant["period"]

    def judge(group: Cgroup) -> Finding:
        cpu = group.cpu()
        same = cpu.quota_us is not None and cpu.quota_us * period == quota * cpu.period_us
        return Finding(
            passed=(cpu.quota_us, cpu.period_us) == (quota, period),
            expected=f"{quota} of every {period} microseconds",
            observed="no quota"
            if cpu.quota_us is None
            else f"{cpu.quota_us} of every {cpu.period_us} microseconds",
            hint="that is the same share, of another period: say the period too"
            if same
            else "`docker update --cpu-period ... --cpu-quota ... tight`, with your two numbers",
        )

    return of_its_own_group(see, judge)


@tight.criterion("it may have your number of tasks")
def _(see: Evidence) -> Finding:
    wanted = see.variant["tasks"]

    def judge(group: Cgroup) -> Finding:
        limit = group.tasks().max
        return Finding(
            passed=limit == wanted,
            expected=f"at most {wanted}",
            observed="no limit" if limit is None else f"at most {limit}",
            hint='`pids=variant("03.1").tasks`, or `docker update --pids-limit`',
        )

    return of_its_own_group(see, judge)


# --- 03.2 ------------------------------------------------------------------------------------

NAMES = ("red", "green", "blue", "amber")
TROUBLES: dict[str, tuple[Callable[[Cgroup], bool], str]] = {
    "throttled": (
        lambda group: group.cpu().nr_throttled > 0,
        "in `cpu.stat`, `nr_throttled`: in how many periods it was stopped",
    ),
    "frozen": (
        lambda group: group.freezer().frozen,
        "`freezer.state`, in v2 `cgroup.events`; `cgroup().freezer()` reads either",
    ),
    "full": (
        lambda group: bool(group.tasks().max_events),
        "in `pids.events`, how often the limit has refused a task",
    ),
    "killed": (
        lambda group: bool(group.memory().oom_kills),
        "the counter `oom_kill`, in `memory.oom_control` or `memory.events`",
    ),
}

troubles = Exercise(
    "03.2",
    "Four that are up",
    containers=NAMES,
    answers=list(TROUBLES),
    hints=[
        "None of the four says anything, and the engine knows nothing. Who counts?",
        "Each trouble has a file of its own in the container's group: `cpu.stat`, `pids.events`, "
        "`memory.events` (v1: `memory.oom_control`), and the freezer's.",
        "`lab.container('red').cgroup()` has them all: `cpu()`, `tasks()`, `memory()`, "
        "`freezer()`; or print its `files()`.",
    ],
    vary=lambda draw: {"_troubles": dict(zip(TROUBLES, draw.sample(NAMES, 4), strict=True))},
    scene=True,
)


def name_the(trouble: str) -> None:
    has_it, where = TROUBLES[trouble]

    @troubles.criterion(f"the one that is {trouble}")
    def _(see: Evidence) -> Finding:
        given = str(see.answer(trouble))
        if given not in NAMES:
            return Finding(
                passed=False,
                expected=f"one of {', '.join(NAMES)}",
                observed=f"your answer, {given!r}",
                hint="give one of the four names",
            )
        anybody = any(has_it(see.container(name).cgroup()) for name in NAMES)
        return Finding(
            passed=has_it(see.container(given).cgroup()),
            expected=f"the container of which the kernel says so: {where}",
            observed=f"{given} is not"
            if anybody
            else f"nobody is {trouble} any more: it was changed",
            hint=f"look at all four: {where}"
            if anybody
            else '`scene("03.2")` sets them up anew; then look, and answer again',
        )


for each in TROUBLES:
    name_the(each)


# --- 03.3 ------------------------------------------------------------------------------------

METALS = ("gold", "silver", "bronze")
PARTS = [(50, 30, 20), (60, 30, 10), (70, 20, 10), (50, 40, 10)]  # per cent
NEAR = 2.0  # per cent: v2's weights are whole numbers, and the runtime's conversion rounds

divide = Exercise(
    "03.3",
    "Divide one processor",
    containers=METALS,
    hints=[
        "A quota holds even when nobody else wants to run. What counts only in a queue?",
        "Weights, in proportion to your percentages; and `cpuset_cpus`, as in the chapter.",
        "`cpu_shares=` in `lab.run`, or `docker update --cpu-shares`: say 100 shares for each per "
        "cent. Very small numbers are rounded.",
    ],
    vary=lambda draw: {"per_cent": dict(zip(METALS, draw.choice(PARTS), strict=True))},
)


@divide.criterion("their weights divide it by your percentages", points=2)
def _(see: Evidence) -> Finding:
    wanted = see.variant["per_cent"]
    states = {name: see.container(name).cgroup().cpu() for name in METALS}
    # v1's shares are finer than the weight that they are converted to.
    weights = {name: one.shares or one.weight or 0 for name, one in states.items()}
    parts = {name: 100 * each / max(sum(weights.values()), 1) for name, each in weights.items()}
    return Finding(
        passed=all(abs(parts[name] - wanted[name]) <= NEAR for name in METALS),
        expected=", ".join(f"{name} {part} %" for name, part in wanted.items()),
        observed=", ".join(f"{name} {part:.0f} %" for name, part in parts.items())
        + f" (weights {', '.join(map(str, weights.values()))})",
        hint="set the weights in that proportion, in hundreds or more: small numbers are rounded",
    )


@divide.criterion("nobody is held back while the others rest")
def _(see: Evidence) -> Finding:
    states = {name: see.container(name).cgroup().cpu() for name in METALS}
    held = [name for name, one in states.items() if one.quota_us is not None]
    return Finding(
        passed=not held,
        expected="no quota",
        observed=f"{' and '.join(held)} may not run more than a quota, even alone",
        hint="take the quota away: start it without `cpus=`; a weight alone divides",
    )


@divide.criterion("all three want to run, on one and the same processor")
def _(see: Evidence) -> Finding:
    cpus, idle = frozenset[int](), []
    for name in METALS:
        container = see.container(name)
        cpus |= container.cgroup().cpuset().cpus
        if not any(process.state == "R" for process in container.processes()):
            idle.append(name)
    return Finding(
        passed=len(cpus) == 1 and not idle,
        expected="one processor for all, and a program in each that computes without a pause",
        observed=f"{' and '.join(idle)} rests"
        if idle
        else f"they may use the processors {', '.join(map(str, sorted(cpus)))}",
        hint="`while :; do :; done` in a shell computes for ever"
        if idle
        else 'start all with the same `cpuset_cpus="0"`',
    )


# --- 03.4 ------------------------------------------------------------------------------------

HELPERS, MOST_TASKS = 12, 40


def draw_window(draw: random.Random) -> dict[str, Any]:
    least = draw.choice([0.2, 0.25, 0.3, 0.4])
    return {"least": least, "most": round(least + 0.2, 2), "_found": f"{draw.getrandbits(64):016x}"}


miner = Exercise(
    "03.4",
    "It must not stop",
    containers=["miner"],
    hints=[
        "Two things hold it back. Compare `docker logs --tail 1 miner` with the files of its group "
        "that count what was refused and throttled: `lab.container('miner').cgroup().files()`.",
        "`docker update` changes limits of a container that runs; so does writing into a file.",
        "`docker update --cpus 0.4 --pids-limit 32 miner`, with a number of processors that is "
        "within your bounds.",
    ],
    vary=draw_window,
    lasts=1.0,
    scene=True,
)


@miner.criterion("it may have so much of a processor as your variant says")
def _(see: Evidence) -> Finding:
    cpu = see.container("miner").cgroup().cpu()
    share = None if cpu.quota_us is None else cpu.quota_us / cpu.period_us
    least, most = see.variant["least"], see.variant["most"]
    return Finding(
        passed=share is not None and least - 1e-6 <= share <= most + 1e-6,
        expected=f"between {least:g} and {most:g} of one",
        observed="no quota" if share is None else f"{share:g} of one",
        hint="`docker update --cpus`, or write quota and period into its file",
    )


@miner.criterion("it has its twelve helpers", points=2)
def _(see: Evidence) -> Finding:
    tasks = see.container("miner").cgroup().tasks()
    return Finding(
        passed=tasks.current > HELPERS,
        expected=f"{HELPERS} and itself: {HELPERS + 1} tasks or more",
        observed=f"{tasks.current} tasks"
        + (f", and it may have {tasks.max}" if tasks.max is not None else ""),
        hint="raise the limit of its tasks: `docker update --pids-limit`"
        if tasks.max is not None and tasks.max <= HELPERS
        else "it tries again twice a second: was it only just allowed? Then check again",
    )


@miner.criterion("no more than 40 tasks are allowed", guard=True)
def _(see: Evidence) -> Finding:
    limit = see.container("miner").cgroup().tasks().max
    return Finding(
        passed=limit is not None and limit <= MOST_TASKS,
        expected=f"at most {MOST_TASKS}",
        observed="no limit" if limit is None else f"at most {limit}",
        hint="a limit there must be, only not so narrow: `docker update --pids-limit 32 miner`",
    )


@miner.criterion("it was never stopped", guard=True)
def _(see: Evidence) -> Finding:
    container = see.container("miner")
    path = f"/proc/{container.pid}/root/dev/shm/found"  # a folder that is memory
    found = see.host.read_many([path]).get(path, "")
    never = str(container.inspect()["State"]["FinishedAt"]).startswith("0001-")
    return Finding(
        passed=found == see.variant["_found"] and never,
        expected="what it had found, in the memory in which it was",
        observed="it was started again, and has to begin anew"
        if not never
        else "what it had found is not there",
        hint='that cannot be mended: `scene("03.4")` sets it up anew; then change it while it runs',
    )


# --- 03.5 ------------------------------------------------------------------------------------

by_hand = Exercise(
    "03.5",
    "Your own container: the limits",
    containers=["bench"],
    hints=[
        "A group is made with `mkdir`, in the folder that is `bench`'s own group; a limit is set, "
        "and a process moved into it (`cgroup.procs`), by writing into files.",
        "v1: `/sys/fs/cgroup/memory` and `/sys/fs/cgroup/pids`, each by itself. v2: first all "
        "processes of the group must move into one below it; then `+memory +pids` into "
        "`cgroup.subtree_control` gives the groups below their files.",
        "A shell that writes its own number, `echo $$ >piece/cgroup.procs`, and then does "
        "`exec sleep 100000`, is the program in the group.",
    ],
    vary=lambda draw: {
        "memory": draw.choice(["24m", "28m", "36m", "48m"]),
        "tasks": draw.randint(6, 20),
    },
    piece="limits",
)


def sleepers(see: Evidence) -> list[tuple[int, Cgroup]]:
    """The processes of bench that do `sleep 100000`, each with its groups."""
    return [
        (one.pid, Cgroup(see.host, one.pid))
        for one in see.container("bench").processes()
        if one.comm == "sleep" and one.cmdline[-1:] == ("100000",)
    ]


def is_below(group: Cgroup, controller: str, bench: Container) -> bool:
    """Whether it is in a group that was made below the container's own."""
    return group.directory(controller).partition(bench.id)[2] not in OWN_GROUP


def told_memory(limit: int | None) -> str:
    return "no memory limit" if limit is None else f"at most {show_size(limit)}"


def told_tasks(limit: int | None) -> str:
    return "no limit of tasks" if limit is None else f"at most {limit} tasks"


def memory_of(group: Cgroup) -> int | None:
    return group.memory().max


def tasks_of(group: Cgroup) -> int | None:
    return group.tasks().max


def in_a_group_with(
    see: Evidence,
    wanted: int,
    told: Callable[[int | None], str],
    limit: Callable[[Cgroup], int | None],
    *,
    controller: str,
) -> Finding:
    bench, found = see.container("bench"), sleepers(see)
    below = [limit(group) for _, group in found if is_below(group, controller, bench)]
    if below:
        observed = f"in a group below bench's, with {', '.join(map(told, below))}"
        hint = "write the limit into the file of your group"
    elif found:
        observed = "it is in bench's own"
        hint = (
            "`mkdir` a group below, and write the program's number into its `cgroup.procs`; in v1 "
            "each controller has a tree of its own"
        )
    else:
        observed = "no process of bench does that"
        hint = (
            'a piece becomes the program that it was given: `exec "$@"`, at its end; '
            '`trial("03.5")` shows what yours says'
        )
    return Finding(
        passed=wanted in below,
        expected=f"`sleep 100000` in a group below bench's, with {told(wanted)}",
        observed=observed,
        hint=hint,
    )


@by_hand.criterion("it runs in a group of your making, with your memory limit", points=2)
def _(see: Evidence) -> Finding:
    wanted = parse_size(see.variant["memory"])
    return in_a_group_with(see, wanted, told_memory, memory_of, controller="memory")


@by_hand.criterion("and with your limit of tasks")
def _(see: Evidence) -> Finding:
    return in_a_group_with(see, see.variant["tasks"], told_tasks, tasks_of, controller="pids")


@by_hand.criterion("the workbench itself may have more", guard=True)
def _(see: Evidence) -> Finding:
    bench = see.container("bench")
    group, given = bench.cgroup(), bench.inspect()["HostConfig"]
    memory, tasks = parse_size(see.variant["memory"]), see.variant["tasks"]
    limits = [
        told_memory(limit)
        for limit in (group.memory().max, given.get("Memory") or None)
        if limit is not None and limit <= memory
    ]
    limits += [
        told_tasks(limit)
        for limit in (group.tasks().max, given.get("PidsLimit") or None)
        if limit is not None and 0 < limit <= tasks
    ]
    return Finding(
        passed=not limits,
        expected="more memory and more tasks than the group below",
        observed=f"its first process may have {limits[0]}" if limits else "",
        hint="start bench without limits, and leave its first process outside your group",
    )
