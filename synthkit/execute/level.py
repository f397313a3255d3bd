"""One level: its row steps stream over the tables that are complete, one coroutine a source row.

Source rows are admitted while the engines have room (twice their windows), so memory follows the engines and not the
corpus. Only a level with a quota needs source order, which is the order of `_id`; others take rows as they are read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from synthkit.core.ids import Id
from synthkit.execute.aside import aside
from synthkit.execute.commit import Committer
from synthkit.execute.control import as_stop
from synthkit.execute.reuse import look_up
from synthkit.execute.runtime import NodeRuntime, RunScope
from synthkit.execute.tree import Course, Tree
from synthkit.execute.visit import Data

READ = 512
"""Source rows read and looked up at a time."""
IDLE = 256
"""Source rows under way where no model is asked."""


class Level:
    """The row steps of one level."""

    def __init__(self, scope: RunScope, runtimes: Sequence[NodeRuntime], concurrency: int | None) -> None:
        """`runtimes` are row steps in topological order."""
        self.scope = scope
        self.order = list(runtimes)
        self._concurrency = concurrency
        self._active: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()
        scope.control.wakes(self._freed)
        names = {runtime.name: runtime for runtime in runtimes}
        self.inputs: dict[str, list[NodeRuntime]] = {}
        """Complete table -> the steps of this level that take its rows."""
        for runtime in runtimes:
            source = runtime.node.inputs[0]
            if source in names:
                parent = names[source]
                parent.consumers = (*parent.consumers, runtime)
            else:
                self.inputs.setdefault(source, []).append(runtime)
        self._roles = sorted({role for runtime in runtimes for role in runtime.node.roles})

    async def run(self) -> None:
        """Stream every input table through; returns when all is committed, raises what stopped the run."""
        for runtime in self.order:
            await aside(self.scope.control, runtime.open, self.scope.store)
        committer = Committer(self.scope.control)
        committer.start()
        try:
            for source, entries in self.inputs.items():
                await self._stream(source, entries, committer)
            await self._settle()
        finally:
            for task in self._active:
                task.cancel()
            await asyncio.gather(*self._active, return_exceptions=True)
            await committer.close()
        if self.scope.control.reason is not None:
            raise self.scope.control.reason
        await self._forget()

    async def _stream(self, source: str, entries: Sequence[NodeRuntime], committer: Committer) -> None:
        reachable = _reachable(entries)
        order = [runtime for runtime in self.order if runtime in reachable]
        course = Course.of(order, entries)
        gated = bool(course.gates)
        sequence = 0
        async with aclosing(self._batches(source, order, ordered=gated)) as batches:
            async for batch in batches:
                memos = look_up(order, ((runtime, row, data) for runtime in entries for row, data in batch))
                for row, data in batch:
                    await self._admit(committer, gated)
                    if self.scope.control.stopping:
                        return
                    tree = Tree(sequence, row, data, memos, course.finder)
                    task = asyncio.create_task(self._grow(tree, course, committer))
                    self._active.add(task)
                    task.add_done_callback(self._ended)
                    sequence += 1

    async def _grow(self, tree: Tree, course: Course, committer: Committer) -> None:
        committer.add(await tree.grow(course))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._active.discard(task)
        self._freed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self.scope.control.stop(as_stop(error))

    async def _admit(self, committer: Committer, gated: bool) -> None:
        """Wait until one more source row may begin."""
        await committer.room()
        while len(self._active) >= self._limit(gated) and not self.scope.control.stopping:
            self._freed.clear()
            await self._freed.wait()

    def _limit(self, gated: bool) -> int:
        if self._concurrency is not None:
            return self._concurrency
        if not self._roles:
            return IDLE
        engines = {id(r): r for r in (self.scope.running(role) for role in self._roles)}
        # Behind a quota finished trees wait for their turn, so more must be under way to keep the engines busy.
        return max(32, (4 if gated else 2) * sum(r.engine.window for r in engines.values()))

    async def _settle(self) -> None:
        """Wait for the last trees, or for a stop."""
        while self._active and not self.scope.control.stopping:
            self._freed.clear()
            await self._freed.wait()

    async def _forget(self) -> None:
        """Take out what belongs to rows that are no longer in the input."""
        for runtime in self.order:
            if runtime.snapshot is None:
                continue
            assert runtime.table is not None, "opened above"
            for rows in runtime.snapshot.unvisited():
                await runtime.table.write([], [], rows)
                if self.scope.control.reason is not None:
                    raise self.scope.control.reason

    async def _batches(
        self, source: str, order: Sequence[NodeRuntime], *, ordered: bool
    ) -> AsyncGenerator[list[tuple[Id, Data]], None]:
        """Rows of a complete table with the columns that this level reads."""
        from synthkit.core.types.arrow import decode

        node = self.scope.graph.nodes[source]
        wanted = {name for runtime in order for name in runtime.decides} & set(node.columns)
        columns = {name: node.columns[name] for name in node.columns if name in wanted}
        frame = self.scope.store.scan(source, list(columns), ordered=ordered)
        reader: Any = iter(frame.collect_batches(chunk_size=READ, maintain_order=ordered))
        while (batch := await aside(self.scope.control, next, reader, None)) is not None:
            table = batch.to_arrow()
            ids: list[Id] = table.column("_id").to_pylist()
            for at in range(0, len(ids), READ):
                part = decode(table.slice(at, READ).select(list(columns)), columns)
                yield list(zip(ids[at : at + READ], part, strict=True))


def _reachable(entries: Sequence[NodeRuntime]) -> set[NodeRuntime]:
    found: set[NodeRuntime] = set()
    waiting = list(entries)
    while waiting:
        runtime = waiting.pop()
        if runtime not in found:
            found.add(runtime)
            waiting.extend(runtime.consumers)
    return found
