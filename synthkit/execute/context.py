"""What a row action and a table action may touch: the two contexts, over one run's shared scope."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import orjson

from synthkit.core.expr import compile_expression
from synthkit.core.ids import Id, seed
from synthkit.core.outcome import Outcome, Reject
from synthkit.core.part import Part
from synthkit.core.row import Reply, Row
from synthkit.core.store import JournalKey, JournalRecord
from synthkit.execute.ask import ask, embed
from synthkit.execute.lineage import ancestors

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl
    import pyarrow as pa

    from synthkit.core.store import Store
    from synthkit.core.toolset import Toolset
    from synthkit.core.types import Type
from synthkit.execute.runtime import NodeRuntime
from synthkit.execute.spool import Spool

T = TypeVar("T")


class RowRejected(Exception):
    """Raised by `ctx.reject`; carries what the rejects table keeps."""

    def __init__(self, reason: str, outcome: Outcome, detail: Mapping[str, Any]) -> None:
        """See `Context.reject`."""
        super().__init__(reason)
        self.reason = reason
        self.outcome = outcome
        self.detail = detail


class _SharedContext:
    """Members that row and table contexts have in common."""

    __slots__ = ("runtime",)

    def __init__(self, runtime: NodeRuntime) -> None:
        self.runtime = runtime

    @property
    def step(self) -> str:
        """Full name of the step."""
        return self.runtime.name

    @property
    def vars(self) -> Mapping[str, Any]:
        """The spec's variables."""
        return self.runtime.scope.graph.vars

    @property
    def toolset(self) -> Toolset | None:
        """The spec's toolset."""
        return self.runtime.scope.graph.toolset

    @property
    def columns(self) -> Mapping[str, Type]:
        """Types of the input columns the action declared."""
        return self.runtime.declared

    @property
    def adds(self) -> Mapping[str, Type]:
        """Types of the columns the action adds."""
        return self.runtime.node.adds

    @property
    def store(self) -> Store:
        """The run's tables, indexes and artifacts."""
        return self.runtime.scope.store

    def evaluate(self, expr: str, row: Mapping[str, Any], **extra: Any) -> Any:
        """The value of an expression over the row's columns and `vars`."""
        functions = frozenset({"p", *(name for name, value in extra.items() if callable(value))})
        compiled = compile_expression(expr, functions)
        return compiled.evaluate(row, vars=self.vars, toolset=self.toolset, extra=extra or None)

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` by the spec's tokenizer."""
        return self.runtime.scope.count_tokens(text)


class RowContext(_SharedContext):
    """The context of one row at one step."""

    __slots__ = ("attempt", "changed", "rejects", "row_id")

    def __init__(self, runtime: NodeRuntime, row_id: Id) -> None:
        """`attempt` and `changed` come from `retry`."""
        super().__init__(runtime)
        self.row_id = row_id
        self.attempt, self.changed = runtime.attempts.get(row_id, (0, {})) if runtime.attempts else (0, {})
        self.rejects: list[Reject] = []

    async def ask(
        self,
        model: str,
        prompt: str,
        row: Mapping[str, Any],
        *,
        key: str = "main",
        n: int = 1,
        out: Any = None,
        labels: Sequence[str] = (),
        **extra: Any,
    ) -> list[Reply]:
        """See `Context.ask`."""
        return await ask(self, model, prompt, row, key=key, n=n, out=out, labels=labels, extra=extra)

    async def embed(self, model: str, text: str, *, key: str = "main") -> list[float]:
        """See `Context.embed`."""
        return await embed(self, model, text, key=key)

    async def effect(self, key: str, fn: Callable[[], Awaitable[Any]]) -> Any:
        """See `Context.effect`."""
        journal = self.runtime.scope.store.journal
        name = JournalKey(self.row_id, self.step, f"effect:{key}", self.attempt, "")
        found = await journal.find(name)
        if found:
            return orjson.loads(found[0].samples[0]["text"])
        began = time.monotonic()
        value = await fn()
        text = orjson.dumps(value).decode()
        sample = {"text": text, "finish": "stop", "reasoning": None, "label_logprobs": None}
        seconds = time.monotonic() - began
        journal.append(JournalRecord(name, 0, (sample,), kind="effect", seconds=seconds, at=time.time()))
        return orjson.loads(text)

    def rng(self, *key: Any) -> Random:
        """A generator seeded by (run seed, step, row, key)."""
        return Random(seed(self.runtime.scope.graph.seed, self.step, self.row_id, *key))

    def scan(self, step: str, columns: Sequence[str] | None = None) -> pl.LazyFrame:
        """See `Context.scan`."""
        return self.store.scan(self.runtime.node.tables[step], columns)

    def render(self, prompt: str, row: Mapping[str, Any], **extra: Any) -> tuple[str, list[dict[str, Any]]]:
        """See `Context.render`."""
        scope = self.runtime.scope
        assert scope.graph.prompts is not None, "a graph that renders has prompts"
        return scope.graph.prompts.get(prompt).document({**scope.template_context(), **row, **extra})

    def reject(self, reason: str, outcome: Outcome = Outcome.FILTERED, **detail: Any) -> NoReturn:
        """See `Context.reject`."""
        raise RowRejected(reason, outcome, detail)

    def set_aside(self, reject: Reject) -> None:
        """Keep one sample's reject until the row is committed."""
        self.rejects.append(reject)


class TableRunContext(_SharedContext):
    """The context of a table or source action."""

    __slots__ = ("_loop", "_readers", "limit", "rejects")

    def __init__(self, runtime: NodeRuntime, limit: int | None, readers: Any) -> None:
        """`readers` brings in other runs (`read_spec`, `read_run`)."""
        super().__init__(runtime)
        self.limit = limit
        self.rejects = Spool(runtime.scope.store.path)
        self._readers = readers
        self._loop = asyncio.get_running_loop()
        """The run's: the action has another one, on its own thread."""

    def scan(self, step: str | None = None, columns: Sequence[str] | None = None) -> pl.LazyFrame:
        """See `TableContext.scan`."""
        if step is not None:
            return self.store.scan(self.runtime.node.tables[step], columns)
        names = list(self.runtime.declared) if columns is None else list(columns)
        return self.store.scan(self.runtime.node.inputs[0], names)

    def origins(self, step: str) -> pl.LazyFrame:
        """See `TableContext.origins`."""
        return ancestors(self.store, self.runtime.node.inputs[0], self.runtime.node.tables[step])

    def parts(self, step: str) -> Mapping[str, Part]:
        """See `TableContext.parts`."""
        return self.store.layouts[self.runtime.node.tables[step]].parts

    def rng(self, *key: Any) -> Random:
        """A generator seeded by (run seed, step, key)."""
        return Random(seed(self.runtime.scope.graph.seed, self.step, *key))

    def drop(
        self, rows: Iterable[Id], outcome: Outcome, reason: str, details: Iterable[Mapping[str, Any]] = ()
    ) -> None:
        """See `TableContext.drop`."""
        given = iter(details)
        fingerprint = self.runtime.node.fingerprint
        for row in rows:
            self.rejects.append(
                Reject(self.step, row, outcome, reason, detail=next(given, {}), fingerprint=fingerprint)
            )

    async def read_spec(self, spec: str, table: str, with_vars: Mapping[str, Any]) -> pl.LazyFrame:
        """See `TableContext.read_spec`."""
        frame: pl.LazyFrame = await self._there(self._readers.read_spec(self.runtime.name, table))
        return frame

    def read_run(self, run: str, table: str) -> pl.LazyFrame:
        """See `TableContext.read_run`."""
        frame: pl.LazyFrame = self._readers.read_run(run, table)
        return frame

    def run_folder(self, run: str) -> Path:
        """See `TableContext.run_folder`."""
        folder: Path = self._readers.run_folder(run)
        return folder

    async def published_version(self, table: str, *, run: str | None = None) -> str:
        """See `TableContext.published_version`."""
        version: str = await self._there(self._readers.version(self.runtime.name, table, run))
        return version

    async def _there(self, wanted: Coroutine[Any, Any, T]) -> T:
        """What a coroutine of the run's event loop gives."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(wanted, self._loop))

    def row(self, record: Mapping[str, Any]) -> Row:
        """A row of `scan` as plain values."""
        from synthkit.core.types.arrow import decode_record

        values = {name: value for name, value in record.items() if not name.startswith("_")}
        return Row(record["_id"], decode_record(values, self.runtime.node.input_columns))

    def batch(self, records: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
        """Rows of this step as Arrow: `_id`, `_parents` and the added columns."""
        from synthkit.core.types import ListOf, Str
        from synthkit.core.types.arrow import encode

        system = {"_id": Str(), "_parents": ListOf(Str())}
        return encode({**system, **self.adds}, records)
