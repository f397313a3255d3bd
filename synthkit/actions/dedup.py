"""`dedup`: rows that say the same, word for word or nearly, collapse to the one with the smallest id.

Alike is a Jaccard of shingles at or above `threshold`, found by MinHash and verified exactly; what is alike to a
duplicate is one too. Statements of different dates or figures are alike and must both stay: `apart` keeps them, and
`cluster` ties them, so that two values for one claim can be found. Sketches of texts are kept in Lance beside the run,
so a text is sketched once, whatever becomes of the run, the other rows or the step's other parameters.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from synthkit.core.action import Column, NewColumn, Scope, TableAction
from synthkit.core.context import TableContext
from synthkit.core.errors import SpecError
from synthkit.core.outcome import Outcome
from synthkit.core.sizes import Share

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from numpy import bool_, int64
    from numpy.typing import NDArray

    from synthkit.actions.near.duplicates import Duplicates
    from synthkit.actions.near.rows import Rows
    from synthkit.actions.near.sketched import Sketched
    from synthkit.core.types import Type

_BATCH = 4096
_WORDS = 5


class Against(BaseModel):
    """A published table whose rows ours must not repeat."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str
    """A finished run, `name` or `name@tag`; never built."""
    table: str
    """Its published table."""
    column: str | None = None
    """The text that is compared; the column of the same name as `by` where left out."""


class Dedup(TableAction):
    """Of rows with nearly the same text keep the one with the smallest id.

    Memory per row: 200 bytes, whatever its text, and 8 for each other text it was compared with and is unlike. On
    disk, in the run's `artifacts/sketches`, a text takes 700 bytes and 4 a word; twice with `cluster`.

    Gives: the first row of each kind, by id; with `cluster` the id of its cluster.

    Errors: duplicate `duplicate`, with `dup_of` and the similarity.

    Source: MinHash (Broder 1997) finds candidates, their exact Jaccard decides.
    """

    verb: ClassVar[str] = "dedup"

    by: Column
    """The text that is compared."""
    within: Column | None = None
    """Only rows that share this value are compared."""
    apart: list[Column] = Field(default_factory=list)
    """Rows that differ in one of these are never duplicates."""
    threshold: Annotated[Share, Field(gt=0)] = 0.8
    """Least Jaccard of two texts that are alike; 1 is the same shingles."""
    words: Annotated[int, Field(ge=1, le=50)] | None = None
    """Length of a shingle in words (a Chinese character is one); 5 where neither is given."""
    chars: Annotated[int, Field(ge=1, le=200)] | None = None
    """Length of a shingle in characters instead."""
    cluster: NewColumn | None = None
    """New column: the id of the first of all rows that are alike when numbers and months are not looked at."""
    against: list[Against] = Field(default_factory=list)
    """Tables of other runs: a row that is alike to one of theirs is a duplicate of it, and theirs are never given.
    They have the columns of `within` and `apart`, too."""

    def keeps_id(self) -> bool:
        """A row stays or goes."""
        return True

    def adds(self, scope: Scope) -> Mapping[str, Type]:
        """The cluster, if asked for."""
        from synthkit.core.types import Str

        return {} if self.cluster is None else {self.cluster: Str()}

    def check(self, scope: Scope) -> None:
        """Settings that exclude each other, a text that is none, and tables that lack a column."""
        if self.words is not None and self.chars is not None:
            scope.problem("words and chars exclude each other", ("chars",))
        declared = scope.columns.get(self.by)
        if declared is not None and not _is_text(declared):
            scope.problem(f"{self.by!r} must be text, not {declared}", ("by",))
        for number, each in enumerate(self.against):
            self._check_against(scope, each, ("against", number))

    def _check_against(self, scope: Scope, other: Against, at: tuple[str | int, ...]) -> None:
        there = scope.published(other.table, spec=None, run=other.run, with_vars={}, at=at)
        if not there:
            return
        has = f"it has: {', '.join(there)}"
        text = other.column or self.by
        if text not in there:
            scope.problem(f"{other.table!r} of {other.run!r} has no column {text!r}", at, f"write column: ...; {has}")
        elif not _is_text(there[text]):
            scope.problem(f"{text!r} of {other.run!r} must be text, not {there[text]}", at)
        for name in self._aside:
            if name not in there:
                scope.problem(f"{other.table!r} of {other.run!r} has no column {name!r}, which decides here", at, has)
            elif name in scope.columns and str(there[name]) != str(scope.columns[name]):
                told = f"{name!r} is {there[name]} in {other.run!r} and {scope.columns[name]} here"
                scope.problem(f"{told}, so no two values would be equal", at)

    @property
    def _aside(self) -> list[str]:
        """Columns beside the text that decide."""
        return [*([self.within] if self.within else []), *self.apart]

    async def table(self, scan: pl.LazyFrame, ctx: TableContext) -> AsyncIterator[pa.RecordBatch]:
        """The kept rows by id; every other row is a duplicate of one of them, or of one of another table."""
        import pyarrow as pa

        from synthkit.actions.near.rows import id_strings

        if any(ctx.run_folder(each.run).resolve() == ctx.store.path.resolve() for each in self.against):
            raise SpecError("dedup against the run itself: each of its rows would be a duplicate of its own")
        schema = ctx.batch([]).schema
        with ExitStack() as stack:
            kinds = [stack.enter_context(each) for each in self._sketched(ctx)]
            rows, tables = self._rows(scan, ctx, kinds)
            found = self._duplicates(rows, len(tables), kinds)
            same, alike = found.firsts()
            kept = same == _numbers(rows)
            kept[: len(tables)] = False
            self._drop(rows, tables, same, kept, found, ctx)
        at = kept.nonzero()[0]
        for start in range(0, len(at), _BATCH):
            part = at[start : start + _BATCH]
            ids = id_strings(rows.ids[part])
            columns = {
                "_id": ids,
                "_parents": pa.ListArray.from_arrays(pa.array(range(len(part) + 1), pa.int32()), ids),
            }
            if self.cluster is not None:
                columns[self.cluster] = id_strings(rows.ids[alike[part]])
            yield pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)

    def _sketched(self, ctx: TableContext) -> Iterator[Sketched]:
        """The kinds of sketch that are needed: exact, and with `cluster` one that does not look at figures."""
        from synthkit.actions.near.bands import bands
        from synthkit.actions.near.sketched import Sketched
        from synthkit.actions.near.sketcher import Shingling

        size = self.chars or self.words or _WORDS
        folder = ctx.store.artifact(_FOLDER)
        beside = dict.fromkeys(ctx.run_folder(each.run) / "artifacts" / _FOLDER for each in self.against)
        for figures in (True, False)[: 1 if self.cluster is None else 2]:
            shingling = Shingling(size, characters=self.chars is not None, figures=figures)
            yield Sketched(folder, shingling, bands(self.threshold), [each for each in beside if each != folder])

    def _rows(self, scan: pl.LazyFrame, ctx: TableContext, kinds: list[Sketched]) -> tuple[Rows, NDArray[int64]]:
        """All rows in order, and for those of other tables which it is; what was not sketched before is now."""
        from synthkit.actions.near.rows import in_order, read_rows

        within = [self.within] if self.within else []
        others = [
            read_rows(ctx.read_run(each.run, each.table), each.column or self.by, within, self.apart, kinds)
            for each in self.against
        ]
        ours = read_rows(scan, self.by, within, self.apart, kinds)
        for each in kinds:
            each.finish()
        return in_order(ours, others)

    def _duplicates(self, rows: Rows, before: int, kinds: list[Sketched]) -> Duplicates:
        from synthkit.actions.near.bands import bands
        from synthkit.actions.near.duplicates import Duplicates

        found = Duplicates(rows, before, kinds[0], kinds[-1], self.threshold)
        found.find(bands(self.threshold)[0])
        return found

    def _drop(
        self,
        rows: Rows,
        tables: NDArray[int64],
        same: NDArray[int64],
        kept: NDArray[bool_],
        found: Duplicates,
        ctx: TableContext,
    ) -> None:
        """Account for the duplicates, each with the row it repeats, how alike the two are, and whose it is."""
        import numpy as np

        from synthkit.actions.near.rows import id_strings

        gone = np.flatnonzero(~kept[len(tables) :]) + len(tables)
        likeness = found.similarities(gone, same[gone]).tolist()
        for start in range(0, len(gone), _BATCH):
            part = gone[start : start + _BATCH]
            ids, firsts = (id_strings(rows.ids[each]).to_pylist() for each in (part, same[part]))
            details: list[dict[str, Any]] = []
            for row, first, share in zip(same[part].tolist(), firsts, likeness[start : start + _BATCH], strict=True):
                other = self.against[tables[row]] if row < len(tables) else None
                where = {"run": other.run, "table": other.table} if other else {}
                details.append({"dup_of": first, "similarity": round(share, 4), **where})
            ctx.drop(ids, Outcome.DUPLICATE, "duplicate", details)


_FOLDER = "sketches"


def _is_text(declared: Type) -> bool:
    from synthkit.core.types import Choice, Date, Optional, Str

    inner = declared.of if isinstance(declared, Optional) else declared
    return isinstance(inner, Str | Choice | Date)


def _numbers(rows: Rows) -> NDArray[int64]:
    import numpy as np

    return np.arange(len(rows), dtype=np.int64)
