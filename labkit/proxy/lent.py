"""For as long as a build takes, the engine knows the lab's images by the learner's names.

A Dockerfile names them so in `FROM`. A name that is somebody's stays theirs; of two labs that have
one name the second waits for the first, or its build would begin from the other's image. A second
name on the image says whose the lent one is: so no other lab takes it for the engine's own, and it
is taken back after a helper that was killed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from contextlib import AbstractAsyncContextManager, suppress
from typing import TYPE_CHECKING, Any

from labkit import lock, paths
from labkit.proxy.names import LENT, PORT, lent_names, with_tag
from labkit.proxy.refusal import Refusal

if TYPE_CHECKING:
    from labkit.proxy.world import World

WAIT = 120.0  # seconds for another lab's build
LOOK = 0.1  # seconds between looks at whether it has ended


class Lending:
    """The names that one lab has lent; several of its builds may use one."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._users: dict[str, int] = {}
        self._locks: dict[str, int] = {}

    async def lend(self, world: World, name: str, image: str) -> bool:
        """Whether the lab's image has this name now, until `end`. Raises Refusal."""
        async with self._turn:
            if name not in self._users:
                end = asyncio.get_running_loop().time() + WAIT
                held = await _hold(name, end)
                try:
                    if not await _tagged(world, name, image, end):
                        os.close(held)
                        return False
                except BaseException:
                    os.close(held)
                    raise
                self._locks[name] = held
            self._users[name] = self._users.get(name, 0) + 1
            return True

    async def end(self, world: World, name: str) -> None:
        """A build needs it no more."""
        async with self._turn:
            self._users[name] -= 1
            if self._users[name]:
                return
            del self._users[name]
            try:
                await _untag(world, name, world.names.mark(name))
            finally:
                os.close(self._locks.pop(name))


class Lent(AbstractAsyncContextManager[None]):
    """One build's use of the names."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._names: list[str] = []

    async def __aenter__(self) -> None:
        own = {
            self._world.names.shown_image(tag): str(one["Id"])
            for one in await self._world.ask("/images/json", {})
            for tag in one.get("RepoTags") or ()
            if self._world.names.is_own_image(tag) and not LENT.match(tag)
        }
        try:
            for name in sorted(own):  # in one order, or two labs would wait for each other
                if not PORT.match(name) and await self._world.lending.lend(
                    self._world, name, own[name]
                ):
                    self._names.append(name)
        except BaseException:
            await self.__aexit__()
            raise

    async def __aexit__(self, *_: Any) -> None:
        for name in self._names:
            with suppress(Refusal):  # the engine has gone
                await self._world.lending.end(self._world, name)


async def take_back(world: World) -> None:
    """End what a helper that was killed has lent. Raises Refusal where no engine answers."""
    for one in await world.ask("/images/json", {}):
        for name, whose in lent_names(one.get("RepoTags") or ()).items():
            if whose == world.names.images:
                # Only from this image: who has given the name to another keeps it.
                own = [name] if name in one["RepoTags"] else []
                await _untag(world, *own, world.names.mark(name))


async def _hold(name: str, end: float) -> int:
    """Hold the lock of a name; other labs' sockets are other processes'. Raises Refusal."""
    folder = paths.home() / "lent"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / hashlib.sha256(name.encode()).hexdigest()[:16]
    while (fd := lock.take(path)) is None:
        await _wait(name, end)
    return fd


async def _wait(name: str, end: float) -> None:
    if asyncio.get_running_loop().time() > end:
        raise Refusal(
            503,
            f"another lab on this engine has an image {name} too, and has been building for "
            f"{WAIT:g} seconds; try again, or give your image another name",
        )
    await asyncio.sleep(LOOK)


async def _tagged(world: World, name: str, image: str, end: float) -> bool:
    """Whether the name was nobody's, and is the image's now. Raises Refusal."""
    while True:
        status, seen = await world.engine.json("GET", f"/images/{name}/json")
        if status != 200:
            break
        if name not in lent_names(seen.get("RepoTags") or ()):
            return False
        await _wait(name, end)  # a lab of another user's, whose lock is elsewhere
    for one in (world.names.mark(name), name):  # first whose it is
        repo, _, tag = with_tag(one).rpartition(":")
        said = {"repo": [repo], "tag": [tag]}
        status, _ = await world.engine.json("POST", f"/images/{image}/tag", said)
        if status >= 300:
            await _untag(world, world.names.mark(name))
            return False
    return True


async def _untag(world: World, *names: str) -> None:
    for one in names:
        said = {"noprune": ["1"], "force": ["1"]}
        await world.engine.json("DELETE", f"/images/{one}", said)
