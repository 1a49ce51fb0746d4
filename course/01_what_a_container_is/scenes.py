"""What is there when an exercise of chapter 01 begins."""

from typing import Any

from labkit import Lab
from labkit.checks import sets_scene

FRONT = 'sh -c "$0"; echo "the program has ended"'


@sets_scene("01.4")
def behind_a_shell(lab: Lab, own: dict[str, Any]) -> None:
    """A program that would hear, but not TERM, and behind a shell that hears nothing."""
    slow = lab.run("base", ["sh", "-c", FRONT, own["program"]], name="slow")
    slow.wait_log("ready")
