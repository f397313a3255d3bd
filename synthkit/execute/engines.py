"""Engines of a run: started when first asked, shared by the specs it reads, fed in order of priority.

A slot is given to the waiting request of the lowest number (later steps first), so that rows finish instead of
piling up between steps. Two roles on one engine, or two specs on equal configurations, load it once.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Mapping
from itertools import count

from synthkit.core.engine import Completion, Engine, EngineConfig, Load, Request, Role
from synthkit.core.errors import EngineDead, EngineError
from synthkit.core.ids import digest


class Slots:
    """At most `window` requests at one engine; the window may change while they run."""

    def __init__(self, engine: Engine) -> None:
        """`engine` tells its window anew at each release."""
        self.engine = engine
        self.busy = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = count()

    @property
    def waiting(self) -> int:
        """Requests that have no slot yet."""
        return len(self._waiting)

    async def acquire(self, priority: int) -> None:
        """Wait for a slot."""
        if self.busy < self.engine.window and not self._waiting:
            self.busy += 1
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._order), future))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Give the slot back, and hand out as many as the window now allows."""
        self.busy -= 1
        while self._waiting and self.busy < self.engine.window:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                self.busy += 1
                future.set_result(None)


class Running:
    """One engine of the pool."""

    def __init__(self, name: str, config: EngineConfig, roles: Mapping[str, Role]) -> None:
        """Nothing is loaded yet."""
        self.name = name
        self.config = config
        self.engine = config.build(roles)
        self.slots = Slots(self.engine)
        self._start: asyncio.Task[None] | None = None

    async def ready(self) -> None:
        """Start the engine once, whoever asks first."""
        if self._start is None:
            self._start = asyncio.create_task(self._begin())
        await asyncio.shield(self._start)

    @property
    def starting(self) -> bool:
        """Whether it is being loaded at this moment."""
        return self._start is not None and not self._start.done()

    @property
    def started(self) -> bool:
        """Whether it answers requests."""
        return self._start is not None and self._start.done() and not self._start.exception()

    async def _begin(self) -> None:
        try:
            await self.engine.start()
        except EngineError as error:
            raise EngineDead(f"engine {self.name!r} did not start: {error}") from error

    async def complete(self, request: Request) -> tuple[Completion, float]:
        """Wait for a slot and answer; with the seconds that the engine took, without the wait."""
        await self.ready()
        await self.slots.acquire(request.priority)
        began = time.monotonic()
        try:
            return await self.engine.complete(request), time.monotonic() - began
        finally:
            self.slots.release()

    async def close(self) -> None:
        """Stop it, if it was started."""
        if self._start is None:
            return
        self._start.cancel()
        await asyncio.gather(self._start, return_exceptions=True)
        await self.engine.close()


class EnginePool:
    """All engines of a run and of the specs it reads."""

    def __init__(self) -> None:
        """Empty until a role is looked up."""
        self._running: dict[str, Running] = {}
        self._roles: dict[str, dict[str, Role]] = {}

    def expect(self, config: EngineConfig, roles: Mapping[str, Role]) -> None:
        """Roles that will ask the engine of that configuration: it is built to serve those of every spec."""
        known = self._roles.setdefault(_key(config), {})
        for name, role in roles.items():
            if known.setdefault(name, role) != role:  # two specs may name different roles alike
                known[f"{name}#{digest(role.model_dump(mode='json'))[:6]}"] = role

    def get(self, name: str, config: EngineConfig, roles: Mapping[str, Role]) -> Running:
        """The engine of that configuration; the same object for equal configurations."""
        key = _key(config)
        if key not in self._running:
            self.expect(config, roles)
            self._running[key] = self.make(name, config, self._roles[key])
        return self._running[key]

    def make(self, name: str, config: EngineConfig, roles: Mapping[str, Role]) -> Running:
        """A new entry of the pool."""
        return Running(name, config, roles)

    def loads(self) -> dict[str, Load]:
        """Requests running and waiting, by engine name; only of started engines."""
        found = {}
        for running in self._running.values():
            if running.started:
                load = running.engine.load()
                found[running.name] = Load(load.running, load.waiting + running.slots.waiting)
        return found

    def starting(self) -> list[str]:
        """Names of the engines that are being loaded at this moment."""
        return [running.name for running in self._running.values() if running.starting]

    async def close(self) -> None:
        """Stop every engine; a failure of one does not keep the others alive."""
        await asyncio.gather(*(r.close() for r in self._running.values()), return_exceptions=True)


def _key(config: EngineConfig) -> str:
    return digest([config.kind, config.model_dump(mode="json")])
