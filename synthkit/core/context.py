"""Everything an action may touch while it runs; it never imports an engine or a store.

`key` in `ask` and `effect` is unique within (row, step): concurrent calls of one row are told apart by it and
not by timing, so that a resumed run finds each finished call in the journal.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from synthkit.core.ids import Id
from synthkit.core.outcome import Outcome
from synthkit.core.row import Reply, Row, Value

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from synthkit.core.part import Part
    from synthkit.core.store import Store
    from synthkit.core.toolset import Toolset
    from synthkit.core.types import Type


class Shared(Protocol):
    """What row and table actions have in common."""

    @property
    def step(self) -> str:
        """Full name of the step."""
        ...

    @property
    def vars(self) -> Mapping[str, Value]:
        """The spec's variables."""
        ...

    @property
    def toolset(self) -> Toolset | None:
        """The spec's toolset."""
        ...

    @property
    def columns(self) -> Mapping[str, Type]:
        """Types of the input columns the action declared."""
        ...

    @property
    def adds(self) -> Mapping[str, Type]:
        """Types of the columns the action adds."""
        ...

    @property
    def store(self) -> Store:
        """The run's tables, indexes and artifacts."""
        ...

    def evaluate(self, expr: str, row: Mapping[str, Value], **extra: Any) -> Value:
        """The value of an expression over the row's columns and `vars`; `extra` adds names or functions."""
        ...

    def rng(self, *key: Any) -> Random:
        """A generator seeded by (run seed, step, key): the same on every machine and after every resume."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` by the spec's tokenizer."""
        ...


class Context(Shared, Protocol):
    """The context of one row at one step."""

    async def ask(
        self,
        model: str,
        prompt: str,
        row: Mapping[str, Value],
        *,
        key: str = "main",
        n: int = 1,
        out: Any = None,
        labels: Sequence[str] = (),
        **extra: Value,
    ) -> list[Reply]:
        """Render `prompt` over `row` (and `extra`), ask role `model`, journal, parse; the samples that fit.

        `out` is a type of the out: language (text, mapping or `Type`); without it a reply has only its text.
        With `labels` the reply is one token and `probabilities` are set. A sample that does not parse is asked
        again with the error (`Role.reask` times), then set aside: the list may be shorter than `n`, or empty.
        """
        ...

    async def embed(self, model: str, text: str, *, key: str = "main") -> list[float]:
        """The vector that role `model` has for a text; journaled as `ask` is."""
        ...

    async def effect(self, key: str, fn: Callable[[], Awaitable[Value]]) -> Value:
        """The journaled result of any other non-deterministic work (a tool, the clock): done once, then replayed."""
        ...

    def scan(self, step: str, columns: Sequence[str] | None = None) -> pl.LazyFrame:
        """Some or all columns of a step above that a `StepName` field names, with `_id`; the step is complete."""
        ...

    def render(self, prompt: str, row: Mapping[str, Value], **extra: Value) -> tuple[str, list[dict[str, Any]]]:
        """A document: its text and its role spans `{role, start, end}` in characters."""
        ...

    def reject(self, reason: str, outcome: Outcome = Outcome.FILTERED, **detail: Value) -> NoReturn:
        """This row gives no rows; ends the action for it."""
        ...


class TableContext(Shared, Protocol):
    """The context of a table or source action."""

    @property
    def limit(self) -> int | None:
        """`--limit`: a source may end early only if it gives the first N rows by id; the executor cuts anyway."""
        ...

    def scan(self, step: str | None = None, columns: Sequence[str] | None = None) -> pl.LazyFrame:
        """The declared columns of the input (or all of a step named by a `StepName` field), or some; with `_id`."""
        ...

    def origins(self, step: str) -> pl.LazyFrame:
        """`_id` of each input row, and `_origin`: the row of a step above (a `StepName` or `Origin` field) it is of."""
        ...

    def parts(self, step: str) -> Mapping[str, Part]:
        """Columns of a step (as for `origins`) that are parts of a list of its input."""
        ...

    def drop(
        self, rows: Iterable[Id], outcome: Outcome, reason: str, details: Iterable[Mapping[str, Value]] = ()
    ) -> None:
        """Account for input rows that are parents of no output row; `details` are one per row, or none."""
        ...

    async def read_spec(self, spec: str, table: str, with_vars: Mapping[str, Value]) -> pl.LazyFrame:
        """Bring another spec's run up to date and scan its published table (`read: {spec: ...}`)."""
        ...

    def read_run(self, run: str, table: str) -> pl.LazyFrame:
        """Scan a published table of a finished run, `name@tag` or `name` (`read: {run: ...}`); never builds."""
        ...

    def run_folder(self, run: str) -> Path:
        """The directory of the finished run that `read_run` would scan a table of."""
        ...

    async def published_version(self, table: str, *, run: str | None = None) -> str:
        """Names what `read_run` of `run`, else `read_spec`, would scan now; a spec is brought up to date first."""
        ...

    def row(self, record: Mapping[str, Any]) -> Row:
        """A row of `scan` as plain values (json columns decoded)."""
        ...

    def batch(self, records: Sequence[Mapping[str, Any]]) -> Any:
        """A `pyarrow.RecordBatch` of `_id`, `_parents` and the added columns, from plain values."""
        ...
