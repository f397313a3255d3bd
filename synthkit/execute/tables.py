"""Sources, barriers and unions: steps whose whole table is computed at once, or not at all.

A barrier is computed again only when its fingerprint or the order-free digest of its input changed; a source only when
its stamp did (sizes and times of files, the version of another run's table). The result replaces the table in one
commit, so a kill leaves the old table or the new one.
"""

from __future__ import annotations

import asyncio
import heapq
import queue
import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from synthkit.core.action import SourceAction, TableAction
from synthkit.core.ids import Id, digest, mint, unordered
from synthkit.core.outcome import Reject
from synthkit.execute.aside import Abandoned, Worker, aside
from synthkit.execute.context import TableRunContext
from synthkit.execute.runtime import NodeRuntime, RunScope

if TYPE_CHECKING:
    from synthkit.core.types import Type

BATCH = 4096
LOOK = 0.1
"""Seconds after which a thread that waits looks whether anybody still waits for it."""


async def run_table(runtime: NodeRuntime, limit: int | None, readers: Any) -> None:
    """Bring one source, table or union node up to date; `state.steps` remembers what it was computed from."""
    scope = runtime.scope
    node = runtime.node
    runtime.table = scope.store.table(node.name)
    ctx = TableRunContext(runtime, limit, readers)
    steps: dict[str, Any] = scope.store.state.setdefault("steps", {})
    known: dict[str, Any] = steps.get(node.name, {})
    stamp: str | None = None
    if node.kind == "source":
        assert isinstance(node.action, SourceAction), f"{node.name} is a source"
        stamp = await node.action.stamp(ctx)
        mark = digest([stamp, limit]) if stamp is not None else None
    else:
        mark = await aside(scope.control, _digest, runtime)
    made_of_it = mark is not None and known.get("fingerprint") == node.fingerprint and known.get("input") == mark
    if made_of_it and known.get("rows") == runtime.table.count():  # who removes a damaged table wants it made anew
        runtime.figures.rows_out = runtime.figures.reused = runtime.table.count()
        return
    if node.kind == "source":
        assert isinstance(node.action, SourceAction), f"{node.name} is a source"
        batches = node.action.batches(ctx)
        if limit is not None:
            batches = _first(batches, limit)
    elif node.kind == "union":
        batches = _union(runtime)
    else:
        assert isinstance(node.action, TableAction), f"{node.name} is a table step"
        batches = node.action.table(ctx.scan(), ctx)
    if steps.pop(node.name, None) is not None:
        scope.store.save()  # or, after a kill, an input that comes back to its old digest would reuse other rows
    await _replace(runtime, batches, ctx.rejects, mark or "")
    partial = limit is not None or any(steps.get(name, {}).get("partial") for name in node.parents)
    rows = runtime.table.count()
    steps[node.name] = {"fingerprint": node.fingerprint, "input": mark, "partial": partial, "rows": rows}
    if stamp is not None:
        steps[node.name]["read"] = stamp
    scope.store.save()


async def _replace(runtime: NodeRuntime, batches: AsyncIterator[Any], rejects: Iterable[Reject], mark: Id) -> None:
    """Hand batches from the action's thread to the writer's through a short queue: flat memory at any size.

    The action has a thread (and an event loop) of its own, so that the run's loop hears Ctrl-C while it computes.
    """
    import pyarrow as pa

    assert runtime.table is not None, "opened by run_table"
    control = runtime.scope.control
    pipe: queue.Queue[Any] = queue.Queue(maxsize=4)
    ended = threading.Event()

    def incoming() -> Iterator[Any]:
        while control.reason is None:
            with suppress(queue.Empty):
                item = pipe.get(timeout=LOOK)
                if item is None:
                    return
                if isinstance(item, BaseException):
                    raise item
                yield item
        raise control.reason

    def put(item: Any) -> None:
        while not ended.is_set():
            with suppress(queue.Full):
                pipe.put(item, timeout=LOOK)
                return
        raise Abandoned

    def work(self: Worker) -> None:
        last: BaseException | None = None
        try:
            asyncio.run(make(self))
        except Abandoned:
            raise
        except BaseException as error:
            last = error
        put(last)  # the writer's thread waits for it, whatever happened

    async def make(self: Worker) -> None:
        with self.exposed():
            async for batch in batches:
                runtime.figures.rows_out += batch.num_rows
                put(batch.append_column("_in", pa.array([mark] * batch.num_rows, pa.string())))

    worker = Worker(work, f"synthkit-{runtime.name}")
    worker.start()
    try:
        await runtime.table.replace(incoming(), rejects)
    except BaseException:
        worker.abandon()
        ended.set()
        raise


def _digest(runtime: NodeRuntime) -> Id:
    """The order-free digest of what a barrier reads: its input's declared columns and the tables it names."""
    scope = runtime.scope
    node = runtime.node
    parts = []
    for name in node.parents:
        source = scope.graph.nodes[name]
        whole = node.kind == "union" or name in node.extra
        names = sorted(node.extra_reads.get(name, source.columns)) if whole else list(runtime.declared)
        parts.append(unordered(row_digests(scope, name, {column: source.columns[column] for column in names})))
    return digest(parts)


def digest_beside(runtime: NodeRuntime) -> Id:
    """The order-free digest of the tables that a row step reads whole."""
    scope, node = runtime.scope, runtime.node
    parts = []
    for name in node.extra:
        types = scope.graph.nodes[name].columns
        names = sorted(node.extra_reads.get(name, types))
        parts.append(unordered(row_digests(scope, name, {column: types[column] for column in names})))
    return digest(parts)


def row_digests(scope: RunScope, step: str, columns: Mapping[str, Type]) -> Iterator[Id]:
    """A digest of each row of a step: its id and some columns; raises the run's reason when it stops."""
    from synthkit.core.types.arrow import decode

    for batch in scope.store.scan(step, list(columns)).collect_batches(chunk_size=BATCH):
        if scope.control.reason is not None:
            raise scope.control.reason
        table = batch.to_arrow()
        rows = decode(table.select(list(columns)), columns) if columns else [{}] * table.num_rows
        for ident, row in zip(table.column("_id").to_pylist(), rows, strict=True):
            yield digest([ident, row])


async def _first(batches: AsyncIterator[Any], limit: int) -> AsyncIterator[Any]:
    """The first `limit` rows by id; one pass, never more than `limit` rows in memory."""
    import pyarrow as pa

    least: list[tuple[int, int, Any]] = []
    order = 0
    async for batch in batches:
        for at, ident in enumerate(batch.column("_id").to_pylist()):
            order += 1
            entry = (-int(ident, 16), order, batch.slice(at, 1))
            if len(least) < limit:
                heapq.heappush(least, entry)
            elif entry[0] > least[0][0]:
                heapq.heapreplace(least, entry)
    if least:
        rows = [entry[2] for entry in sorted(least, key=lambda each: -each[0])]
        for part in pa.Table.from_batches(rows).combine_chunks().to_batches():
            yield part


async def _union(runtime: NodeRuntime) -> AsyncIterator[Any]:
    """Rows of every branch under new ids; their columns stay where they are and are joined on reading."""
    import pyarrow as pa

    node = runtime.node
    for branch in node.inputs:
        for batch in runtime.scope.store.scan(branch, []).collect_batches(chunk_size=BATCH):
            ids: list[Id] = batch.get_column("_id").to_list()
            columns: Mapping[str, Any] = {
                "_id": pa.array([mint(ident, node.name, branch) for ident in ids], pa.string()),
                "_parents": pa.array([[ident] for ident in ids], pa.list_(pa.string())),
                "_branch": pa.array([branch] * len(ids), pa.string()),
            }
            yield pa.RecordBatch.from_pydict(dict(columns))
