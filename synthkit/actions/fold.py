"""`fold`: the inverse of `unroll`, one row for each parent again, with what its items gained on the way.

Items that were rejected, or never chosen, come back as they were, so a list has no holes. The row takes its parent's id
and its parent's columns; those of single items end here. Lists are put together as the unrolled rows are read, so what
is held are the lists under way and not all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from synthkit.core.action import Column, Cost, NewColumn, Scope, StepName, TableAction
from synthkit.core.context import TableContext
from synthkit.core.ids import Id
from synthkit.core.outcome import Outcome
from synthkit.core.row import Value
from synthkit.core.sizes import Count

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from synthkit.core.part import Part
    from synthkit.core.types import Type

_BATCH = 64
_READ = 1024


class Fold(TableAction):
    """Put the rows of an unrolled list together again, with columns that were added to them.

    Memory: the columns of `add` once, as Arrow; 500 bytes of ids for each row of `unrolled`; and the lists under way.

    Gives: `into`, the list again, its items with the columns of `add`; the id and the columns are those of the row that
    was unrolled.

    Errors: filtered `fewer than N` and `items missing`; duplicate `same item`; unused `of no list` where a conditional
    `unroll` let the row pass.

    Source: merges the steps of a run again, as higher-order action synthesis does (AgentFounder).
    """

    verb: ClassVar[str] = "fold"

    unrolled: StepName
    """The step above that unrolled the list. The rows that come in must each come from one of its rows."""
    into: NewColumn
    """The list: the one that was unrolled, which is replaced, or a new column."""
    add: list[Column] = Field(default_factory=list)
    """Columns of the rows that each item gets as fields; none in items that have no row here."""
    missing: Literal["plain", "drop"] = "plain"
    """Items without a row here: they come back as they were, or the whole list is set aside."""
    at_least: Annotated[Count, Field(ge=1)] = 1
    """Items of a list that must have a row here (where `add` names columns: one with a value)."""

    def cost(self) -> Cost:
        """A list of eight rows, as `unroll` expects."""
        return Cost(rows=1 / 8)

    def adds(self, scope: Scope) -> Mapping[str, Type]:
        """The list; its items are those of the unrolled one with the fields of `add`."""
        from synthkit.core.types import ListOf, Object, Optional
        from synthkit.core.types.model import bare

        item = self._type(scope)
        if item is None:
            return {}
        more = {each: Optional(bare(scope.columns[each])) for each in self.add if each in scope.columns}
        return {self.into: ListOf(Object({**item.fields, **more}) if isinstance(item, Object) else item)}

    def replaces(self) -> frozenset[str]:
        """The list."""
        return frozenset({self.into})

    def hides(self, scope: Scope) -> frozenset[str]:
        """All that the rows have and their parent has not."""
        parts = scope.step_parts(self.unrolled)
        own = {*parts, *(part.at for part in parts.values())}
        return frozenset(scope.columns.keys() - (scope.step_columns(self.unrolled).keys() - own) - {self.into})

    def reads_of(self, step: str, scope: Scope) -> frozenset[str]:
        """The items and their numbers."""
        name, part = self._item(scope.step_parts(step))
        return frozenset({name, part.at}) if name and part else frozenset()

    def check(self, scope: Scope) -> None:
        """A step that unrolled, above; fields that are new to the items."""
        from synthkit.core.types import Object

        _, part = self._item(scope.step_parts(self.unrolled))
        item = self._type(scope)
        if part is None or item is None:
            scope.problem(f"{self.unrolled!r} unrolls no list", ("unrolled",), help="name a step with `unroll`")
            return
        if not scope.is_origin(self.unrolled):
            scope.problem(f"the rows here do not come from single rows of {self.unrolled!r}", ("unrolled",))
        if self.into in scope.columns and self.into != part.of:
            scope.problem(f"{self.into!r} is not the list that was unrolled, {part.of!r}", ("into",))
        if self.add and not isinstance(item, Object):
            scope.problem(f"an item is {item} and can gain no fields", ("add",), help="leave `add` out")
        for index, each in enumerate(self.add):
            if isinstance(item, Object) and each in item.fields:
                scope.problem(f"an item has a field {each!r} already", ("add", index), help="rename it by `let`")

    def _type(self, scope: Scope) -> Type | None:
        """The type of an item of the unrolled list."""
        from synthkit.core.types import ListOf
        from synthkit.core.types.model import bare

        _, part = self._item(scope.step_parts(self.unrolled))
        whole = scope.step_columns(self.unrolled).get(part.of) if part else None
        return inner.of if whole is not None and isinstance(inner := bare(whole), ListOf) else None

    def _item(self, parts: Mapping[str, Part]) -> tuple[str | None, Part | None]:
        """The column that holds the item of an unrolled list."""
        return next(((name, part) for name, part in parts.items() if part.take == "item"), (None, None))

    async def table(self, scan: pl.LazyFrame, ctx: TableContext) -> AsyncIterator[pa.RecordBatch]:
        """A row for each parent that keeps enough of its items."""
        import polars as pl

        name, part = self._item(ctx.parts(self.unrolled))
        assert name is not None and part is not None, "checked by the plan"
        parent = pl.col("_parents").list.first().alias("_parent")
        unrolled = ctx.scan(self.unrolled, [part.at]).drop_nulls(part.at)
        items = unrolled.select(parent, _item="_id", _number=part.at).collect()
        rows = self._accepted(self._rows(scan, items, ctx), items, ctx)
        ids = dict(rows.sort("_number").group_by("_parent", maintain_order=True).agg("_id").iter_rows())
        sizes = dict(items.join(rows, on="_parent", how="semi").group_by("_parent").len().iter_rows())
        del items
        gained = rows.select("_item", *self.add)
        under_way: dict[Id, list[tuple[int, Value]]] = defaultdict(list)
        waiting: list[dict[str, Any]] = []
        every = ctx.scan(self.unrolled, [part.at, name]).drop_nulls(part.at)
        for batch in every.select("_id", parent, name, _number=part.at).collect_batches(chunk_size=_READ):
            mine = batch.join(rows, on="_parent", how="semi").join(
                gained, left_on="_id", right_on="_item", how="left", maintain_order="left"
            )
            for whole, number, item in zip(mine["_parent"], mine["_number"], self._items(mine, name, ctx), strict=True):
                under_way[whole].append((number, item))
                if len(under_way[whole]) == sizes[whole]:
                    found = [each for _, each in sorted(under_way.pop(whole), key=lambda each: each[0])]
                    waiting.append({"_id": whole, "_parents": ids[whole], self.into: found})
            if len(waiting) >= _BATCH:
                yield ctx.batch(waiting)
                waiting = []
        if waiting:
            yield ctx.batch(waiting)

    def _rows(self, scan: pl.LazyFrame, items: pl.DataFrame, ctx: TableContext) -> pl.DataFrame:
        """The rows that come in, each with its item's id and number and its parent; one a row of `unrolled`."""
        import polars as pl

        origins = ctx.origins(self.unrolled).select("_id", _item="_origin").collect()
        rows = scan.select("_id", *self.add).collect().sort("_id")
        rows = rows.join(origins, on="_id", how="left").join(items, on="_item", how="left", maintain_order="left")
        nowhere = rows.filter(pl.col("_parent").is_null())
        ctx.drop(nowhere["_id"], Outcome.UNUSED, "of no list")  # untouched by a conditional `unroll`
        rows = rows.filter(pl.col("_parent").is_not_null())
        again = rows.filter(~pl.col("_item").is_first_distinct())
        ctx.drop(again["_id"], Outcome.DUPLICATE, "same item")
        return rows.filter(pl.col("_item").is_first_distinct())

    def _accepted(self, rows: pl.DataFrame, items: pl.DataFrame, ctx: TableContext) -> pl.DataFrame:
        """The rows of parents that keep enough."""
        import polars as pl

        valued = pl.any_horizontal([pl.col(name).is_not_null() for name in self.add]) if self.add else pl.lit(True)
        wanted = pl.lit(False) if self.missing == "plain" else pl.len().over("_parent") < pl.col("_size")
        sizes = items.group_by("_parent").len("_size")
        judged = rows.join(sizes, on="_parent", maintain_order="left").with_columns(
            _few=valued.sum().over("_parent") < self.at_least, _holes=wanted
        )
        for column, reason in (("_few", f"fewer than {self.at_least}"), ("_holes", "items missing")):
            ctx.drop(judged.filter(pl.col(column))["_id"], Outcome.FILTERED, reason)
            judged = judged.filter(~pl.col(column))
        return judged.drop("_few", "_holes", "_size")

    def _items(self, rows: pl.DataFrame, name: str, ctx: TableContext) -> list[Value]:
        """The items of unrolled rows as the list has them, with the fields they gained."""
        from synthkit.core.types import ListOf, Object
        from synthkit.core.types.arrow import decode

        listed = ctx.adds[self.into]
        assert isinstance(listed, ListOf)
        whole = listed.of
        if not isinstance(whole, Object):
            return [row[name] for row in decode(rows.select(name).to_arrow(), {name: whole})]
        more = {each: whole.fields[each] for each in self.add}
        plain = Object({each: of for each, of in whole.fields.items() if each not in more})
        found = decode(rows.select(name, *more).to_arrow(), {name: plain, **more})
        return [row.pop(name) | row for row in found]
