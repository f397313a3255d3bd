"""The servers of one engine: who gets the next request, who is left alone for a while, when all are given up.

Requests wait here in one queue by priority and leave when a server has room below its adaptive limit. A prompt's
beginning has a home among the servers, for their prefix caches. Five faults in a row open a server's circuit: it is
left alone for 1 s, then 2, 4 up to 30, and tried with one request; the others serve meanwhile. When no server has
answered for `patience` seconds, everything that waits fails with EngineDead.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from synthkit.core.engine import Load
from synthkit.core.errors import EngineDead, EngineError
from synthkit.engines.adaptive import Limit

_FAULTS = 5
_LONGEST_REST = 30.0
_PREFIX = 512


@dataclass(eq=False)
class Server:
    """One URL and how it is doing."""

    url: str
    limit: Limit
    faults: int = 0
    """Faults since the last answer."""
    rest_until: float = 0.0
    """Nothing is sent before; by Retry-After or an open circuit."""
    gone: str | None = None
    """Why it is never asked again: a wrong key, a model it does not have."""
    native_n: bool = True
    """Cleared when it turned out to give one sample whatever `n` says."""
    constrains: bool = True
    """Cleared when it turned out not to take `response_format` and `structured: auto` leaves it to the parser."""

    def ready(self, now: float) -> bool:
        """Whether it may be sent a request now."""
        if self.gone is not None or now < self.rest_until:
            return False
        return self.limit.in_flight == 0 if self.faults >= _FAULTS else self.limit.free


class Servers:
    """A queue in front of servers that do the same."""

    def __init__(self, urls: Sequence[str], most: int, patience: float) -> None:
        """`most` requests at once to each; EngineDead after `patience` seconds without any answer."""
        self.all = [Server(url, Limit(most)) for url in urls]
        self.patience = patience
        self._queue: list[tuple[int, int, int, asyncio.Future[Server]]] = []
        self._number = 0
        self._silent: float | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def window(self) -> int:
        """All limits together and a little more, so that a server with room never waits for the executor."""
        room = sum(server.limit.value for server in self.all if server.gone is None)
        return room + max(2, room // 8)

    def load(self) -> Load:
        """Requests sent and waiting to be sent."""
        return Load(sum(server.limit.in_flight for server in self.all), len(self._queue))

    async def take(self, priority: int, prefix: str) -> Server:
        """A server with room for one request; tell it what became of it, and call `pump`."""
        if self._closed:
            raise EngineError("the engine is closed")
        loop = asyncio.get_running_loop()
        home = crc32(prefix[:_PREFIX].encode()) if len(self.all) > 1 else 0
        if not self._queue and (server := self._choose(loop.time(), home)) is not None:
            server.limit.sent()
            return server
        future: asyncio.Future[Server] = loop.create_future()
        self._number += 1
        alone = not self._queue
        heapq.heappush(self._queue, (priority, self._number, home, future))
        if alone:  # where others wait, whoever frees a place looks for them all
            self.pump()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().limit.dropped()
            self.pump()
            raise

    def answered(self, server: Server, sent: float, work: float) -> None:
        """A reply came."""
        self._heard(server)
        server.limit.done(sent, asyncio.get_running_loop().time(), work)
        self.pump()

    def heard(self, server: Server) -> None:
        """An answer that is no reply: the request was refused, or belongs nowhere; the server is well."""
        self._heard(server)
        server.limit.dropped()
        self.pump()

    def overloaded(self, server: Server, sent: float, rest: float | None) -> None:
        """429 or 503, with the seconds it asked to be left alone."""
        now = asyncio.get_running_loop().time()
        self._heard(server)
        server.limit.refused(sent, now)
        if rest:
            server.rest_until = max(server.rest_until, now + rest)
        self.pump()

    def failed(self, server: Server) -> None:
        """A reset, a timeout, a reply that is none, a 5xx."""
        now = asyncio.get_running_loop().time()
        server.limit.dropped()
        server.faults += 1
        self._silent = now if self._silent is None else self._silent
        if server.faults >= _FAULTS:
            rest = min(_LONGEST_REST, 2.0 ** (server.faults - _FAULTS))
            server.rest_until = max(server.rest_until, now + rest)
        self.pump()

    def dropped(self, server: Server) -> None:
        """The request was cancelled."""
        server.limit.dropped()
        self.pump()

    def dead(self) -> EngineDead | None:
        """Why nothing can be asked any more, if so."""
        if all(server.gone for server in self.all):
            return EngineDead("; ".join(f"{server.url}: {server.gone}" for server in self.all))
        silent = 0.0 if self._silent is None else asyncio.get_running_loop().time() - self._silent
        if silent > self.patience and all(server.faults >= _FAULTS or server.gone for server in self.all):
            urls = ", ".join(server.url for server in self.all)
            return EngineDead(f"no answer from {urls} for {silent:.0f} s; start the server")
        return None

    def close(self) -> None:
        """Fail everything that waits."""
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        self._fail(EngineError("the engine was closed"))

    def pump(self) -> None:
        """Send waiting requests to servers with room; otherwise see to it that someone looks again in time."""
        if not self._queue:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._queue:
            _, _, home, future = self._queue[0]
            if future.done():
                heapq.heappop(self._queue)
                continue
            server = self._choose(now, home)
            if server is None:
                break
            heapq.heappop(self._queue)
            server.limit.sent()
            future.set_result(server)
        else:
            return
        dead = self.dead()
        if dead is not None:
            self._fail(dead)
            return
        resting = [server.rest_until for server in self.all if server.gone is None and server.rest_until > now]
        if resting:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm = loop.call_at(min(resting), self.pump)

    def _heard(self, server: Server) -> None:
        server.faults = 0
        self._silent = None

    def _choose(self, now: float, home: int) -> Server | None:
        if len(self.all) == 1:
            return self.all[0] if self.all[0].ready(now) else None
        ready = [server for server in self.all if server.ready(now)]
        if len(ready) < 2:
            return ready[0] if ready else None
        first = self.all[home % len(self.all)]
        emptiest = min(ready, key=_fullness)
        return first if first in ready and _fullness(first) <= _fullness(emptiest) + 0.125 else emptiest

    def _fail(self, error: EngineError) -> None:
        queue, self._queue = self._queue, []
        for _, _, _, future in queue:
            if not future.done():
                future.set_exception(error)


def _fullness(server: Server) -> float:
    return server.limit.in_flight / server.limit.value
