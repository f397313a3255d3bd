"""`group`: one row for each value of a column, with what its rows say collected as lists.

A group's id is made of (step, key), so a new member changes the row and not its name. What a member carries besides the
key is the same throughout (`resolve` sees to it); where it is not, lists are united, and of other values the first
one counts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from synthkit.core.action import Column, Scope, TableAction
from synthkit.core.context import TableContext
from synthkit.core.ids import canonical, mint
from synthkit.core.outcome import Outcome
from synthkit.core.row import Row, Value
from synthkit.core.sizes import Range

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from synthkit.core.types import Type

_BATCH = 256
_DROPPED = 4096


class Group(TableAction):
    """Bring the rows that share a value together in one row.

    Memory: the declared columns as Arrow, once more while they are sorted, plus 40 bytes a row: about twice the bytes
    of the text, 0.5 KB for a statement. Groups are then made one after another.

    Gives: `by`, the columns of `carry`, and a list for each name of `collect`.

    Errors: filtered `no KEY` where a key is absent; `group too small` and `group too large`.

    Source: one row an entity is AgentFounder's open-world memory; the verb is ours.
    """

    verb: ClassVar[str] = "group"
    carries: ClassVar[bool] = False

    by: Column | list[Column]
    """What the rows of a group share."""
    carry: list[Column] = Field(default_factory=list)
    """Columns kept beside it: lists are united, of other values the first one counts."""
    collect: dict[str, list[Column]] = Field(default_factory=dict)
    """New column -> columns: a list with one item a row, which has these and the row's `id`."""
    order: Column | None = None
    """Order of the items, absent values last; rows that are equal in it go by id."""
    size: Range = Range()
    """Rows a group must have: `3..`. The rows of other groups are set aside."""

    def adds(self, scope: Scope) -> Mapping[str, Type]:
        """Key, carried columns and lists."""
        from synthkit.core.types import ListOf, Object, Str
        from synthkit.core.types.model import bare

        found = {name: scope.columns[name] for name in self._by if name in scope.columns}
        for name in self.carry:
            if name in scope.columns:
                carried = bare(scope.columns[name])
                found[name] = ListOf(carried.of) if isinstance(carried, ListOf) else scope.columns[name]
        for name, columns in self.collect.items():
            fields = {column: scope.columns[column] for column in columns if column in scope.columns}
            found[name] = ListOf(Object({"id": Str(), **fields}))
        return found

    def check(self, scope: Scope) -> None:
        """Names that would be given twice."""
        for name, columns in self.collect.items():
            if name in {*self._by, *self.carry}:
                scope.problem(f"{name!r} is already the name of a carried column", ("collect", name))
            if "id" in columns:
                scope.problem(
                    "an item has the row's `id` already", ("collect", name), help="rename the column by `let`"
                )

    @property
    def _by(self) -> list[str]:
        return [self.by] if isinstance(self.by, str) else self.by

    async def table(self, scan: pl.LazyFrame, ctx: TableContext) -> AsyncIterator[pa.RecordBatch]:
        """Groups in the order of their keys."""
        import polars as pl

        columns = list(dict.fromkeys([*self._by, *self.carry, *(c for cs in self.collect.values() for c in cs)]))
        order = [self.order] if self.order is not None else []
        sort = [*self._by, *order, "_id"]
        frame = scan.select(list(dict.fromkeys(["_id", *columns, *order]))).collect()
        nameless = frame.filter(pl.any_horizontal(pl.col(self._by).is_null())).select("_id")
        for part in nameless.iter_slices(_DROPPED):
            ctx.drop(part["_id"].to_list(), Outcome.FILTERED, f"no {' or '.join(self._by)}")
        frame = frame.drop_nulls(self._by).sort(sort, nulls_last=True)
        waiting = []
        for key, members in _groups(frame.iter_rows(named=True), self._by, ctx):
            ids = [row.id for row in members]
            if len(members) not in self.size:
                small = self.size.low is not None and len(members) < self.size.low
                detail = {"size": len(members), "wanted": str(self.size), "group": key}
                ctx.drop(ids, Outcome.FILTERED, "group too small" if small else "group too large", [detail] * len(ids))
            else:
                waiting.append({"_id": mint("", ctx.step, *key), "_parents": ids, **self._row(members)})
            if len(waiting) == _BATCH:
                yield ctx.batch(waiting)
                waiting = []
        if waiting:
            yield ctx.batch(waiting)

    def _row(self, members: list[Row]) -> dict[str, Value]:
        """One group's columns."""
        found: dict[str, Value] = {name: members[0][name] for name in self._by}
        for name in self.carry:
            values = [row[name] for row in members if row[name] is not None]
            found[name] = _united(values) if values and isinstance(values[0], list) else next(iter(values), None)
        for name, columns in self.collect.items():
            found[name] = [{"id": row.id, **{column: row[column] for column in columns}} for row in members]
        return found


def _groups(
    records: Iterable[Mapping[str, Any]], by: list[str], ctx: TableContext
) -> Iterator[tuple[list[Value], list[Row]]]:
    """Runs of sorted rows with the same key."""
    rows = (ctx.row(record) for record in records)
    for _, members in groupby(rows, key=lambda row: canonical([row[name] for name in by])):
        group = list(members)
        yield [group[0][name] for name in by], group


def _united(lists: Iterable[list[Value]]) -> list[Value]:
    """All items, each once, in order."""
    found: dict[bytes, Value] = {}
    for values in lists:
        for value in values:
            found.setdefault(canonical(value), value)
    return list(found.values())
