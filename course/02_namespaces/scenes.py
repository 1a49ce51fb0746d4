"""What is there when an exercise of chapter 02 begins."""

from typing import Any

from labkit import Container, Lab
from labkit.checks import runs_piece, sets_scene
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


@runs_piece("02.10")
def two_boxes(lab: Lab, own: dict[str, Any], program: bytes) -> str:
    """The piece makes two boxes, in a workbench in which it is a program like any other."""
    bench = lab.run("toolbox", name="bench", init=True, **WORKBENCH)
    bench.put("/usr/local/bin/namespaces", program, mode=0o755)
    return "; ".join(box(bench, name, seconds) for name, seconds in own["boxes"].items())


# As in the chapter; and the right to change a network, for `lo`.
WORKBENCH: dict[str, Any] = {
    "cap_add": ["SYS_ADMIN", "NET_ADMIN"],
    "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
    "cgroupns": "private",
}
BEGIN = 'namespaces "$@" </dev/null >/tmp/said 2>&1 & echo $!'
PATIENCE = 10.0  # seconds


def box(bench: Container, name: str, seconds: int) -> str:
    """One box, begun; returns what there is to say of it."""
    words = ["namespaces", name, "sleep", str(seconds)]
    number = int(bench.exec(["sh", "-c", BEGIN, *words]).stdout)

    def begun_or_ended() -> str:
        every = bench.processes()
        if any(
            one.cmdline[-2:] == ("sleep", str(seconds)) and one.comm == "sleep" for one in every
        ):
            return "runs"
        mine = [one for one in every if number in one.nspid[1:] and one.state != "Z"]
        return "" if mine else "has ended"

    try:
        how = bench.wait_until(begun_or_ended, what="your program", timeout=PATIENCE)
    except WaitTimeoutError:
        how = "has not begun your program"
    said = " / ".join(bench.exec(["tail", "-n", "3", "/tmp/said"]).stdout.splitlines())
    return f"`{' '.join(words)}` {how}" + (f", and says: {said}" if said else "")
