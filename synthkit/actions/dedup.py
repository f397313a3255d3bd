"""`dedup`: rows that say the same, to the letter, nearly, or by vectors, collapse to the one with the smallest id.

The column decides what alike is: of texts a Jaccard of shingles at or above `threshold`, found by MinHash and verified
exactly, or with `exact` equality; of vectors a cosine, of all pairs. What is alike to a duplicate is one too.
Statements of different dates or figures are alike and must both stay: `apart` keeps them, and `cluster` ties them, so
that two values for one claim can be found. Sketches of texts are kept in Lance beside the run, so a text is sketched
once, whatever becomes of the run, the other rows or the step's other parameters.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
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
    from numpy import bool_, float64, int64
    from numpy.typing import NDArray

    from synthkit.actions.likeness import Likeness
    from synthkit.actions.near.rows import Known, Rows
    from synthkit.core.types import Type

_BATCH = 4096
_WORDS = 5
_ALIKE = 0.8


class Against(BaseModel):
    """A published table whose rows ours must not repeat."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str
    """A finished run, `name` or `name@tag`; never built."""
    table: str
    """Its published table."""
    column: str | None = None
    """The text or vector that is compared; the column of the same name as `by` where left out."""


class Dedup(TableAction):
    """Of rows with nearly the same text, or with near vectors, keep the one with the smallest id.

    A row whose text (or vector) is none is like no other and stays. Memory per row: 350 bytes, whatever its text, 8 for
    each other text it was compared with and is unlike, and 500 for a duplicate until the step is written. On disk, in
    the run's `artifacts/sketches`, a text takes 700 bytes and 4 a word; twice with `cluster`; nothing with `exact`.
    Vectors take 4 bytes a number while the step runs, in a file that memory caches.

    Gives: the first row of each kind, by id; with `cluster` the id of its cluster.

    Errors: duplicate `duplicate`, with `dup_of` and the similarity.

    Source: MinHash (Broder 1997) finds candidates, their exact Jaccard decides; vectors as SemDeDup does (arXiv
    2303.09540), but not within clusters: every pair at or above the threshold is found.
    """

    verb: ClassVar[str] = "dedup"

    by: Column
    """The text that is compared, or the vector (`embed` makes it)."""
    within: Column | None = None
    """Only rows that share this value are compared."""
    apart: list[Column] = Field(default_factory=list)
    """Rows that differ in one of these are never duplicates."""
    exact: bool = False
    """Only the same text, character by character, is a duplicate."""
    threshold: Annotated[Share, Field(gt=0)] | None = None
    """Least Jaccard of two texts that are alike, 0.8 where left out; 1 is the same shingles. Of vectors the least
    cosine, which has no default: what it means depends on the model."""
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
        """Settings that exclude each other, a column that cannot be compared, and tables that lack one."""
        if self.words is not None and self.chars is not None:
            scope.problem("words and chars exclude each other", ("chars",))
        declared = scope.columns.get(self.by)
        vectors = declared is not None and _is_vector(declared)
        if declared is not None and not vectors and not _is_text(declared):
            scope.problem(f"{self.by!r} must be text or a vector, not {declared}", ("by",))
        why = "exact compares whole texts" if self.exact else f"{self.by!r} is a vector" if vectors else ""
        for name in ("words", "chars", "cluster", *(["threshold"] if self.exact else [])):
            if why and getattr(self, name) is not None:
                scope.problem(f"{why}, so {name} has no meaning", (name,))
        if vectors and self.exact:
            scope.problem("exact compares texts, and vectors by a threshold", ("exact",))
        elif vectors and self.threshold is None:
            todo = "write threshold: 0.9, say, and look at the similarity of its rejects"
            scope.problem("near is another cosine for each model, so a vector needs a threshold", ("by",), todo)
        for number, each in enumerate(self.against):
            self._check_against(scope, each, ("against", number))

    def _check_against(self, scope: Scope, other: Against, at: tuple[str | int, ...]) -> None:
        if scope.is_own_run(other.run):
            scope.problem("against the run itself each row would be a duplicate of its own", at, "name another run")
            return
        there = scope.published(other.table, spec=None, run=other.run, with_vars={}, at=at)
        if not there:
            return
        has = f"it has: {', '.join(there)}"
        by = other.column or self.by
        ours = scope.columns.get(self.by)
        if by not in there:
            scope.problem(f"{other.table!r} of {other.run!r} has no column {by!r}", at, f"write column: ...; {has}")
        elif ours is not None and _is_vector(ours):
            if not _is_vector(there[by]):
                scope.problem(f"{by!r} of {other.run!r} must be a vector, not {there[by]}", at)
            elif _bare(there[by]) != _bare(ours):
                told = f"{by!r} is {_bare(there[by])} in {other.run!r} and {self.by!r} {_bare(ours)} here"
                scope.problem(f"{told}: vectors of two models cannot be compared", at)
        elif not _is_text(there[by]):
            scope.problem(f"{by!r} of {other.run!r} must be text, not {there[by]}", at)
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

        if any(ctx.run_folder(each.run).resolve() == ctx.store.path.resolve() for each in self.against):  # by `--out`
            raise SpecError("dedup against the run itself: each of its rows would be a duplicate of its own")
        schema = ctx.batch([]).schema
        with ExitStack() as stack:
            likeness = self._likeness(ctx)
            rows, tables = self._rows(scan, ctx, [stack.enter_context(each) for each in likeness.known])
            there = (rows.texts[0] >= 0).nonzero()[0]  # what is none is like no other
            some = rows if len(there) == len(rows) else rows.only(there)
            found = likeness.found(some, int(there.searchsorted(len(tables))))
            same, alike = (_among(there, each, len(rows)) for each in found.firsts())
            kept = same == _numbers(len(rows))
            kept[: len(tables)] = False
            self._drop(rows, tables, same, kept, lambda a, b: found.similarities(*(there.searchsorted((a, b)))), ctx)
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

    def _likeness(self, ctx: TableContext) -> Likeness:
        """What decides, by the column and the settings."""
        from synthkit.actions.likeness import Equal, Near, Worded

        if self.exact:
            return Equal()
        if _is_vector(ctx.columns[self.by]):
            assert self.threshold is not None, "`check` asks for it"
            return Near(ctx.store.artifact("vectors"), self.threshold)
        size, characters = self.chars or self.words or _WORDS, self.chars is not None
        beside = dict.fromkeys(ctx.run_folder(each.run) / "artifacts" / _FOLDER for each in self.against)
        return Worded(
            ctx.store.artifact(_FOLDER), beside, size, self.threshold or _ALIKE, characters, self.cluster is not None
        )

    def _rows(self, scan: pl.LazyFrame, ctx: TableContext, known: list[Known]) -> tuple[Rows, NDArray[int64]]:
        """All rows in order, and for those of other tables which it is; what was not known before is now."""
        from synthkit.actions.near.rows import in_order, read_rows

        within = [self.within] if self.within else []
        others = [
            read_rows(ctx.read_run(each.run, each.table), each.column or self.by, within, self.apart, known)
            for each in self.against
        ]
        ours = read_rows(scan, self.by, within, self.apart, known)
        for each in known:
            each.finish()
        return in_order(ours, others)

    def _drop(
        self,
        rows: Rows,
        tables: NDArray[int64],
        same: NDArray[int64],
        kept: NDArray[bool_],
        similarities: Callable[[NDArray[int64], NDArray[int64]], NDArray[float64]],
        ctx: TableContext,
    ) -> None:
        """Account for the duplicates, each with the row it repeats, how alike the two are, and whose it is."""
        import numpy as np

        from synthkit.actions.near.rows import id_strings

        gone = np.flatnonzero(~kept[len(tables) :]) + len(tables)
        likeness = similarities(gone, same[gone]).tolist()
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
    from synthkit.core.types import Choice, Date, Str

    return isinstance(_bare(declared), Str | Choice | Date)


def _is_vector(declared: Type) -> bool:
    from synthkit.core.types import Float, ListOf, Vector

    found = _bare(declared)
    return isinstance(found, Vector) or (isinstance(found, ListOf) and isinstance(found.of, Float))


def _bare(declared: Type) -> Type:
    from synthkit.core.types.model import bare

    return bare(declared)


def _numbers(count: int) -> NDArray[int64]:
    import numpy as np

    return np.arange(count, dtype=np.int64)


def _among(there: NDArray[int64], firsts: NDArray[int64], count: int) -> NDArray[int64]:
    """What was found among some rows as numbers of all rows; every other row is the first of its own."""
    if len(there) == count:
        return firsts
    found = _numbers(count)
    found[there] = there[firsts]
    return found
