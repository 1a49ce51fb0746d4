"""What is there when an exercise of chapter 06 begins."""

from typing import Any

from labkit import Lab
from labkit.checks import sets_scene

MIB = 40  # that each of three containers keeps, in its way
PLACES = {"program": "", "shared": "/dev/shm/kept", "files": "/kept"}
KEEPS = """
import os, time
kept = b"x" * (int(os.environ["MIB"]) << 20)
if place := os.environ["PLACE"]:
    with open(place, "wb") as file:
        file.write(kept)
    del kept
print("ready", flush=True)
time.sleep(1e6)
"""


@sets_scene("06.2")
def of_one_weight(lab: Lab, own: dict[str, Any]) -> None:
    """Three containers that are charged about the same, for three different reasons."""
    for name, way in own["_ways"].items():
        environment = {"MIB": str(MIB), "PLACE": PLACES[way]}
        command = ["python3", "-c", KEEPS]
        lab.run("toolbox", command, name=name, environment=environment).wait_log("ready")


@sets_scene("06.3")
def wants_a_quarter(lab: Lab, own: dict[str, Any]) -> None:
    """A program that asks the machine how much memory there is, and believes it."""
    command = ["python3", "-c", own["program"]]
    lab.run("toolbox", command, name="greedy", memory=own["memory"]).wait_exit()
