"""One row at one step, shown in full: what was sent, what came back, what became of it. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from synthkit.core.engine import Completion, EngineConfig, Request, Role
from synthkit.core.errors import PlanError, StoreError
from synthkit.core.ids import Id
from synthkit.core.store import JournalKey, JournalRecord
from synthkit.execute.control import Control
from synthkit.execute.engines import EnginePool, Running
from synthkit.execute.runtime import NodeRuntime, RunScope
from synthkit.execute.visit import Visit, visit
from synthkit.plan.graph import Graph

if TYPE_CHECKING:
    from synthkit.core.store import Store


@dataclass(frozen=True, slots=True)
class Trial:
    """What `try` shows."""

    row: Id
    data: Mapping[str, Any]
    """The columns that the step reads."""
    calls: Sequence[tuple[Request, Completion]]
    visit: Visit
    changed: Sequence[tuple[Id, Mapping[str, Any]]] = field(default_factory=tuple)
    """Rows made: id and added columns."""


async def try_row(graph: Graph, store: Store, step: str, row: str | None) -> Trial:
    """Run one row step on one row (an id or its beginning; the first by id where none is given), asking anew."""
    node = graph.resolve(step)
    if node.kind != "row":
        raise PlanError(f"{step!r} is not a step that works row by row; `try` can show: {_row_steps(graph)}")
    ident, data = _find(graph, store, node.inputs[0], row, sorted(node.reads))
    pool = _Watched()
    scope = RunScope(graph, _Beside(store), pool, Control())  # type: ignore[arg-type]
    try:
        result = await visit(NodeRuntime(node, scope), ident, data)
    finally:
        await pool.close()
    return Trial(ident, {name: data.get(name) for name in node.reads}, pool.calls, result, tuple(result.children))


def _row_steps(graph: Graph) -> str:
    return ", ".join(node.name for node in graph.nodes.values() if node.kind == "row")


def _find(graph: Graph, store: Store, source: str, row: str | None, reads: Sequence[str]) -> tuple[Id, dict[str, Any]]:
    """The input row, from the run directory."""
    import polars as pl

    from synthkit.core.types.arrow import decode

    node = graph.nodes[source]
    columns = {name: node.columns[name] for name in reads if name in node.columns}
    frame = store.scan(source, list(columns))
    chosen = frame.filter(pl.col("_id").str.starts_with(row)) if row else frame.sort("_id")
    found = chosen.head(2).collect()
    if not len(found):
        said = f"no row of {source!r} begins with {row!r}" if row else f"{source!r} has no rows yet"
        raise StoreError(f"{said} in {store.path}; `synthkit run ... --limit 5 --until {source}` makes some")
    if row and len(found) > 1:
        raise StoreError(f"more than one row of {source!r} begins with {row!r}: {', '.join(found['_id'])}, ...")
    values = decode(found.head(1).select(list(columns)).to_arrow(), columns) if columns else [{}]
    return found["_id"][0], values[0]


class _Watched(EnginePool):
    """A pool that keeps what was sent and what came back."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Request, Completion]] = []

    def make(self, name: str, config: EngineConfig, roles: Mapping[str, Role]) -> Running:
        """An engine whose calls are kept."""
        return _WatchedEngine(name, config, roles, self.calls)


class _WatchedEngine(Running):
    def __init__(
        self,
        name: str,
        config: EngineConfig,
        roles: Mapping[str, Role],
        calls: list[tuple[Request, Completion]],
    ) -> None:
        super().__init__(name, config, roles)
        self._calls = calls

    async def complete(self, request: Request) -> tuple[Completion, float]:
        completion, seconds = await super().complete(request)
        self._calls.append((request, completion))
        return completion, seconds


class _Beside:
    """A run's tables for reading, and a journal that forgets."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.journal = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def find(self, key: JournalKey) -> list[JournalRecord]:
        """Nothing: `try` asks anew."""
        return []

    def append(self, record: JournalRecord) -> None:
        """Forgotten."""
