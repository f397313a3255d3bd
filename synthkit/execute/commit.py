"""Moves finished rows into the store in batches, off the rows' way.

Whole parents only: all children of one row at one step go into one append. A batch is cut at 1,000 rows or half a
second, whichever comes first: at 64 rows a Lance commit costs as much as at 1,000. The executor waits when more than
`BACKLOG` rows are not yet written, so that memory stays flat when the disk is slower than the engines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from synthkit.core.outcome import Outcome
from synthkit.execute.control import Control, Stopped, as_stop
from synthkit.execute.runtime import NodeRuntime
from synthkit.execute.visit import Visit

BATCH = 1000
BACKLOG = 5_000
SECONDS = 0.5


class Committer:
    """One per level; owns the order in which its tables are written."""

    def __init__(self, control: Control) -> None:
        """Nothing runs until `start`."""
        self._control = control
        self._waiting: dict[NodeRuntime, list[Visit]] = {}
        self._rows = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        control.wakes(self._room)
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin writing."""
        self._task = asyncio.create_task(self._write())

    def add(self, visits: Iterable[Visit]) -> None:
        """Take over finished visits; what is pending or reused is only counted."""
        for one in visits:
            if not one.gone:
                self._count(one)
            if one.reused or (one.pending and not one.stale):
                continue
            self._waiting.setdefault(one.runtime, []).append(one)
            self._rows += max(1, len(one.children) + len(one.rejects))
        if self._rows >= BATCH:
            self._wake.set()
        if self._rows >= BACKLOG:
            self._room.clear()

    async def room(self) -> None:
        """Wait while too much is unwritten and the run goes on."""
        if not self._control.stopping:
            await self._room.wait()

    async def close(self) -> None:
        """Write what is left and end; where it cannot be written, that has stopped the run."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task

    def _count(self, one: Visit) -> None:
        figures = one.runtime.figures
        figures.rows_in += 1
        figures.rows_out += len(one.children)
        figures.reused += one.reused
        figures.pending += one.pending
        if not one.children and not one.pending:
            figures.rejected += 1
            last = one.rejects[-1] if one.rejects else None
            if last is not None:
                figures.reasons[last.reason] += 1
                figures.failed += last.outcome is Outcome.FAILED
        decided = figures.rows_in - figures.pending
        limit = one.runtime.node.reject_rate
        if decided >= 100 and figures.failed > limit * decided:
            worst = ", ".join(f"{reason} ({n})" for reason, n in figures.reasons.most_common(3))
            self._control.stop(
                Stopped(
                    f"{figures.failed} of {decided} rows failed at {one.runtime.name!r}, more than reject_rate "
                    f"{limit:g} allows: {worst}; see `synthkit rejects`"
                )
            )

    async def _write(self) -> None:
        try:
            while not (self._closing and not self._waiting):
                if not self._closing:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._wake.wait(), SECONDS)
                self._wake.clear()
                waiting, self._waiting, self._rows = self._waiting, {}, 0
                for runtime, visits in waiting.items():
                    await _commit(runtime, visits)
                self._room.set()
        except BaseException as error:  # a panic of native code is no Exception, and who waits for room must hear of it
            self._control.stop(as_stop(error))


async def _commit(runtime: NodeRuntime, visits: list[Visit]) -> None:
    assert runtime.table is not None, "a level opens its tables before it streams"
    decided = [one for one in visits if not one.pending]
    rows = [record for one in decided for record in one.records()]
    rejects = [reject for one in decided for reject in one.rejects]
    await runtime.table.write(rows, rejects, [one.row for one in visits if one.stale])
