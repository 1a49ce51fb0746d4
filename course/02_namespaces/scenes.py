"""What is there when an exercise of chapter 02 begins."""

from contextlib import suppress
from typing import Any

from labkit import Container, Lab
from labkit.checks import runs_piece, said, sets_scene, workbench
from labkit.errors import CommandFailedError, WaitTimeoutError

ASKS = """
while sleep 1; do
    wget -T 2 -qO- http://127.0.0.1/ >/dev/null 2>&1 && echo up || echo down
done
"""


@sets_scene("02.6")
def left_behind(lab: Lab, own: dict[str, Any]) -> None:
    """The holder of a pod was restarted, and then one of its two guests: the other is left."""
    hold = lab.run("base", name="hold")
    web = lab.run("base", "httpd -f -p 80", name="web", network="container:hold")
    web.put("/index.html", "Nobody reads this.\n")
    watch = lab.run("base", ["sh", "-c", ASKS], name="watch", network="container:hold")
    hold.restart(timeout=0)
    {"web": web, "watch": watch}[own["_restarted"]].restart(timeout=0)
    watch.wait_log("down")


COVERED = """
mkdir -p {place}
mount -t tmpfs none {place}
echo {word} >{place}/word
mount -t tmpfs none {place}
echo 'The word is not here.' >{place}/note
"""


@sets_scene("02.8")
def covered(lab: Lab, own: dict[str, Any]) -> None:
    """Two file systems at one place of a container that may mount none."""
    vault = lab.run("base", name="vault")
    script = COVERED.format(place=own["place"], word=own["_word"])
    done = lab.engine.host.run(["sh", "-e", "-c", script], pid=vault.pid, namespaces=["mnt"])
    if done.exit_code:
        raise CommandFailedError(
            "The scene could not be set.",
            exit_code=done.exit_code,
            seen=done.stderr.strip(),
            do="use another engine, or go on with the next exercise",
        )


BEGIN = 'namespaces "$@" </dev/null >/tmp/said-$1 2>&1 & echo $!'
PATIENCE = 10.0  # seconds


@runs_piece("02.10")
def two_boxes(lab: Lab, own: dict[str, Any], program: bytes) -> str:
    """The piece makes two boxes, in a workbench in which it is a program like any other."""
    rights = ["SYS_ADMIN", "NET_ADMIN"]  # the latter for `lo`
    bench = workbench(lab, "namespaces", program, cap_add=rights, cgroupns="private")
    boxes: dict[str, int] = own["boxes"]
    begun = {
        name: bench.exec(["sh", "-c", BEGIN, "sh", name, "sleep", str(seconds)])
        for name, seconds in boxes.items()
    }
    if spoiled := [one for one in begun.values() if not one.stdout.strip().isdecimal()]:
        words = f"{spoiled[0].stdout}{spoiled[0].stderr}".strip()
        return f"bench itself can start no program any more, which it could before: {words}"
    numbers = {name: int(one.stdout) for name, one in begun.items()}

    def become_of() -> dict[str, str]:
        """Of each box, whether its program runs, or your piece has ended."""
        every = bench.processes()
        runs = {p.cmdline[-1] for p in every if p.comm == "sleep" and p.cmdline}
        there = {number for p in every if p.state != "Z" for number in p.nspid[1:]}
        told = {}
        for name, seconds in boxes.items():
            if str(seconds) in runs:
                told[name] = "runs"
            elif numbers[name] not in there:
                told[name] = "has ended"
        return told

    with suppress(WaitTimeoutError):
        bench.wait_until(lambda: len(become_of()) == len(boxes), what="boxes", timeout=PATIENCE)
    told = become_of()
    return "; ".join(
        f"`namespaces {name} sleep {seconds}` {told.get(name, 'has not begun your program yet')}"
        + said(bench, f"/tmp/said-{name}")
        for name, seconds in boxes.items()
    )
