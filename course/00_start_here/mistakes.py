"""Wrong solutions of the exercises of chapter 00, and the criterion that must notice each."""

from labkit import Lab, answer, variant
from labkit.checks.catalog import mistake


@mistake("00.1", fails="first is running")
def ends_at_once(lab: Lab) -> None:
    lab.run("base", "true", name="first").wait_exit()


@mistake("00.1", fails="first is running")
def never_started(lab: Lab) -> None:
    lab.run("base", "sleep 1000", name="first", start=False)


@mistake("00.1", fails="it was started from the image base")
def another_image(lab: Lab) -> None:
    lab.run("toolbox", "sleep 1000", name="first")


@mistake("00.2", fails="the number on the host")
def both_from_inside(lab: Lab) -> None:
    lab.run("base", "sleep 1000", name="counted")
    answer("00.2", outside=1, inside=1)


@mistake("00.2", fails="the number inside")
def both_from_outside(lab: Lab) -> None:
    pid = lab.run("base", "sleep 1000", name="counted").pid
    answer("00.2", outside=pid, inside=pid)


@mistake("00.2", fails="the number on the host")
def of_an_earlier_start(lab: Lab) -> None:
    counted = lab.run("base", "sleep 1000", name="counted")
    pid = counted.pid
    counted.restart(timeout=0)
    answer("00.2", outside=pid, inside=1)


@mistake("00.3", fails="the kernel limits small to your size")
def no_limit(lab: Lab) -> None:
    lab.run("base", name="small")


@mistake("00.3", fails="the kernel limits small to your size")
def another_limit(lab: Lab) -> None:
    lab.run("base", name="small", memory="33m")


@mistake("00.3", fails="the kernel limits small to your size")
def raised_afterwards(lab: Lab) -> None:
    lab.run("base", name="small", memory=variant("00.3").memory).update(
        mem_limit="128m", memswap_limit="128m"
    )
