"""What is there when an exercise of chapter 02 begins."""

from typing import Any

from labkit import Lab
from labkit.checks import sets_scene

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
