"""The namespaces of processes, and with whom a container shares its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from labkit.errors import ProcessGoneError
from labkit.host import Host, host_error
from labkit.kernel import KINDS, Namespace, Namespaces
from labkit.table import Table, Tabular

_NS_LINKS = tuple(f"ns/{kind}" for kind in KINDS)


def read_namespaces(host: Host, pid: int) -> Namespaces:
    """The namespaces of one process. Shell: `lsns --task PID`. Source: namespaces(7).

    Raises ProcessGoneError, HostPermissionError.
    """
    return read_namespaces_of(host, [pid])[pid]


def read_namespaces_of(
    host: Host, pids: Iterable[int], *, may_end: Collection[int] = ()
) -> dict[int, Namespaces]:
    """The namespaces of some processes, in one request; of `may_end`, those that have not ended.

    Raises ProcessGoneError, HostPermissionError.
    """
    wanted = list(pids)
    requests = [
        {"op": "link", "path": f"/proc/{pid}/{link}"} for pid in wanted for link in _NS_LINKS
    ]
    answers = host.ask(requests)
    found = {}
    for index, pid in enumerate(wanted):
        mine = answers[index * len(KINDS) : (index + 1) * len(KINDS)]
        links = {kind: a["value"] for kind, a in zip(KINDS, mine, strict=True) if "value" in a}
        # Every kernel has `mnt`. A process that has ended, and waits to be asked after, has not.
        if "mnt" not in links:
            place = KINDS.index("mnt")
            error = host_error(requests[index * len(KINDS) + place], mine[place])
            gone = isinstance(error, ProcessGoneError)
            if gone and pid in may_end:
                continue
            if gone or not links:
                raise error
        found[pid] = Namespaces.from_links(links)
    return found


def read_namespace_table(host: Host) -> dict[int, Namespaces]:
    """The namespaces of every process that may be seen. Shell: `lsns`."""
    table = {}
    for pid, seen in host.sweep(link=_NS_LINKS).items():
        links = {name[3:]: link for name, link in seen.items() if link is not None}
        table[pid] = Namespaces.from_links(links)
    return table


@dataclass(frozen=True, repr=False)
class NamespaceTable(Tabular, Mapping[str, Namespace]):
    """A container's namespaces by kind, and with whom it shares each."""

    name: str
    own: Namespaces
    host: Namespaces
    others: Mapping[str, Namespaces]  # the other running containers of the lab, by name

    def __getitem__(self, kind: str) -> Namespace:
        return self.own[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self.own)

    def __len__(self) -> int:
        return len(self.own)

    def relation(self, kind: str) -> str:
        """ "shared with host", "shared with NAME, ..." or "its own"."""
        mine = self.own[kind]
        if self.host.get(kind) == mine:
            return "shared with host"
        sharing = [name for name, other in sorted(self.others.items()) if other.get(kind) == mine]
        return f"shared with {', '.join(sharing)}" if sharing else "its own"

    def table(self) -> Table:
        rows = [(kind, self.relation(kind)) for kind in KINDS if kind in self.own]
        return Table(("namespace", self.name), rows)
