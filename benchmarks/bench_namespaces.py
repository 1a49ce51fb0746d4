"""The namespaces of every process of a host with 100 containers, against `lsns --json`."""

from __future__ import annotations

import json
import subprocess
import sys

from pairs import compare, report, timed

import labkit
from labkit.host import LocalHost
from labkit.inspect import read_namespace_table

CONTAINERS = 100
ROUNDS = 30


def lsns() -> set[int]:
    """The inode numbers of all namespaces, as util-linux sees them."""
    done = subprocess.run(["lsns", "--json"], capture_output=True, check=True)
    return {int(row["ns"]) for row in json.loads(done.stdout)["namespaces"]}


def main() -> int:
    with labkit.Lab() as lab:
        local = lab.engine.host
        if not isinstance(local, LocalHost):
            sys.exit("run it as root, with the engine on this machine: lsns must see all of it")
        made = lab.run_many("base", "sleep 600", count=CONTAINERS, network="none")
        probe = lab.engine.probe()
        try:
            theirs = timed(lsns)
            pairs = [
                compare(
                    f"namespace table, {CONTAINERS} containers : lsns",
                    timed(lambda: read_namespace_table(local)),
                    theirs,
                    rounds=ROUNDS,
                    at_most=0.4,
                ),
                compare(
                    "the same through the probe : lsns",
                    timed(lambda: read_namespace_table(probe)),
                    theirs,
                    rounds=ROUNDS,
                    at_most=0.4,
                ),
            ]
            # A table that lacks something would be quick for nothing.
            for host in (local, probe):
                table, listed = read_namespace_table(host), lsns()
                for container in made:
                    missing = {one.inode for one in table[container.pid].values()} - listed
                    assert len(table[container.pid]) >= 7 and not missing, (container, missing)
        finally:
            probe.close()
    return report(pairs)


if __name__ == "__main__":
    sys.exit(main())
