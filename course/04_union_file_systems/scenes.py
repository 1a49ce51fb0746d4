"""What is there when an exercise of chapter 04 begins."""

from typing import Any

from labkit import Lab
from labkit.checks import sets_scene

WORKBENCH: dict[str, Any] = {
    "cap_add": ["SYS_ADMIN"],
    "security_opt": ["seccomp=unconfined", "apparmor=unconfined"],
}
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
    shop = lab.run("toolbox", name="shop", volumes=space, **WORKBENCH)
    done = shop.exec(["sh", "-c", SHOP.format(**own["_facts"])])
    assert done.exit_code == 0, done
