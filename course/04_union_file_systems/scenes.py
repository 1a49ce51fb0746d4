"""What is there when an exercise of chapter 04 begins."""

from contextlib import suppress
from typing import Any

from labkit import Container, Lab
from labkit.checks import RIGHTS, runs_piece, said, sets_scene, workbench
from labkit.errors import WaitTimeoutError

SHOP = """
set -e
cd /shop; mkdir may june mine work merged
echo "tea {may}" >may/prices; echo "tea {june}" >june/prices
echo "tea" >may/menu; echo "from {hour} o'clock" >june/opening
echo "a pot of tea, number {order}" >mine/orders
mount -t overlay overlay -o lowerdir=/shop/june,upperdir=/shop/mine,workdir=/shop/work merged
rm merged/opening
umount merged
dirs=lowerdir=/shop/may:/shop/june,upperdir=/shop/mine,workdir=/shop/work
mount -t overlay overlay -o $dirs /shop/merged
"""


@sets_scene("04.2")
def written_in(lab: Lab, own: dict[str, Any]) -> None:
    """Files deleted, one by one and with their directory, copied up for nothing, and added."""
    kept = lab.run("toolbox", name="kept")
    anew = own["_anew"]
    lines = [f"rm {' '.join(own['_deleted'])}", f"rm -r {anew}", f"mkdir {anew}",
             f"touch {anew}/own", f"chmod g-r,o-r {' '.join(own['_copied'])}",
             f"head -c {own['_added']} /dev/zero >/var/added", "echo '# more' >>/etc/issue",
             "echo x >/tmp/made", "rm /tmp/made"]  # fmt: skip
    done = kept.exec(["sh", "-ec", "; ".join(lines)])
    assert done.exit_code == 0, done


@sets_scene("04.3")
def the_wrong_way_round(lab: Lab, own: dict[str, Any]) -> None:
    """The layers in the wrong order, and a whiteout that somebody has left."""
    space = {lab.volume("shop").docker.id: "/shop"}
    shop = lab.run("toolbox", name="shop", volumes=space, **RIGHTS)
    done = shop.exec(["sh", "-c", SHOP.format(**own["_facts"])])
    assert done.exit_code == 0, done


IMAGE = """
set -e
mkdir -p /image/one/bin /image/one/etc /image/two/etc /rooms/{first} /rooms/{second}
for name in sh sleep cat echo rm ls; do ln -s busybox /image/one/bin/$name; done
echo "layer one" >/image/one/etc/release; echo "layer two" >/image/two/etc/release
echo "delete me" >/image/one/etc/motd
"""
BEGIN = """
does='echo "I am $0" >/mine; rm /etc/motd; exec sleep $1'
{ rootfs /image/two:/image/one /rooms/$0 sh -c "$does" $0 $1 </dev/null >/tmp/said-$0 2>&1
  touch /tmp/ended-$0; } >/dev/null 2>&1 &
"""
PATIENCE = 10.0  # seconds


@runs_piece("04.4")
def two_boxes(lab: Lab, own: dict[str, Any], program: bytes) -> str:
    """The piece makes two boxes of one image, in a workbench in which it is a program."""
    space = {lab.volume("rooms").docker.id: "/rooms"}
    bench = workbench(lab, "rootfs", program, volumes=space)
    boxes: dict[str, int] = own["boxes"]
    first, second = boxes
    done = bench.exec(["sh", "-c", IMAGE.format(first=first, second=second)])
    assert done.exit_code == 0, done
    busybox = lab.run("base", network="none")
    bench.put("/image/one/bin/busybox", busybox.get("/bin/busybox"), mode=0o755)
    busybox.remove()
    for name, seconds in boxes.items():
        bench.exec(["sh", "-c", BEGIN, name, str(seconds)])

    def become_of() -> dict[str, str]:
        """Of each box, whether its program runs, or your piece has ended."""
        running = {process.cmdline for process in bench.processes()}
        ended = bench.exec(["ls", "/tmp"]).stdout.split()
        told = {name: "has ended" for name in boxes if f"ended-{name}" in ended}
        runs = [name for name, seconds in boxes.items() if ("sleep", str(seconds)) in running]
        return told | dict.fromkeys(runs, "runs")

    with suppress(WaitTimeoutError):
        bench.wait_until(lambda: len(become_of()) == len(boxes), what="boxes", timeout=PATIENCE)
    told = become_of()
    return "; ".join(
        f"the program of {name} {told.get(name, 'has not begun yet')}"
        + said(bench, f"/tmp/said-{name}")
        for name in boxes
    )
