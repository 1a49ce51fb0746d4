"""A host whose engine is restarted, and one that remaps its users."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from other import OtherEngine

from labkit.engine import Engine
from labkit.errors import LabError
from labkit.host import Host, HostRestartedWarning, LocalHost
from labkit.inspect import Cgroup, read_id_maps, read_namespaces
from labkit.lab import Lab

REMAPPED = "nobody:5000000:65536"  # user, first id, how many: subuid(5)


@pytest.fixture
def toolbox_tar(engine: Engine) -> bytes:
    """The image `toolbox` as `docker save` writes it, for the probe of another engine."""
    return b"".join(engine.client.images.get("labkit/toolbox").save(named=True))


@pytest.fixture
def remapping_engine(base_tar: bytes, toolbox_tar: bytes) -> Iterator[OtherEngine]:
    """An engine whose containers have a user namespace each, dockerd --userns-remap."""
    with ExitStack() as stack:
        for file in (Path("/etc/subuid"), Path("/etc/subgid")):
            text = file.read_text() if file.exists() else ""
            file.write_text(f"{text}{REMAPPED}\n")
            stack.callback(file.write_text, text)
        other = OtherEngine(f"lk{secrets.token_hex(3)}")
        stack.callback(other.remove)
        other.configure(**{"userns-remap": "nobody:nogroup"})
        other.start()
        other.load(base_tar)
        other.load(toolbox_tar)
        yield other


def looked_at(host: Host, lab: Lab, name: str) -> None:
    """What the host shows of a new container is that container's."""
    box = lab.run("base", "sleep 600", name=name, memory="48m", network="none")
    assert Cgroup(host, box.pid).memory().max == 48 << 20
    assert "net" not in read_namespaces(host, box.pid).shared_with(
        read_namespaces(host, host.anchor)
    )


def test_an_engine_restarted_under_its_lab(other_engine: OtherEngine, toolbox_tar: bytes) -> None:
    other_engine.load(toolbox_tar)
    engine = other_engine.engine
    with Lab(engine=engine) as lab:
        probe, local = engine.probe(), engine.host
        assert isinstance(local, LocalHost)
        anchor = local.anchor
        for host, name in ((local, "before"), (probe, "beside")):
            looked_at(host, lab, name)
        other_engine.private.stop()
        with pytest.raises(LabError):
            probe.read("/proc/uptime")
        other_engine.start()
        looked_at(local, lab, "after")
        assert local.anchor == other_engine.pid != anchor
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            looked_at(probe, lab, "again")
        # The SDK leaves its sockets to the garbage collector where an engine is gone.
        ours = [one.category for one in caught if one.category is not ResourceWarning]
        assert ours == [HostRestartedWarning]
        probe.close()


def test_a_probe_on_an_engine_that_remaps_users(remapping_engine: OtherEngine) -> None:
    engine = remapping_engine.engine
    assert any("userns" in option for option in engine.client.info()["SecurityOptions"])
    with Lab(engine=engine) as lab:
        box = lab.run("base", "sleep 600", name="box", network="none")
        probe, local = engine.probe(), engine.host
        maps = read_id_maps(probe, box.pid)
        assert maps == read_id_maps(local, box.pid)
        assert maps[0].ranges[0].outside == 5_000_000  # its root is nobody's
        looked_at(probe, lab, "seen")
        probe.kill(box.pid, signal="KILL")
        assert box.wait_exit() == 137
        probe.close()
