"""Runs a graph, level by level, on one event loop; whatever ends it, what is finished is kept.

Order of work in a level: sources and barriers first, each complete before the next reads it, then all row steps of the
level side by side. Published tables are written last and only by a whole run.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from synthkit.core.errors import StoreFull
from synthkit.execute.aside import aside
from synthkit.execute.control import Control, as_stop
from synthkit.execute.engines import EnginePool
from synthkit.execute.level import Level
from synthkit.execute.options import RunOptions
from synthkit.execute.runtime import NodeRuntime, RunScope
from synthkit.execute.tables import digest_beside, run_table
from synthkit.execute.unchanged import begin, finish, is_done, level_mark
from synthkit.plan.graph import Graph, Node

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from synthkit.core.store import RunStore


class Readers(Protocol):
    """How a run reaches other runs; given by the composition root."""

    async def read_spec(self, node: str, table: str) -> pl.LazyFrame:
        """Bring the sub-spec of that node up to date and scan its published table."""
        ...

    def read_run(self, run: str, table: str) -> pl.LazyFrame:
        """Scan a published table of a finished run."""
        ...

    def run_folder(self, run: str) -> Path:
        """The directory of that run."""
        ...

    async def version(self, node: str, table: str, run: str | None) -> str:
        """Which table `read_spec` (or `read_run`, where `run` is given) would scan now."""
        ...


class Executor:
    """One run of one graph."""

    def __init__(
        self,
        graph: Graph,
        store: RunStore,
        options: RunOptions,
        *,
        pool: EnginePool,
        control: Control,
        readers: Readers,
    ) -> None:
        """`store` is open for writing; `pool` and `control` may be shared with a surrounding run."""
        self.graph = graph
        self.store = store
        self.options = options
        self.scope = RunScope(graph, store, pool, control)
        self.published: dict[str, int] = {}
        """Published tables and their rows, once the run is whole."""
        self.chosen = graph.ancestors(options.until) if options.until else frozenset(graph.nodes)
        """Steps that this run brings up to date."""
        self._readers = readers

    async def run(self) -> None:
        """Bring every table up to date; raises Stopped where it ended early."""
        store = self.store
        store.describe(self.graph.layouts())
        store.state["complete"] = False
        store.state["limit"] = self.options.limit
        store.save()
        done = asyncio.Event()
        sync = asyncio.create_task(self._sync(done))
        try:
            for nodes in self.graph.levels():
                await self._level([node for node in nodes if node.name in self.chosen])
        except (StoreFull, OSError) as error:
            raise as_stop(error) from error
        finally:
            done.set()  # and never cancelled: a segment half moved would be moved twice
            await sync
        self._check()
        if self.options.until is None:
            for table in self.graph.publish.values():
                columns = list(table.columns)
                rows = await aside(self.scope.control, store.publish, table.name, table.node, columns, table.columns)
                self.published[table.name] = rows
            store.state["complete"] = True
        store.save()

    async def _level(self, nodes: list[Node]) -> None:
        rows = [node for node in nodes if node.kind == "row"]
        for node in nodes:
            self._check()
            if node.kind != "row":
                runtime = NodeRuntime(node, self.scope)
                await run_table(runtime, self.options.limit, self._readers)
        self._check()
        if rows:
            await self._stream([NodeRuntime(node, self.scope) for node in rows])

    async def _stream(self, runtimes: list[NodeRuntime]) -> None:
        for runtime in runtimes:
            if runtime.node.extra:
                runtime.beside = await aside(self.scope.control, digest_beside, runtime)
        mark = await level_mark(self.scope, runtimes)
        if mark is not None and is_done(self.scope, runtimes, mark):
            for runtime in runtimes:
                runtime.figures.rows_out = runtime.figures.reused = self.store.table(runtime.name).count()
            return
        begin(self.scope, runtimes)
        await Level(self.scope, runtimes, self.options.concurrency).run()
        if mark is not None:
            finish(self.scope, runtimes, mark)

    def _check(self) -> None:
        if self.scope.control.reason is not None:
            raise self.scope.control.reason

    async def _sync(self, done: asyncio.Event) -> None:
        """fsync the journal each second: what power loss can take is a second of completions."""
        while not done.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), 1.0)
            try:
                await self.store.journal.sync()
            except BaseException as error:
                self.scope.control.stop(as_stop(error))
                return
