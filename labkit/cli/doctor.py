"""`labkit doctor`: what works on this machine, what does not, and how to mend it."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from labkit import paths
from labkit.engine import Engine, connect
from labkit.engine.discovery import summary
from labkit.engine.vm import (
    KEPT,
    cache_contents,
    choose_machine,
    find_disk,
    find_image,
    find_snapshot,
    machine_disks,
)
from labkit.errors import LabError
from labkit.host import LocalHost
from labkit.images import is_built, needed_images
from labkit.inspect import read_namespaces

SPEED = {
    "kvm": "faster than emulated: no instruction is translated",
    "tcg": "it starts in about 1 s from its snapshot, in 10 to 15 s without; "
    "a container in about 2 s",
}


MORE = ("memory", "snapshot", "cache", "cache's end")  # rows of the micro-VM's


@dataclass
class Diagnosis:
    """All that the doctor found, ready for JSON."""

    python: str
    user: str
    engine: dict[str, Any] | None = None
    tried: list[str] = field(default_factory=list)  # what was tried and did not work
    host: str | None = None  # how the engine's processes are seen
    room: int | None = None  # how many more containers fit, where that is known
    images: dict[str, bool] = field(default_factory=dict)  # whether each is there
    vm: dict[str, str] = field(default_factory=dict)  # the micro-VM that could be had
    problems: list[dict[str, str]] = field(default_factory=list)  # what, seen, do

    @property
    def healthy(self) -> bool:
        """Whether nothing is missing."""
        return not self.problems

    def problem(self, err: LabError) -> None:
        """Note an error as something to mend."""
        self.problems.append({"what": err.what, "seen": err.seen, "do": err.do})


def diagnose() -> Diagnosis:
    """Find out what works; nothing raises, everything is noted."""
    found = Diagnosis(
        python=".".join(map(str, sys.version_info[:3])),
        user="root" if os.geteuid() == 0 else f"uid {os.geteuid()}",
        vm=_vm(),
    )
    try:
        engine = connect()
        found.tried = summary(engine.tried)
        found.engine = {
            "kind": engine.kind,
            "url": engine.endpoint.url,
            **dataclasses.asdict(engine.facts),
        }
        _images(engine, found)
        _host(engine, found)
    except LabError as err:
        found.problem(err)
    return found


def _vm() -> dict[str, str]:
    """The micro-VM, whether it is the engine in use or not."""
    cache = paths.cache() / "vm"
    try:
        machine, why = choose_machine(cache)
    except LabError as err:
        return {"none": f"{err.what} {err.seen} ({err.do})"}
    image = find_image(cache)
    made = image is not None and find_snapshot(cache, find_disk(image), machine) is not None
    return {
        "qemu": machine.version.removeprefix("version "),
        "accelerator": machine.accelerator,
        "emulated because": (why or "").partition("\n")[0],
        "speed": SPEED[machine.accelerator],
        "memory": f"{machine.memory} MiB; `--memory` or LABKIT_MEMORY decides otherwise",
        "snapshot": "there" if made else "not made yet (`labkit engine build`)",
        **vm_cache(cache),
    }


def vm_cache(cache: Path) -> dict[str, str]:
    """What the micro-VM's cache holds, and how it is removed."""
    held = {kind: sizes for kind, sizes in cache_contents(cache).items() if sizes}
    if not held:
        return {"cache": f"nothing in {cache} yet"}
    parts = [f"{kind} {sum(sizes) >> 20} ({len(sizes)})" for kind, sizes in held.items()]
    total = sum(map(sum, held.values())) >> 20
    kept: list[str] = []
    with suppress(PermissionError):
        kept = [str(disk) for disk in machine_disks(cache) if disk.name == KEPT]
    lost = f" (with it goes what is in {', '.join(kept)})" if kept else ""
    return {
        "cache": f"{total} MiB in {cache}: {'; '.join(parts)}. What nobody uses goes by itself",
        "cache's end": f"labkit engine stop; rm -r {cache}{lost}",
    }


def _images(engine: Engine, found: Diagnosis) -> None:
    found.images = {image.name: is_built(engine, image) for image in needed_images()}
    missing = [name for name, there in found.images.items() if not there]
    if missing:
        found.problem(
            LabError(
                "Lab images are missing or out of date.",
                seen=", ".join(missing),
                do="labkit images build",
            )
        )


def _host(engine: Engine, found: Diagnosis) -> None:
    try:
        host = engine.host
        kinds = read_namespaces(host, host.anchor)
    except LabError as err:
        found.problem(err)
        return
    found.host = f"{host.how}, {len(kinds)} kinds of namespaces"
    found.room = engine.room()
    if not isinstance(host, LocalHost):
        engine.close()


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Say what was found, what was tried and failed, and how to mend what is missing."""
    found = diagnose()
    if as_json:
        typer.echo(json.dumps({**dataclasses.asdict(found), "healthy": found.healthy}, indent=2))
    else:
        _show(found)
    if not found.healthy:
        raise typer.Exit(1)


def _vm_rows(vm: dict[str, str]) -> list[tuple[str, str]]:
    if "none" in vm:
        return [("micro-VM", f"none: {vm['none']}")]
    how = "with KVM" if vm["accelerator"] == "kvm" else f"emulated: {vm['emulated because']}"
    return [
        ("micro-VM", f"QEMU {vm['qemu']}, {how}"),
        ("its speed", vm["speed"]),
        *((f"its {name}", vm[name]) for name in MORE if name in vm),
    ]


def _show(found: Diagnosis) -> None:
    console = Console(highlight=False, soft_wrap=True)
    rows = [("python", found.python), ("user", found.user)]
    if found.engine:
        facts = found.engine
        rows += [
            ("engine", f"{facts['product']} {facts['version']}, {facts['kind']}"),
            ("listens at", facts["url"]),
            ("runs on", f"{facts['operating_system']}, kernel {facts['kernel']}"),
            ("cgroups", f"v{facts['cgroup_version']}, driver {facts['cgroup_driver']}"),
            ("storage driver", facts["storage_driver"]),
        ]
    if found.host:
        rows.append(("host is seen", found.host))
    if found.room is not None:
        small = "which need little themselves; `labkit engine start --memory MIB` makes more room"
        rows.append(("room for", f"{found.room} containers more, {small}"))
    rows += [
        (f"image {name}", "there" if there else "missing") for name, there in found.images.items()
    ]
    rows += _vm_rows(found.vm)
    rows += [("tried before", attempt) for attempt in found.tried]
    for name, value in rows:
        console.print(f"{name:<16} {value}", markup=False)
    for problem in found.problems:
        console.print(f"\n✗ {problem['what']}", style="bold red", markup=False)
        console.print(f"  seen: {problem['seen']}\n  do:   {problem['do']}", markup=False)
    if found.healthy:
        console.print("\n✓ everything is there", style="green")
