"""A modelled engine's clock: N slots, each busy for a fixed time per sample.

One timer per group of samples that start together instead of a task per sample, so that a benchmark measures the
executor and not the model of the engine: about 8 us of CPU per request at 256 slots.
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass, field

from synthkit.core.engine import Load


@dataclass(eq=False)
class _Job:
    """One request: samples not started yet, samples running, and whom to tell."""

    waiting: int
    seconds: float
    done: asyncio.Future[None]
    running: int = 0
    timers: list[asyncio.TimerHandle] = field(default_factory=list)


class Slots:
    """`count` slots shared by all requests, lower priority first, then first come; 0 slots are without end."""

    def __init__(self, count: int) -> None:
        """Nothing runs yet."""
        self.count = count
        self.running = 0
        self._queue: list[tuple[int, int, _Job]] = []
        self._number = 0

    def load(self) -> Load:
        """Samples running and waiting."""
        return Load(self.running, sum(job.waiting for _, _, job in self._queue if not job.done.done()))

    async def hold(self, samples: int, seconds: float, priority: int = 0) -> None:
        """Return once `samples` slots were each busy for `seconds`; cancelling frees them at once."""
        job = _Job(samples, seconds, asyncio.get_running_loop().create_future())
        self._number += 1
        heapq.heappush(self._queue, (priority, self._number, job))
        self._start()
        try:
            await job.done
        finally:
            if job.running:
                for timer in job.timers:
                    timer.cancel()
                self.running -= job.running
                job.running = 0
                self._start()

    def _start(self) -> None:
        """Give free slots to the samples that come next."""
        loop = asyncio.get_running_loop()
        while self._queue and (not self.count or self.running < self.count):
            job = self._queue[0][2]
            if job.done.done():
                heapq.heappop(self._queue)
                continue
            started = min(job.waiting, self.count - self.running) if self.count else job.waiting
            job.waiting -= started
            job.running += started
            self.running += started
            if not job.waiting:
                heapq.heappop(self._queue)
            job.timers.append(loop.call_later(job.seconds, self._finish, job, started))

    def _finish(self, job: _Job, samples: int) -> None:
        """Free the slots of samples that are done."""
        job.running -= samples
        self.running -= samples
        if not job.running and not job.waiting and not job.done.done():
            job.done.set_result(None)
        self._start()
